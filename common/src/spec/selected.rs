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
    /// The network that selects. Its classes are the levels.
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
    /// The part of alpha of each bound on the selector: half of alpha for all of them. Between two
    /// levels, and in the simple form, one bound is enough.
    #[must_use]
    pub fn alpha_of_selector(&self, alpha: Alpha) -> Alpha {
        alpha.part(0.5 / self.bounds_of_selector() as f64)
    }

    /// The part of alpha of the bound on the class at each level: half of alpha for all of them.
    /// The simple form bounds it at one level.
    #[must_use]
    pub fn alpha_of_class(&self, alpha: Alpha) -> Alpha {
        alpha.part(0.5 / self.bounds_of_class() as f64)
    }

    /// Returns true if each level that is not selected has its own bound.
    #[must_use]
    pub fn bounds_each_level(&self) -> bool {
        self.form == SelectedForm::Strong && self.levels.len() > 2
    }

    /// The smaller part of the two.
    pub(super) fn least_part(&self, alpha: Alpha) -> Alpha {
        let selector = self.alpha_of_selector(alpha);
        let class = self.alpha_of_class(alpha);
        if selector < class { selector } else { class }
    }

    fn bounds_of_selector(&self) -> usize {
        if self.bounds_each_level() {
            self.levels.len()
        } else {
            1
        }
    }

    fn bounds_of_class(&self) -> usize {
        match self.form {
            SelectedForm::Simple => 1,
            SelectedForm::Strong => self.levels.len(),
        }
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
