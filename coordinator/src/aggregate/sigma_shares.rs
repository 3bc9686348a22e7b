//! The shares of the samples of a row at each sigma, where a sigma is one of a few levels.

use ddrs_common::domain::Sigma;

/// Sigmas in ascending order, each with its number of samples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SigmaShares(Vec<(Sigma, u64)>);

impl SigmaShares {
    /// Counts the sigmas; `None` without sigmas.
    #[must_use]
    pub(crate) fn of(sigmas: impl IntoIterator<Item = Sigma>) -> Option<Self> {
        let mut counts: Vec<(Sigma, u64)> = Vec::new();
        for sigma in sigmas {
            match counts.iter_mut().find(|(known, _)| *known == sigma) {
                Some((_, count)) => *count += 1,
                None => counts.push((sigma, 1)),
            }
        }
        counts.sort_by(|(one, _), (other, _)| one.get().total_cmp(&other.get()));
        (!counts.is_empty()).then_some(Self(counts))
    }

    /// Returns the sigmas in ascending order, each with its number of samples.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Sigma, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Returns the number of samples at all sigmas.
    #[must_use]
    pub(crate) fn samples(&self) -> u64 {
        self.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_sigma_is_counted_and_the_smallest_comes_first() {
        let sigmas = [0.5, 0.25, 0.5].map(|sigma| Sigma::new(sigma).unwrap());
        let shares = SigmaShares::of(sigmas).unwrap();
        let found: Vec<(f64, u64)> = shares.iter().map(|(s, count)| (s.get(), count)).collect();
        assert_eq!(found, [(0.25, 1), (0.5, 2)]);
        assert_eq!(shares.samples(), 3);
        assert_eq!(SigmaShares::of([]), None);
    }
}
