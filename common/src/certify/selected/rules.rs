//! The bounds of a selected variant, and the radius that follows from them. The certifier and the
//! check of records both compute them here.

use crate::certify::pilot;
use crate::certify::stopping::{Counts, SampleBounds};
use crate::domain::{Alpha, LevelBound, LevelSelection, Probability, Radii, Radius, Sigma};
use crate::grid::GridLoss;
use crate::spec::{CertifySpec, SelectedForm, SelectedSpec, Stopping};
use crate::stats;

/// The specification of a selected variant, with alpha divided among its bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectedRules {
    pub(super) selected: SelectedSpec,
    /// The specification of each bound on the selector.
    pub(super) selector: CertifySpec,
    /// The specification at the chosen level, with all of alpha.
    class: CertifySpec,
    /// The specification of the bound on the class at each other level.
    pub(super) level: CertifySpec,
    pub(super) loss: GridLoss,
}

impl SelectedRules {
    /// Divides alpha.
    #[must_use]
    pub fn new(spec: &CertifySpec, selected: &SelectedSpec, loss: GridLoss) -> Self {
        Self {
            selector: with_alpha(spec, selected.alpha_of_selector(spec.alpha)),
            level: with_alpha(spec, selected.alpha_of_other_level(spec.alpha)),
            class: spec.clone(),
            selected: selected.clone(),
            loss,
        }
    }

    /// The sigma of a level.
    #[must_use]
    pub fn sigma(&self, level: u32) -> Sigma {
        // Levels are counted from the specification's list, and check_selection refuses others.
        self.selected.levels[level as usize].sigma
    }

    /// Computes the bounds of a selection again from its counts; `None` where the rules cannot end
    /// with these counts. [`Self::draws_levels`] decides whether its other levels are drawn at all.
    #[must_use]
    pub fn check_selection(&self, claimed: &LevelSelection) -> Option<LevelSelection> {
        if claimed.counts.len() != self.selected.levels.len() {
            return None;
        }
        let others = claimed.others.iter();
        let others: Option<Vec<LevelBound>> = others.map(|other| self.check_level(other)).collect();
        Some(LevelSelection {
            level: claimed.level,
            n0: self.selector.n0.get(),
            n0_count: claimed.n0_count,
            counts: claimed.counts.clone(),
            p_lower: self.bound_on_level(claimed)?,
            others: others?,
        })
    }

    /// Returns true if the selection phases of the selector and of the other levels choose the
    /// numbers of their draws.
    pub(super) fn has_pilots(&self) -> bool {
        matches!(self.selector.stopping, Stopping::Loss(_))
    }

    /// Returns true if the draws of the selector and of the other levels end where their selection
    /// phases say.
    #[must_use]
    pub fn follows_pilots(&self, claimed: &LevelSelection) -> bool {
        let drawn = total(&claimed.counts);
        let mut others = claimed.others.iter();
        self.follows_pilot(&self.selector, claimed.n0_count, drawn)
            && others.all(|other| self.follows_pilot(&self.level, other.n0_count, other.n))
    }

    fn follows_pilot(&self, spec: &CertifySpec, n0_count: Option<u64>, drawn: u64) -> bool {
        match n0_count {
            Some(count) if self.has_pilots() => {
                count <= spec.n0.get() && drawn == pilot::largest_number_of_draws(spec, count)
            }
            _ => n0_count.is_some() == self.has_pilots(),
        }
    }

    /// Returns true if the certifier draws the other levels of a selection, all of them and in this
    /// order. `at_level` is the radius at the chosen level, `None` where no class is certified
    /// there.
    #[must_use]
    pub fn draws_levels(&self, selection: &LevelSelection, at_level: Option<Radius>) -> bool {
        let Some(at_level) = at_level else {
            return selection.others.is_empty();
        };
        let unreached = self.unreached(selection);
        let mut drawn = LevelSelection {
            others: Vec::new(),
            ..selection.clone()
        };
        let mut next = self.next_level(&drawn, &unreached, at_level);
        for other in &selection.others {
            if next.map(|next| next.level) != Some(other.level) {
                return false;
            }
            drawn.others.push(*other);
            next = self.next_level(&drawn, &unreached, at_level);
        }
        next.is_none()
    }

