//! Errors of reading a pickle.

/// A pickle that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("byte {at}: {problem}")]
pub struct PickleError {
    /// The place of the operation in the pickle.
    pub at: usize,
    /// The problem.
    pub problem: PickleProblem,
}

/// The problem of a pickle.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PickleProblem {
    /// It ends before its last operation.
    #[error("the pickle is cut off")]
    CutOff,
    /// No such operation, or one that this reader refuses.
    #[error("unknown operation {0:#04x}: this is not a pickle, or not one that can be read")]
    Operation(u8),
    /// The operation finds another object than it needs.
    #[error("the pickle is damaged: {0}")]
    Damaged(&'static str),
    /// More objects than allowed.
    #[error("the pickle has more than {0} objects")]
    TooMany(usize),
    /// It calls a function or class that is not allowed.
    #[error("the pickle calls {module}.{name}, which is refused: only data is read")]
    Refused {
        /// The module.
        module: String,
        /// The function or class.
        name: String,
    },
}
