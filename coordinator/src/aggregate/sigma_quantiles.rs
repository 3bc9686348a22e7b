//! Three quantiles that summarise the sigmas chosen for the samples of a row.

use ddrs_common::domain::Sigma;

/// The 10 %, 50 % and 90 % quantiles of a set of sigmas, by nearest rank: the q quantile of m
/// sigmas is the ceil(q m)-th smallest. Each quantile is therefore one of the sigmas.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SigmaQuantiles {
    /// The 10 % quantile.
    pub p10: Sigma,
    /// The median; of an even number of sigmas the lower of the two in the middle.
    pub p50: Sigma,
    /// The 90 % quantile.
    pub p90: Sigma,
}

impl SigmaQuantiles {
    /// Computes the quantiles; `None` without sigmas.
    #[must_use]
    pub(crate) fn of(sigmas: impl IntoIterator<Item = Sigma>) -> Option<Self> {
        let ascending = sorted(sigmas);
        Some(Self {
            p10: nearest_rank(&ascending, 10)?,
            p50: nearest_rank(&ascending, 50)?,
            p90: nearest_rank(&ascending, 90)?,
        })
    }

    /// Returns the three quantiles in ascending order.
    #[must_use]
    pub(crate) fn values(&self) -> [Sigma; 3] {
        [self.p10, self.p50, self.p90]
    }
}

fn sorted(sigmas: impl IntoIterator<Item = Sigma>) -> Vec<Sigma> {
    let mut sigmas: Vec<Sigma> = sigmas.into_iter().collect();
    sigmas.sort_by(|one, other| one.get().total_cmp(&other.get()));
    sigmas
}

/// Returns the `percent` quantile of ascending sigmas.
fn nearest_rank(ascending: &[Sigma], percent: usize) -> Option<Sigma> {
    let rank = (ascending.len() * percent).div_ceil(100);
    ascending.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(sigmas: &[f64], expected: [f64; 3]) {
        let sigmas = sigmas.iter().map(|&sigma| Sigma::new(sigma).unwrap());
        let found = SigmaQuantiles::of(sigmas).unwrap();
        assert_eq!([found.p10, found.p50, found.p90].map(Sigma::get), expected);
    }

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        check(&[0.5], [0.5, 0.5, 0.5]);
        check(&[0.4, 0.2], [0.2, 0.2, 0.4]);
        check(&[0.3, 0.1, 0.2], [0.1, 0.2, 0.3]);
        let ten: Vec<f64> = (1..=10).map(f64::from).collect();
        check(&ten, [1.0, 5.0, 9.0]);
        let eleven: Vec<f64> = (1..=11).rev().map(f64::from).collect();
        check(&eleven, [2.0, 6.0, 10.0]);
        assert_eq!(SigmaQuantiles::of([]), None);
    }
}