    /// R = min(R_J, min over j of max(r_j, R_j)), where R_j is 0 for levels without draws; `None`
    /// if it is not above 0. `at_level` is R_J.
    #[must_use]
    pub fn radius(&self, selection: &LevelSelection, at_level: Radius) -> Option<Radius> {
        let unreached = self.unreached(selection);
        let levels = (0_u32..).zip(&unreached);
        let others = levels.filter(|&(level, _)| level != selection.level);
        let radius = others.fold(at_level, |least, (level, &unreached)| {
            let keeps = self.radius_at(selection, level);
            least.min(unreached.max(keeps.unwrap_or(Radius::ZERO)))
        });
        Some(radius).filter(|&radius| radius > Radius::ZERO)
    }

    /// Returns true if the selector alone shows that nothing can be certified: in the simple form,
    /// where another level may be selected at once.
    #[must_use]
    pub fn needs_no_expert(&self, selection: &LevelSelection) -> bool {
        let nearest = nearest(&self.unreached(selection), selection.level);
        self.selected.form == SelectedForm::Simple && nearest == Radius::ZERO
    }

    /// The largest radius that is left to hope for: R where the levels without draws lose nothing.
    fn hoped_radius(
        &self,
        selection: &LevelSelection,
        unreached: &[Radius],
        at_level: Radius,
    ) -> Radius {
        let levels = (0_u32..).zip(unreached);
        let known = levels.filter_map(|(level, unreached)| {
            Some(unreached.max(self.radius_at(selection, level)?))
        });
        known.fold(at_level, Radius::min)
    }

    /// R_j: the distance within which the expert of another level keeps the class, if it is known.
    fn radius_at(&self, selection: &LevelSelection, level: u32) -> Option<Radius> {
        let mut others = selection.others.iter();
        let known = others.find(|other| other.level == level)?;
        let radius = self.loss.certified_radius(self.sigma(level), known.p_lower);
        Some(radius.unwrap_or(Radius::ZERO))
    }

    /// r_j by level: the distance within which the selector does not select it; of no meaning for
    /// the selected level itself.
    ///
    /// With q_J the probability of the chosen level and v_j that of all levels but j, Q the normal
    /// quantile: r_j = tau/2 (Q(q_J) + Q(v_j)), for Q of both is 1/tau-Lipschitz in the input. v_j
    /// is at least q_J, which alone gives tau Q(q_J).
    pub(super) fn unreached(&self, selection: &LevelSelection) -> Vec<Radius> {
        let drawn = total(&selection.counts);
        let counts = selection.counts.iter();
        counts
            .map(|&count| {
                let count = drawn - count;
                let others = self.of_selector().lower(Counts { drawn, count });
                self.unreached_by(selection.p_lower, others)
            })
            .collect()
    }

    /// r_j from lower bounds on q_J and v_j.
    pub(super) fn unreached_by(&self, own: Probability, others: Option<Probability>) -> Radius {
        let tau = self.selected.tau;
        let others = others.filter(|_| self.selected.bounds_each_level());
        let from_two = others.map(|others| stats::mean_radius(tau, own, others));
        let distance = stats::radius(tau, own).max(from_two.unwrap_or(Radius::ZERO));
        self.loss.radius(distance).unwrap_or(Radius::ZERO)
    }

