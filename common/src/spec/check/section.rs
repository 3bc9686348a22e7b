//! A table of the document, and the checks that many keys share. Keys are relative to the table.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use crate::domain::{InvalidValue, Radii, Sigma, short};
use crate::spec::SpecError;
use crate::spec::document::Document;
use crate::spec::raw::Required;

/// A sigma is part of the names of its variants, and those name files.
const MAX_SIGMA_DIGITS: usize = 64;

pub(in crate::spec) struct SpecTable<'a> {
    document: &'a Document<'a>,
    prefix: String,
}

impl<'a> SpecTable<'a> {
    pub(in crate::spec) fn root(document: &'a Document<'a>) -> Self {
        Self {
            document,
            prefix: String::new(),
        }
    }

    /// A table inside this one.
    pub(in crate::spec) fn table(&self, key: &str) -> Self {
        Self {
            document: self.document,
            prefix: format!("{}{key}.", self.prefix),
        }
    }

    pub(in crate::spec) fn error(&self, key: &str, message: impl Into<String>) -> SpecError {
        self.document
            .error(&format!("{}{key}", self.prefix), message)
    }

    pub(in crate::spec) fn required<T>(
        &self,
        key: &str,
        value: Required<T>,
    ) -> Result<T, SpecError> {
        self.given(key, value.0)
    }

    /// Refuses a key that is missing.
    pub(in crate::spec) fn given<T>(&self, key: &str, value: Option<T>) -> Result<T, SpecError> {
        value.ok_or_else(|| self.error(key, "is required and missing"))
    }

    /// Checks the `name` of a sweep, a model or a training.
    pub(in crate::spec) fn name(&self, value: Required<String>) -> Result<String, SpecError> {
        let name = self.required("name", value)?;
        check_name(self, &name)?;
        Ok(name)
    }

    /// Checks the `seed` of a sweep or a training.
    pub(in crate::spec) fn seed(&self, value: Required<i64>) -> Result<u64, SpecError> {
        self.integer("seed", self.required("seed", value)?, 0, i64::MAX)
    }

    /// Checks a whole number from `least` (0 or more) to `most`.
    pub(in crate::spec) fn integer(
        &self,
        key: &str,
        value: i64,
        least: i64,
        most: i64,
    ) -> Result<u64, SpecError> {
        if (least..=most).contains(&value) {
            return Ok(value as u64);
        }
        let range = range_in_words(least, most);
        Err(self.error(key, format!("must be {range}, not {value}")))
    }

    /// Checks a whole number from 1 to `most`.
    pub(in crate::spec) fn positive(
        &self,
        key: &str,
        value: i64,
        most: i64,
    ) -> Result<NonZeroU64, SpecError> {
        // `integer` refuses 0, so nothing is clamped here.
        self.integer(key, value, 1, most)
            .map(|value| NonZeroU64::MIN.saturating_add(value - 1))
    }

    /// Checks a finite number above 0.
    pub(in crate::spec) fn above_zero(&self, key: &str, value: f64) -> Result<f64, SpecError> {
        self.number(key, value, value > 0.0, "a finite number above 0")
    }

    /// Checks a number strictly between 0 and 1.
    pub(in crate::spec) fn share(&self, key: &str, value: f64) -> Result<f64, SpecError> {
        let holds = value > 0.0 && value < 1.0;
        self.number(key, value, holds, "strictly between 0 and 1")
    }

    /// Checks that a number is finite and `holds`.
    pub(in crate::spec) fn number(
        &self,
        key: &str,
        value: f64,
        holds: bool,
        demand: &str,
    ) -> Result<f64, SpecError> {
        if value.is_finite() && holds {
            return Ok(value);
        }
        Err(self.error(key, format!("must be {demand}, not {}", short(value))))
    }

    /// Checks a unit of the domain. The key replaces the unit's name, with which its error begins.
    pub(in crate::spec) fn unit<T>(
        &self,
        key: &str,
        unit: Result<T, InvalidValue>,
    ) -> Result<T, SpecError> {
        unit.map_err(|InvalidValue(message)| self.error(key, without_first_word(&message)))
    }

    /// Checks a sigma.
    pub(in crate::spec) fn sigma(&self, key: &str, value: f64) -> Result<Sigma, SpecError> {
        let sigma = self.unit(key, Sigma::new(value))?;
        if sigma.to_string().len() <= MAX_SIGMA_DIGITS {
            return Ok(sigma);
        }
        let message = format!("{value:e} has more than {MAX_SIGMA_DIGITS} digits");
        Err(self.error(key, message))
    }

    /// Checks a list of radii.
    pub(in crate::spec) fn radii(&self, key: &str, values: &[f64]) -> Result<Radii, SpecError> {
        Radii::new(values).map_err(|error| self.error(&error.key(key), error.reason))
    }

    pub(in crate::spec) fn not_empty<T>(&self, key: &str, values: &[T]) -> Result<(), SpecError> {
        if values.is_empty() {
            Err(self.error(key, "must not be empty"))
        } else {
            Ok(())
        }
    }

    /// Refuses the second of two equal elements, named by its place after `key`.
    pub(in crate::spec) fn distinct<T: PartialEq>(
        &self,
        key: &str,
        values: &[T],
    ) -> Result<(), SpecError> {
        let Some((i, j)) = first_repeat(values) else {
            return Ok(());
        };
        let message = format!("is the same as {}{key}[{j}]", self.prefix);
        Err(self.error(&format!("{key}[{i}]"), message))
    }

    /// Refuses the first key that is `given`.
    pub(in crate::spec) fn refuse(
        &self,
        given: &[(&str, bool)],
        reason: &str,
    ) -> Result<(), SpecError> {
        match first_given(given) {
            Some(key) => Err(self.error(key, reason)),
            None => Ok(()),
        }
    }

    /// Refuses an empty path, and joins others to `folder`.
    pub(in crate::spec) fn path(
        &self,
        key: &str,
        path: &str,
        folder: &Path,
    ) -> Result<PathBuf, SpecError> {
        if path.is_empty() {
            Err(self.error(key, "must not be empty"))
        } else {
            Ok(folder.join(path))
        }
    }
}

fn range_in_words(least: i64, most: i64) -> String {
    if most == i64::MAX {
        format!("{least} or more")
    } else {
        format!("from {least} to {most}")
    }
}

fn without_first_word(message: &str) -> &str {
    message.split_once(' ').map_or(message, |(_, rest)| rest)
}

/// Finds the first element that equals an earlier one. Returns the places of both, the later first.
fn first_repeat<T: PartialEq>(values: &[T]) -> Option<(usize, usize)> {
    (0..values.len()).find_map(|i| Some((i, earlier_equal(values, i)?)))
}

fn earlier_equal<T: PartialEq>(values: &[T], i: usize) -> Option<usize> {
    values[..i].iter().position(|earlier| *earlier == values[i])
}

fn first_given<'k>(given: &[(&'k str, bool)]) -> Option<&'k str> {
    let first = given.iter().find(|(_, given)| *given);
    first.map(|(key, _)| *key)
}

/// Checks the name of a sweep or model, which is part of file names, Redis keys and tables.
fn check_name(at: &SpecTable, name: &str) -> Result<(), SpecError> {
    if is_plain_name(name) {
        return Ok(());
    }
    let rule = "1 to 64 letters, digits, `.`, `_` or `-`, not beginning with `.` or `-`";
    Err(at.error("name", format!("must be {rule}, not {name:?}")))
}

fn is_plain_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=64).contains(&name.len()) && name.chars().all(is_plain) && !name.starts_with(['.', '-'])
}
