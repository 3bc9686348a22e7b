//! The gain of one certified network over another on the same images, with its interval.

/// The difference of two certified accuracies on the same images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gain {
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
    /// `baseline` tell for each image, in the same order, whether it is certified.
    ///
    /// The images are the same on both sides, so the interval depends only on those that one side
    /// certifies and the other does not.
    #[must_use]
    pub fn paired(certified: &[bool], baseline: &[bool]) -> Self {
        let differences = || {
            let pairs = certified.iter().zip(baseline);
            pairs.map(|(&own, &other)| f64::from(i8::from(own) - i8::from(other)))
        };
        let images = certified.len().max(1) as f64;
        let mean = differences().sum::<f64>() / images;
        let mean_square = differences().map(|d| d * d).sum::<f64>() / images;
        let variance = (mean_square - mean * mean).max(0.0);
        Self {
            mean,
            half_width: NORMAL_QUANTILE * (variance / images).sqrt(),
        }
    }
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
