//! Which inputs a row is about, in words short enough for a caption.

use std::fmt;

use ddrs_common::domain::SampleIndex;

/// The indices of a row's samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexSet {
    /// None.
    Empty,
    /// `first`, then every `step`-th, `count` of them.
    Regular {
        /// The smallest.
        first: u64,
        /// The distance between neighbours, at least 1.
        step: u64,
        /// How many.
        count: u64,
    },
    /// `count` indices between `first` and `last` with gaps of several sizes.
    Irregular {
        /// The smallest.
        first: u64,
        /// The largest.
        last: u64,
        /// How many.
        count: u64,
    },
}

impl IndexSet {
    /// Describes indices that are ascending and distinct.
    #[must_use]
    pub fn of(ascending: &[SampleIndex]) -> Self {
        let (Some(first), Some(last)) = (ascending.first(), ascending.last()) else {
            return Self::Empty;
        };
        let (first, last, count) = (first.0, last.0, ascending.len() as u64);
        let step = ascending
            .get(1)
            .map_or(1, |second| second.0.saturating_sub(first));
        if ascending
            .windows(2)
            .all(|pair| pair[1].0.checked_sub(pair[0].0) == Some(step))
        {
            Self::Regular { first, step, count }
        } else {
            Self::Irregular { first, last, count }
        }
    }
}

impl fmt::Display for IndexSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("no indices"),
            Self::Regular {
                first, count: 1, ..
            } => write!(f, "index {first} alone"),
            Self::Regular {
                first,
                step: 1,
                count,
            } => {
                write!(f, "indices {first} to {} ({count})", first + (count - 1))
            }
            Self::Regular { first, step, count } => {
                let ending = match (step % 10, step % 100) {
                    (1, tens) if tens != 11 => "st",
                    (2, tens) if tens != 12 => "nd",
                    (3, tens) if tens != 13 => "rd",
                    _ => "th",
                };
                write!(
                    f,
                    "indices {first} to {}, every {step}{ending} ({count})",
                    first + (count - 1) * step
                )
            }
            Self::Irregular { first, last, count } => {
                write!(f, "{count} of the indices {first} to {last}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(indices: &[u64], expected: &str) {
        let indices: Vec<SampleIndex> = indices.iter().copied().map(SampleIndex).collect();
        assert_eq!(IndexSet::of(&indices).to_string(), expected);
    }

    #[test]
    fn an_index_set_is_told_in_a_few_words() {
        check(&[], "no indices");
        check(&[7], "index 7 alone");
        check(&[3, 4, 5], "indices 3 to 5 (3)");
        check(&[0, 20, 40], "indices 0 to 40, every 20th (3)");
        check(&[1, 3], "indices 1 to 3, every 2nd (2)");
        check(&[0, 11, 22], "indices 0 to 22, every 11th (3)");
        check(&[0, 21, 42], "indices 0 to 42, every 21st (3)");
        check(&[0, 1, 3], "3 of the indices 0 to 3");
        check(
            &[u64::MAX - 1, u64::MAX],
            &format!("indices {} to {} (2)", u64::MAX - 1, u64::MAX),
        );
    }
}
