//! A place that breaks a rule.

/// A place where a rule is broken, with the words that break it.
pub(crate) struct Offence {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) words: String,
}

impl Offence {
    /// A place on a line, which counts from 1.
    pub(crate) fn new(path: &str, line: usize, words: &str) -> Self {
        Self {
            path: path.to_owned(),
            line,
            words: words.to_owned(),
        }
    }
}
