//! The kinds of statement that certificates make. Results of different kinds are not one currency.

use super::Choice;

/// The statement that the certificates of a row make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Statement {
    /// About one classifier at one sigma.
    Fixed,
    /// About one classifier that selects sigma by a smoothed network.
    Selected,
    /// About the classifier at the sigma that was chosen for this input, held fixed.
    DataDependent,
    /// About the classifier at the sigma that a file gives for this input, held fixed.
    File,
    /// About a look-up after the clean inputs, in this order (Algorithm 2 of Alfarra et al. 2022).
    Memory,
}

impl Statement {
    /// All kinds, in the order of tables.
    pub const ALL: [Self; 5] = [
        Self::Fixed,
        Self::Selected,
        Self::DataDependent,
        Self::File,
        Self::Memory,
    ];

    /// The statement of a variant's certificates, without memory.
    #[must_use]
    pub fn of(choice: Choice) -> Self {
        match choice {
            Choice::Fixed => Self::Fixed,
            Choice::DataDependent => Self::DataDependent,
            Choice::Selected => Self::Selected,
            Choice::File => Self::File,
        }
    }

    /// The word that records and tables use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Selected => "selected",
            Self::DataDependent => "data-dependent",
            Self::File => "file",
            Self::Memory => "data-dependent + memory",
        }
    }

    /// Reads a word that [`as_str`](Self::as_str) writes; `None` for any other.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The statement in words, for the notes under a table.
    #[must_use]
    pub fn claim(self) -> &'static str {
        match self {
            Self::Fixed => {
                "one classifier; each certificate is false with probability at most alpha"
            }
            Self::Selected => {
                "one classifier, which selects sigma by a smoothed network; each certificate is \
                 false with probability at most alpha"
            }
            Self::DataDependent => {
                "for each input the classifier at the sigma chosen for it, held fixed; not the \
                 classifier that chooses sigma again at the perturbed image"
            }
            Self::File => {
                "for each input the classifier at the sigma that a file gives for it, held fixed; \
                 not one classifier, and the file gives no sigma for any other image"
            }
            Self::Memory => {
                "a look-up that answers after it has seen these clean inputs in this order; not a \
                 classifier"
            }
        }
    }

    /// Returns true if all certificates of this kind are about one classifier, so that a gain
    /// between two rows is a gain in the robustness of a classifier.
    #[must_use]
    pub fn is_of_one_classifier(self) -> bool {
        matches!(self, Self::Fixed | Self::Selected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_read_back_from_its_word() {
        for kind in Statement::ALL {
            assert_eq!(Statement::from_word(kind.as_str()), Some(kind));
        }
        assert_eq!(Statement::from_word("memory"), None);
    }

    #[test]
    fn choosing_sigma_anew_is_not_one_classifier() {
        let single = Statement::ALL.map(Statement::is_of_one_classifier);
        assert_eq!(single, [true, true, false, false, false]);
    }
}
