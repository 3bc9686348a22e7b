//! The gain of one certified network over another on the same images, with its interval.

/// The difference of two certified accuracies on the same images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Gain {
    /// The difference of the two shares.
    pub mean: f64,
    /// Half the width of the 95 % confidence interval of `mean`.
    pub half_width: f64,
}

/// The 97.5 % quantile of the standard normal distribution, to two decimals as usual.
const NORMAL_QUANTILE: f64 = 1.96;

impl Gain {
    /// Computes the mean of the paired differences and its normal 95 % interval,
    /// `1.96 sqrt(variance / images)` with the variance of the differences. `certified` and
    /// `baseline` have, in the same order, true for each image that is certified.
    ///
    /// The images are the same on both sides, so the interval depends only on those that one side
    /// certifies and the other does not.
    #[must_use]
    pub(crate) fn paired(certified: &[bool], baseline: &[bool]) -> Self {
        let differences = differences(certified, baseline);
        let mean = mean(differences.iter().copied());
        Self {
            mean,
            half_width: NORMAL_QUANTILE * standard_error(&differences, mean),
        }
    }
}

fn differences(certified: &[bool], baseline: &[bool]) -> Vec<f64> {
    let pairs = certified.iter().zip(baseline);
    pairs.map(|(&own, &other)| difference(own, other)).collect()
}

fn difference(certified: bool, baseline: bool) -> f64 {
    f64::from(i8::from(certified) - i8::from(baseline))
}

/// Returns the standard error of the mean.
fn standard_error(values: &[f64], own_mean: f64) -> f64 {
    (variance(values, own_mean) / values.len().max(1) as f64).sqrt()
}

fn variance(values: &[f64], own_mean: f64) -> f64 {
    let mean_square = mean(values.iter().map(|value| value * value));
    (mean_square - own_mean * own_mean).max(0.0)
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_is_the_mean_of_paired_differences_with_their_interval() {
        let gain = Gain::paired(&[true, true, true, false], &[false, false, true, true]);
        assert_eq!(gain.mean, 0.25);
        // Differences 1, 1, 0, -1: their variance is 3/4 - 1/16 = 11/16.
        assert!((gain.half_width - 1.96 * (11.0_f64 / 64.0).sqrt()).abs() < 1e-12);
        let none = Gain::paired(&[true, false], &[true, false]);
        assert_eq!((none.mean, none.half_width), (0.0, 0.0));
    }
}
