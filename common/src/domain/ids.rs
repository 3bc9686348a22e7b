//! Ids and names. Each is a separate type, so that a job number cannot be passed as the index of a
//! sample.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::InvalidValue;

/// The id of a sweep: sixteen lowercase hexadecimal digits, a digest of everything that can change
/// one of its records.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SweepId(String);

impl SweepId {
    /// Takes the first sixteen hexadecimal digits of a digest.
    #[must_use]
    pub fn from_digest(digest: &[u8; 32]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *digest;
        Self(format!(
            "{:016x}",
            u64::from_be_bytes([a, b, c, d, e, f, g, h])
        ))
    }

    /// The sixteen digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SweepId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text.len() == 16 && is_lowercase_hex(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidValue(format!(
                "a sweep id has 16 hexadecimal digits, not {text:?}"
            )))
        }
    }
}

/// Returns true if all of the text is lowercase hexadecimal digits.
pub(crate) fn is_lowercase_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

impl TryFrom<String> for SweepId {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        text.parse()
    }
}

impl From<SweepId> for String {
    fn from(id: SweepId) -> Self {
        id.0
    }
}

impl fmt::Display for SweepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A job of a sweep, counted from 0 in the order of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u32);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The index of a sample in the dataset, which is not its position in the sweep's selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SampleIndex(pub u64);

impl fmt::Display for SampleIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a variant: `MODEL/CHOICE/SIGMA`, e.g. `cohen-0.25/data-dependent/0.5`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VariantName(String);

impl VariantName {
    /// Takes any name. [`crate::spec`] builds checked names; files may contain others.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as a file name: every character other than a letter, a digit, `.`, `-` or `_`
    /// becomes `_`.
    #[must_use]
    pub fn file_stem(&self) -> String {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        self.0.replace(|c| !is_plain(c), "_")
    }
}

impl fmt::Display for VariantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_id_is_sixteen_hex_digits() {
        let id = SweepId::from_digest(&[0xab; 32]);
        assert_eq!(id.as_str(), "abababababababab");
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        for bad in [
            "",
            "abc",
            "ABABABABABABABAB",
            "abababababababab0",
            "../../etc/passwd",
        ] {
            assert!(bad.parse::<SweepId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_variant_names_a_file_in_the_report_folder_only() {
        assert_eq!(
            VariantName::new("r20/fixed/0.25").file_stem(),
            "r20_fixed_0.25"
        );
        assert_eq!(VariantName::new("../a b").file_stem(), ".._a_b");
    }
}
