//! Smoothing with a level that a network selects for each input.

use super::ModelSpec;
use crate::domain::{Alpha, Sigma};

/// Levels, and the network that selects one of them for an input. Every level has a sigma and a
/// network, its *expert*.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectedSpec {
    /// The sigma of the noise under which the selector answers.
    pub tau: Sigma,
    /// The theorem that gives the radius.
    pub form: SelectedForm,
    /// Between 2 and [`crate::domain::MAX_LEVELS`], distinct. All experts have the same number of
    /// classes.
    pub levels: Vec<LevelSpec>,
    /// The network that selects. Its classes are the levels, or each of them belongs to a level
    /// ([`LevelSpec::classes`]).
    pub selector: ModelSpec,
}

/// The theorem that gives the radius of a selected variant. `docs/STATISTICS.md` proves both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectedForm {
    /// The level must not change within the radius.
    Simple,
    /// The level may change, to levels at which the class is certified as well.
    Strong,
}

/// A level.
#[derive(Debug, Clone, PartialEq)]
pub struct LevelSpec {
    /// The sigma of its noise.
    pub sigma: Sigma,
    /// The place of its expert in [`super::Sweep::models`].
    pub model: usize,
    /// The classes of the selector that select it. Empty for all levels where the selector's
    /// classes are the levels themselves.
    pub classes: Vec<u32>,
}

/// The sum of the counts of some classes. Counts that are missing are left to the check of the
/// total.
fn counts_of(classes: &[u32], counts: &[u64]) -> u64 {
    let found = classes
        .iter()
        .filter_map(|&class| counts.get(class as usize));
    found.sum()
}

impl SelectedForm {
    /// The word that specifications use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Strong => "strong",
        }
    }
}

impl SelectedSpec {
    /// The part of alpha of each bound on the selector. In the strong form the other half of alpha
    /// is that of another level, and with more than two levels two bounds share the first half.
    #[must_use]
    pub fn alpha_of_selector(&self, alpha: Alpha) -> Alpha {
        match self.form {
            SelectedForm::Simple => alpha,
            SelectedForm::Strong if self.bounds_each_level() => alpha.part(0.25),
            SelectedForm::Strong => alpha.part(0.5),
        }
    }

    /// The part of alpha of the bound on the class at another level than the chosen one. The bound
    /// at the chosen level has all of alpha.
    #[must_use]
    pub fn alpha_of_other_level(&self, alpha: Alpha) -> Alpha {
        alpha.part(0.5)
    }

    /// Returns true if each level that is not selected has its own bound. Between two levels, and
    /// in the simple form, the bound on the chosen level says all.
    #[must_use]
    pub fn bounds_each_level(&self) -> bool {
        self.form == SelectedForm::Strong && self.levels.len() > 2
    }

    /// Turns the selector's counts by class into counts by level.
    #[must_use]
    pub fn level_counts(&self, counts: &[u64]) -> Vec<u64> {
        if !self.groups_classes() {
            return counts.to_vec();
        }
        let levels = self.levels.iter().map(|level| &level.classes);
        levels.map(|classes| counts_of(classes, counts)).collect()
    }

    /// Returns true if each class of the selector belongs to a level, instead of being one.
    #[must_use]
    pub fn groups_classes(&self) -> bool {
        self.levels.iter().any(|level| !level.classes.is_empty())
    }

    /// The place of a level's expert among the networks of the variant, of which the selector is
    /// the first.
    #[must_use]
    pub fn place_of_expert(&self, level: usize) -> usize {
        let experts = self.networks(usize::MAX);
        let model = self.levels[level].model;
        experts
            .iter()
            .position(|&expert| expert == model)
            .unwrap_or(0)
    }

    /// The sigmas under which its networks are drawn: the selector's, then those of the levels.
    pub(super) fn sigmas(&self) -> impl Iterator<Item = Sigma> + '_ {
        let levels = self.levels.iter().map(|level| level.sigma);
        std::iter::once(self.tau).chain(levels)
    }

    /// The networks of the variant, as places in [`super::Sweep::networks`]: the selector, whose
    /// place is `selector`, then each expert once.
    pub(super) fn networks(&self, selector: usize) -> Vec<usize> {
        let mut networks = vec![selector];
        for level in &self.levels {
            if !networks.contains(&level.model) {
                networks.push(level.model);
            }
        }
        networks
    }
}
