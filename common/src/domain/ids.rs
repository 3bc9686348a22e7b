//! Names of things. Each is its own type, so that a job number never ends up where a sample's index
//! belongs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::InvalidValue;

/// A sweep: sixteen lowercase hexadecimal digits, a digest of all that can change one of its
/// records.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SweepId(String);

impl SweepId {
    /// The first sixteen hexadecimal digits of a digest.
    #[must_use]
    pub fn from_digest(digest: &[u8; 32]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *digest;
        Self(format!(
            "{:016x}",
            u64::from_be_bytes([a, b, c, d, e, f, g, h])
        ))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SweepId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let digits = text.len() == 16
            && text
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if digits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidValue(format!(
                "a sweep id has 16 hexadecimal digits, not {text:?}"
            )))
        }
    }
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

/// An input of the dataset, by its index there (not by its place in the sweep).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SampleIndex(pub u64);

impl fmt::Display for SampleIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `MODEL/CHOICE/SIGMA`, e.g. `cohen-0.25/data-dependent/0.5`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VariantName(String);

impl VariantName {
    /// Takes a name as it is; [`crate::spec`] builds the checked ones, files may bring others.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as a file name: what is not a letter, a digit, `.`, `-` or `_` becomes `_`.
    #[must_use]
    pub fn file_stem(&self) -> String {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '_'
            }
        };
        self.0.chars().map(plain).collect()
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
