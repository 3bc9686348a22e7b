//! The distribution of grid noise as thresholds of a uniform 64-bit number.

use super::Grid;
use super::normal_tail::{TAIL_BITS, Z_BITS, upper_tail};
use crate::domain::{InvalidValue, Sigma};

/// The largest sigma in steps of a grid.
pub const MAX_STEPS: f64 = 3_500.0;

/// The reach of the noise in standard deviations. Phi(-9.3) is 7.0e-21.
const REACH: f64 = 9.3;
/// The bits after the binary point of the distance between thresholds.
const STEP_BITS: u32 = 100;
/// The largest distance between thresholds that matters: beyond it, even the first is in the tail
/// that counts as 0.
const LARGEST_STEP: u128 = 16 << STEP_BITS;

/// The thresholds of grid noise: with U uniform on 0..2^64, K is the number of thresholds that are
/// at most U, minus [`Self::reach`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thresholds {
    ascending: Vec<u64>,
}

impl Thresholds {
    /// The thresholds of k = -reach to reach - 1, in ascending order. Each is within
    /// 1 + 2^-5 of 2^64 Phi((k + 1/2) h / sigma).
    #[must_use]
    pub fn ascending(&self) -> &[u64] {
        &self.ascending
    }

    /// The largest absolute value of K.
    #[must_use]
    pub fn reach(&self) -> u32 {
        (self.ascending.len() / 2) as u32
    }
}

/// The largest absolute value of K: the smallest m with (m + 1/2) h / sigma >= 9.3 is at most this.
pub(super) fn reach(sigma: Sigma, grid: Grid) -> u32 {
    (REACH * grid.steps(sigma)).ceil().max(1.0) as u32
}

/// Computes T_k = floor(2^64 Phi((k + 1/2) h / sigma)) with an error of at most 1 + 2^-5: 1 from
/// rounding to a whole number and 2^-5 from Phi, which is within 2^-69. Takes about 20 ns per
/// threshold.
///
/// # Errors
/// When sigma has more than [`MAX_STEPS`] steps of the grid.
pub fn thresholds(sigma: Sigma, grid: Grid) -> Result<Thresholds, InvalidValue> {
    grid.check(sigma)?;
    let half_step = half_step(sigma, grid);
    let tails: Vec<u128> = (0..reach(sigma, grid))
        .map(|k| tail_of(k, half_step))
        .collect();
    let below = tails.iter().rev().map(|&tail| floor(tail));
    let above = tails.iter().map(|&tail| complement(tail));
    Ok(Thresholds {
        ascending: never_falling(below.chain(above)),
    })
}

/// Q((k + 1/2) h / sigma).
fn tail_of(k: u32, half_step: u128) -> u128 {
    upper_tail((half_step * u128::from(2 * k + 1)) >> (STEP_BITS - Z_BITS))
}

/// floor(2^64 tail).
fn floor(tail: u128) -> u64 {
    (tail >> (TAIL_BITS - 64)) as u64
}

/// 2^64 - ceil(2^64 tail), at most 2^64 - 1.
fn complement(tail: u128) -> u64 {
    let unit = 1 << (TAIL_BITS - 64);
    let ceiling = tail.div_ceil(unit).max(1) as u64;
    ceiling.wrapping_neg()
}

/// Raises each number to the largest before it. Two thresholds closer than the error of Phi could
/// be in the wrong order; raising keeps both within their errors.
fn never_falling(numbers: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut largest = 0;
    numbers
        .map(|number| {
            largest = number.max(largest);
            largest
        })
        .collect()
}

/// h / (2 sigma), rounded down to a unit of 2^-100.
fn half_step(sigma: Sigma, grid: Grid) -> u128 {
    let (mantissa, exponent) = parts(sigma.get());
    let divisor = u128::from(mantissa) * u128::from(grid.get());
    // 2^-100 (h / (2 sigma)) = 2^(99 - exponent) / (mantissa grid)
    divide_power_of_two(i64::from(STEP_BITS) - 1 - exponent, divisor)
}

/// The whole numbers m and e with `value` = m 2^e. The value is above 0 and finite.
fn parts(value: f64) -> (u64, i64) {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    match (bits >> 52) as i64 {
        0 => (fraction, -1074),
        biased => (fraction | (1 << 52), biased - 1075),
    }
}

/// 2^power / divisor, rounded down, at most [`LARGEST_STEP`].
fn divide_power_of_two(power: i64, divisor: u128) -> u128 {
    let mut quotient = 0;
    let mut rest = 1;
    for _ in 0..power {
        rest <<= 1;
        quotient <<= 1;
        if rest >= divisor {
            rest -= divisor;
            quotient |= 1;
        }
        if quotient >= LARGEST_STEP {
            return LARGEST_STEP;
        }
    }
    quotient
}
