//! The ids of leases and records.

use std::fmt;
use std::str::FromStr;

use rand::TryRng;
use rand::rngs::SysRng;

use crate::domain::{InvalidValue, JobId};

/// The number of a claim: each claim of a sweep has a higher one than all before it. A write under
/// an older number is refused, so a slow worker cannot write after its job went to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fence(pub u64);

/// The identity of a claim when it is repeated: 128 random bits, new for every job asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClaimToken(u128);

impl ClaimToken {
    /// Returns a new token.
    ///
    /// # Panics
    /// When the operating system provides no random bytes.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        SysRng
            .try_fill_bytes(&mut bytes)
            .expect("the operating system provides random bytes");
        Self(u128::from_le_bytes(bytes))
    }
}

impl fmt::Display for ClaimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The right to work on a job, for as long as it is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// The number of the claim.
    pub fence: Fence,
    /// The token of the claim.
    pub token: ClaimToken,
}

/// A time by the server's clock, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

/// The place of a record in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    ms: u64,
    seq: u64,
}

impl StreamId {
    /// Returns the smallest id after this one.
    #[must_use]
    pub fn next(self) -> Self {
        match self.seq.checked_add(1) {
            Some(seq) => Self { ms: self.ms, seq },
            None => Self {
                ms: self.ms.saturating_add(1),
                seq: 0,
            },
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (ms, seq) = text.split_once('-')?;
        Some(Self {
            ms: ms.parse().ok()?,
            seq: seq.parse().ok()?,
        })
    }

    /// Returns the time when the server stored the entry.
    #[must_use]
    pub fn at(self) -> Timestamp {
        Timestamp(self.ms)
    }
}

impl FromStr for StreamId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        Self::parse(text)
            .ok_or_else(|| InvalidValue(format!("not the id of a stream entry: {text:?}")))
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn stream_ids_order_by_number_not_by_text() {
        let [nine, ten]: [StreamId; 2] = ["5-9", "5-10"].map(|text| text.parse().unwrap());
        assert!(nine < ten);
        assert_eq!(nine.next(), ten);
        assert_eq!(
            format!("5-{}", u64::MAX)
                .parse::<StreamId>()
                .unwrap()
                .next()
                .to_string(),
            "6-0"
        );
        assert!("5".parse::<StreamId>().is_err());
    }

    #[test]
    fn a_token_is_written_as_32_hex_digits_and_never_twice_the_same() {
        let token = ClaimToken::random();
        assert_eq!(token.to_string().len(), 32);
        assert_ne!(token, ClaimToken::random());
    }
}
