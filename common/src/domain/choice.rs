//! The ways of choosing sigma.

/// The way in which a variant chooses the sigma of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Choice {
    /// One sigma for all inputs (Cohen et al. 2019).
    Fixed,
    /// A sigma per input, by Algorithm 1 of Alfarra et al. 2022, starting at the variant's sigma.
    DataDependent,
    /// The sigma of a level that a smoothed network selects for the input (after Sun, Mao & Vechev
    /// 2025).
    Selected,
    /// A sigma per input, from a file.
    File,
}

impl Choice {
    /// The word that specifications and variant names use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::DataDependent => "data-dependent",
            Self::Selected => "selected",
            Self::File => "file",
        }
    }
}
