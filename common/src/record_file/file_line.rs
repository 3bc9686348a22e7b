//! The requirements on the lines of a file.

use std::hash::Hash;

use super::{from_line, to_line};
use crate::domain::{Record, SampleIndex, VariantName};

/// A value that a file holds as one line of JSON.
pub trait FileLine: Sized {
    /// The value in words, for errors, e.g. `a record`.
    const NAME: &'static str;
    /// The other program that has the file open, and its action, for errors.
    const WRITER: &'static str;

    /// Lines with the same key must agree; the first one is kept.
    type Key: Eq + Hash;

    /// Returns the key.
    fn key(&self) -> Self::Key;

    /// Returns the sample that the line is about.
    fn sample(&self) -> (&VariantName, SampleIndex);

    /// Returns true if two lines with the same key agree.
    fn agrees_with(&self, other: &Self) -> bool;

    /// Returns the line, without a line feed.
    fn to_line(&self) -> String;

    /// Reads a line.
    ///
    /// # Errors
    /// When the line is something else; says why.
    fn from_line(line: &str) -> Result<Self, String>;
}

impl FileLine for Record {
    const NAME: &'static str = "a record";
    const WRITER: &'static str = "another ddrs-coordinator is collecting";

    type Key = (VariantName, SampleIndex);

    fn key(&self) -> Self::Key {
        (self.variant.clone(), self.index)
    }

    fn sample(&self) -> (&VariantName, SampleIndex) {
        (&self.variant, self.index)
    }

    /// Returns true if two records differ only in their time, worker, attempt and device.
    fn agrees_with(&self, other: &Self) -> bool {
        self.label == other.label && self.seed == other.seed && self.result == other.result
    }

    fn to_line(&self) -> String {
        to_line(self)
    }

    fn from_line(line: &str) -> Result<Self, String> {
        from_line(line).map_err(|error| error.to_string())
    }
}
