//! A table of the document, and the checks that many keys share. Keys are relative to the table.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use crate::domain::{InvalidValue, Radii, short};
use crate::spec::SpecError;
use crate::spec::document::Document;
use crate::spec::raw::Required;

pub(in crate::spec) struct Section<'a> {
    document: &'a Document<'a>,
    prefix: String,
}

impl<'a> Section<'a> {
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
        value
            .0
            .ok_or_else(|| self.error(key, "is required and missing"))
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
        let range = if most == i64::MAX {
            format!("{least} or more")
        } else {
            format!("from {least} to {most}")
        };
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
        unit.map_err(|InvalidValue(message)| {
            let (_, rest) = message.split_once(' ').unwrap_or(("", &message));
            self.error(key, rest)
        })
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
        for (i, value) in values.iter().enumerate() {
            if let Some(j) = values[..i].iter().position(|earlier| earlier == value) {
                return Err(self.error(
                    &format!("{key}[{i}]"),
                    format!("is the same as {}{key}[{j}]", self.prefix),
                ));
            }
        }
        Ok(())
    }

    /// Refuses the first key that is `given`.
    pub(in crate::spec) fn refuse(
        &self,
        given: &[(&str, bool)],
        reason: &str,
    ) -> Result<(), SpecError> {
        match given.iter().find(|(_, given)| *given) {
            Some((key, _)) => Err(self.error(key, reason)),
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

/// Checks the name of a sweep or model, which is part of file names, Redis keys and tables.
pub(in crate::spec) fn check_name(at: &Section, key: &str, name: &str) -> Result<(), SpecError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if (1..=64).contains(&name.len()) && name.chars().all(plain) && !name.starts_with(['.', '-']) {
        return Ok(());
    }
    let rule = "1 to 64 letters, digits, `.`, `_` or `-`, not beginning with `.` or `-`";
    Err(at.error(key, format!("must be {rule}, not {name:?}")))
}
