//! The indices of a row's samples, in words short enough for a caption.

use std::fmt;

use ddrs_common::domain::SampleIndex;

/// The indices of a row's samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexSet {
    /// No index.
    Empty,
    /// `count` indices, `step` apart, from `first` on.
    Regular {
        /// The smallest index.
        first: u64,
        /// The distance between neighbours, at least 1.
        step: u64,
        /// The number of indices.
        count: u64,
    },
    /// `count` indices from `first` to `last` with gaps of several sizes.
    Irregular {
        /// The smallest index.
        first: u64,
        /// The largest index.
        last: u64,
        /// The number of indices.
        count: u64,
    },
}

impl IndexSet {
    /// Describes ascending, distinct indices.
    #[must_use]
    pub(crate) fn of(ascending: &[SampleIndex]) -> Self {
        match ascending {
            [] => Self::Empty,
            [only] => Self::single(only.0),
            [first, .., last] => Self::between(first.0, last.0, ascending),
        }
    }

    fn single(first: u64) -> Self {
        Self::Regular {
            first,
            step: 1,
            count: 1,
        }
    }

    fn between(first: u64, last: u64, ascending: &[SampleIndex]) -> Self {
        let count = ascending.len() as u64;
        match common_step(ascending) {
            Some(step) => Self::Regular { first, step, count },
            None => Self::Irregular { first, last, count },
        }
    }

    /// Returns the smallest index.
    #[must_use]
    pub(crate) fn first(&self) -> Option<u64> {
        match *self {
            Self::Empty => None,
            Self::Regular { first, .. } | Self::Irregular { first, .. } => Some(first),
        }
    }

    /// Returns the largest index.
    #[must_use]
    pub(crate) fn last(&self) -> Option<u64> {
        match *self {
            Self::Empty => None,
            Self::Regular { first, step, count } => Some(last_of(first, step, count)),
            Self::Irregular { last, .. } => Some(last),
        }
    }

    /// Returns the distance between neighbours where all distances are equal.
    #[must_use]
    pub(crate) fn step(&self) -> Option<u64> {
        match *self {
            Self::Regular { step, .. } => Some(step),
            Self::Empty | Self::Irregular { .. } => None,
        }
    }
}

fn last_of(first: u64, step: u64, count: u64) -> u64 {
    first + (count - 1) * step
}

/// Returns the distance between neighbours if all distances are equal.
fn common_step(ascending: &[SampleIndex]) -> Option<u64> {
    let mut distances = ascending.windows(2).map(distance);
    let step = distances.next()??;
    distances
        .all(|distance| distance == Some(step))
        .then_some(step)
}

fn distance(neighbours: &[SampleIndex]) -> Option<u64> {
    neighbours[1].0.checked_sub(neighbours[0].0)
}

impl fmt::Display for IndexSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("no indices"),
            Self::Regular { first, step, count } => write_regular(f, first, step, count),
            Self::Irregular { first, last, count } => {
                write!(f, "{count} of the indices {first} to {last}")
            }
        }
    }
}

fn write_regular(f: &mut fmt::Formatter<'_>, first: u64, step: u64, count: u64) -> fmt::Result {
    if count == 1 {
        return write!(f, "index {first} alone");
    }
    write!(f, "indices {first} to {}", last_of(first, step, count))?;
    if step != 1 {
        write!(f, ", every {step}{}", ordinal_ending(step))?;
    }
    write!(f, " ({count})")
}

/// Returns the ending of the ordinal number, as in 1st, 2nd, 3rd, 4th, 11th.
fn ordinal_ending(number: u64) -> &'static str {
    match (number % 10, number % 100) {
        (1, tens) if tens != 11 => "st",
        (2, tens) if tens != 12 => "nd",
        (3, tens) if tens != 13 => "rd",
        _ => "th",
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
    fn an_index_set_is_described_in_a_few_words() {
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