    /// The bounds on the selector.
    pub(super) fn of_selector(&self) -> SampleBounds<'_> {
        SampleBounds {
            spec: &self.selector,
            sigma: self.selected.tau,
            loss: self.loss,
        }
    }

    /// The bounds on the class at a level.
    pub(super) fn of_level<'a>(&'a self, spec: &'a CertifySpec, level: u32) -> SampleBounds<'a> {
        SampleBounds {
            spec,
            sigma: self.sigma(level),
            loss: self.loss,
        }
    }

    /// The level without a bound whose bound may change the radius: of several, the one that is
    /// reached first. `at_level` is R_J.
    pub(super) fn next_level(
        &self,
        selection: &LevelSelection,
        unreached: &[Radius],
        at_level: Radius,
    ) -> Option<OpenLevel> {
        if self.selected.form == SelectedForm::Simple {
            return None;
        }
        let most = self.hoped_radius(selection, unreached, at_level);
        let levels = (0_u32..).zip(unreached);
        levels
            .filter(|&(level, &unreached)| {
                level != selection.level
                    && selection.others.iter().all(|other| other.level != level)
                    && self.matters(unreached, most)
            })
            .min_by(|one, other| one.1.get().total_cmp(&other.1.get()))
            .map(|(level, &unreached)| OpenLevel {
                level,
                unreached,
                most,
            })
    }

    /// Returns true if it matters whether the class is certified between two distances.
    fn matters(&self, unreached: Radius, radius: Radius) -> bool {
        let is_between = unreached < radius;
        match &self.level.stopping {
            Stopping::Radii(radii) => is_between && between(radii, unreached, radius).is_some(),
            Stopping::Fixed | Stopping::Loss(_) => is_between,
        }
    }

    /// The specification at the chosen level, where the selector certifies no radius above `most`.
    pub(super) fn class_within(&self, most: Radius) -> CertifySpec {
        match self.selected.form {
            SelectedForm::Simple => deciding(&self.class, |radii| up_to(radii, most)),
            SelectedForm::Strong => self.class.clone(),
        }
    }

    /// The specification at another level, where only radii between two distances are undecided.
    pub(super) fn level_between(&self, open: OpenLevel) -> CertifySpec {
        deciding(&self.level, |radii| {
            between(radii, open.unreached, open.most)
        })
    }

    fn check_level(&self, claimed: &LevelBound) -> Option<LevelBound> {
        let counts = Counts {
            drawn: claimed.n,
            count: claimed.count,
        };
        self.selected.levels.get(claimed.level as usize)?;
        let p_lower = self.of_level(&self.level, claimed.level).lower(counts)?;
        Some(LevelBound {
            p_lower,
            ..*claimed
        })
    }

    fn bound_on_level(&self, claimed: &LevelSelection) -> Option<Probability> {
        let count = *claimed.counts.get(claimed.level as usize)?;
        let drawn = total(&claimed.counts);
        self.of_selector().lower(Counts { drawn, count })
    }
}

/// A level other than the chosen one whose bound may change the radius.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct OpenLevel {
    pub(super) level: u32,
    /// The distance within which it is not selected.
    pub(super) unreached: Radius,
    /// The largest radius that can still be certified.
    pub(super) most: Radius,
}

/// The number of draws. Counts of a record may add up to more than any sweep draws.
fn total(counts: &[u64]) -> u64 {
    counts.iter().copied().fold(0, u64::saturating_add)
}

fn with_alpha(spec: &CertifySpec, alpha: Alpha) -> CertifySpec {
    CertifySpec {
        alpha,
        ..spec.clone()
    }
}

/// The smallest distance within which none but the chosen level is selected.
pub(super) fn nearest(unreached: &[Radius], level: u32) -> Radius {
    let levels = (0_u32..).zip(unreached).filter(|&(j, _)| j != level);
    levels.fold(Radius::MAX, |least, (_, &radius)| least.min(radius))
}

/// A specification whose stopping rule decides only the wanted radii; the smallest one if no radius
/// is wanted.
fn deciding(spec: &CertifySpec, wanted: impl FnOnce(&Radii) -> Option<Vec<f64>>) -> CertifySpec {
    let mut spec = spec.clone();
    if let Stopping::Radii(radii) = &spec.stopping {
        let smallest = || radii.iter().take(1).map(Radius::get).collect();
        let wanted = wanted(radii).unwrap_or_else(smallest);
        // A part of an ascending list ascends.
        let wanted = Radii::new(&wanted).unwrap_or_else(|_| radii.clone());
        spec.stopping = Stopping::Radii(wanted);
    }
    spec
}

/// The radii that are not certified by `unreached` alone and not above `most`; `None` without
/// any. Radius 0 is certified by a distance above 0.
fn between(radii: &Radii, unreached: Radius, most: Radius) -> Option<Vec<f64>> {
    let is_open = |radius: &Radius| *radius > unreached || unreached == Radius::ZERO;
    let wanted = radii
        .iter()
        .filter(is_open)
        .filter(|&radius| radius <= most);
    non_empty(wanted.map(Radius::get).collect())
}

fn up_to(radii: &Radii, most: Radius) -> Option<Vec<f64>> {
    let wanted = radii.iter().filter(|&radius| radius <= most);
    non_empty(wanted.map(Radius::get).collect())
}

fn non_empty(radii: Vec<f64>) -> Option<Vec<f64>> {
    (!radii.is_empty()).then_some(radii)
}
