//! Standard normal values by the method of Box and Muller (1958), in single precision.
//!
//! Only additions, multiplications, square roots and moves of bits, each rounded as IEEE 754 has it, in an order that is
//! written out: the values are the same to the last bit on every CPU, whatever vectors it computes them in. The library's
//! logarithm and sine would not be. No product is fused with a sum, for the compiler may not do that by itself.

use std::f32::consts::{FRAC_PI_2, LN_2};

use super::chacha::WORDS;

/// Values made from one group of words.
pub(super) const GROUP: usize = WORDS;
const HALF: usize = GROUP / 2;
/// 2^-31: from a word without its sign to \[0, 1\].
const UNIT: f32 = 1.0 / (1_u32 << 31) as f32;
const SIGN: u32 = 1 << 31;

/// Normal values from uniform words, a pair from each pair of words 128 apart.
///
/// The length of a pair is sqrt(-2 ln u), u of 31 bits in (0, 1\], so values reach to 6.66; one in 4·10^10 would lie
/// beyond. Each value is within 4·10^-7 times the length of what exact arithmetic would make of the same words, but for
/// lengths near 0, which come in steps of single precision below 1.
#[inline(always)]
pub(super) fn normals(words: &[u32; WORDS], values: &mut [f32; GROUP]) {
    let (across, along) = values.split_at_mut(HALF);
    for place in 0..HALF {
        let (length, angle) = (words[place], words[place + HALF]);
        // Half a step up, so that no logarithm is of zero. Large ones round it away, and the largest becomes 1.
        let radius = minus_two_ln(((length >> 1) as i32 as f32 + 0.5) * UNIT).sqrt();
        // A quarter turn either way, and the other side by one bit.
        let turn = (angle << 1) as i32 as f32 * UNIT;
        let cosine = radius * cosine(turn);
        across[place] = f32::from_bits(cosine.to_bits() ^ (angle & SIGN));
        along[place] = radius * sine(turn);
    }
}

/// -2 ln(u) for u in (0, 1\]: u is split into 2^e (1 + f), f between sqrt(1/2) - 1 and sqrt(2) - 1. Relative error of
/// the polynomial 1.8e-7.
#[inline(always)]
fn minus_two_ln(u: f32) -> f32 {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    const SERIES: [f32; 7] =
        [1.000_006_4, -0.666_694_3, 0.499_424_55, -0.398_137_72, 0.344_864_85, -0.323_609_56, 0.201_645_67];
    let exponent = (u.to_bits().wrapping_sub(SQRT_HALF) as i32) >> 23;
    let f = f32::from_bits(u.to_bits().wrapping_sub((exponent << 23) as u32)) - 1.0;
    exponent as f32 * (-2.0 * LN_2) + (f * f * polynomial(SERIES, f) - 2.0 * f)
}

/// cos(pi/2 · x) for x in \[-1, 1\]; absolute error of the polynomial 5e-8.
#[inline(always)]
fn cosine(x: f32) -> f32 {
    polynomial([0.999_999_94, -1.233_698_2, 0.253_650_75, -0.020_810_628, 0.000_858_190_6], x * x)
}

/// sin(pi/2 · x) for x in \[-1, 1\]; absolute error of the polynomial 3e-9.
#[inline(always)]
fn sine(x: f32) -> f32 {
    x * polynomial([FRAC_PI_2, -0.645_963_4, 0.079_688_48, -0.004_672_228, 0.000_150_820_56], x * x)
}

/// The sum of coefficient i times x^i, by Horner's rule.
#[inline(always)]
fn polynomial<const N: usize>(coefficients: [f32; N], x: f32) -> f32 {
    coefficients[..N - 1].iter().rev().fold(coefficients[N - 1], |sum, coefficient| sum * x + coefficient)
}

#[cfg(test)]
mod tests {
    use std::f64::consts;

    use super::*;

    /// The pair that two words make.
    fn pair(length: u32, angle: u32) -> (f32, f32) {
        let (mut words, mut values) = ([0; WORDS], [0.0; GROUP]);
        (words[5], words[5 + HALF]) = (length, angle);
        normals(&words, &mut values);
        (values[5], values[5 + HALF])
    }

    #[test]
    fn values_are_those_of_exact_arithmetic_to_within_single_precision() {
        for step in 0..200_000_u32 {
            // Steps of the golden ratio go everywhere; shifts reach the smallest lengths.
            let word = step.wrapping_mul(0x9e37_79b9);
            let (length, angle) = (word >> (step % 32), word.rotate_left(16));
            let radius = (-2.0 * ((f64::from(length >> 1) + 0.5) / 2f64.powi(31)).ln()).sqrt();
            let turn = f64::from((angle << 1) as i32) / 2f64.powi(31) * consts::FRAC_PI_2;
            let side = if angle & SIGN == 0 { 1.0 } else { -1.0 };
            let (across, along) = pair(length, angle);
            for (value, exact) in [(across, side * radius * turn.cos()), (along, radius * turn.sin())] {
                // Lengths near 0 come from u near 1, of which single precision has one in 2^24.
                let allowed = 4e-7 * radius.max(1.0) + 1.2e-7 / radius.max(1e-4);
                assert!((f64::from(value) - exact).abs() <= allowed, "{length:#x} {angle:#x}: {value} for {exact}");
            }
        }
    }

    #[test]
    fn values_reach_beyond_six_and_a_half() {
        let furthest = (2.0 * 32.0 * consts::LN_2).sqrt();
        let (across, along) = pair(0, 0);
        assert!((f64::from(across) - furthest).abs() < 1e-5 && along == 0.0, "{across} {along}");
        assert_eq!(pair(0, SIGN), (-across, along));
        assert!((f64::from(pair(0, 1 << 30).1) + furthest).abs() < 1e-5);
        assert!(across > 6.6);
    }

    #[test]
    fn every_word_makes_a_finite_value() {
        for length in [0, 1, 2, 3, 1 << 30, SIGN, u32::MAX - 1, u32::MAX] {
            for angle in [0, 1, (1 << 30) - 1, 1 << 30, SIGN - 1, SIGN, u32::MAX] {
                let (across, along) = pair(length, angle);
                assert!(across.is_finite() && along.is_finite(), "{length:#x} {angle:#x}: {across} {along}");
            }
        }
        let (across, along) = pair(u32::MAX, 12345);
        assert!(across.abs() == 0.0 && along.abs() == 0.0);
    }
}
