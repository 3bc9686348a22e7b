//! Turns uniform bits into normal values, the same to the last bit on every machine.
//!
//! The transform of Box and Muller (1958) in single precision: one of two uniform numbers gives the
//! length of a vector, the other its direction. The vector's two coordinates are independent
//! standard normal values.
//!
//! Only additions, multiplications, square roots and integer operations are used, which IEEE 754
//! rounds in one way. Logarithm, sine and cosine are polynomials written out here, because those of
//! a system's mathematical library differ between machines. The loop has no branch, so compilers
//! turn it into vector instructions.
//!
//! A length takes 39 uniform bits, so values reach 7.4. A direction takes 24.
#![expect(
    clippy::inline_always,
    reason = "a call would keep the loop from becoming vector instructions"
)]

use rand::Rng;

/// The number of values made at once. The two values of a pair lie `PAIRS` places apart, which lets
/// a loop over pairs become vector instructions.
pub(super) const BLOCK: usize = 2 * PAIRS;
const PAIRS: usize = 64;

/// Fills a block with standard normal values.
#[inline]
pub(super) fn fill(bits: &mut impl Rng, values: &mut [f32; BLOCK]) {
    let [coarse, fine] = words(bits);
    let (cosines, sines) = values.split_at_mut(PAIRS);
    // There is no counter here: one that is checked for overflow would keep this loop from becoming
    // vector instructions.
    for ((first, second), (&low, &high)) in
        cosines.iter_mut().zip(sines).zip(coarse.iter().zip(&fine))
    {
        let length = length(low, high);
        let (cosine, sine) = direction(high >> 8);
        *first = length * cosine;
        *second = length * sine;
    }
}

/// Draws the low and the high words of one 64-bit number per pair.
#[inline(always)]
fn words(bits: &mut impl Rng) -> [[u32; PAIRS]; 2] {
    let mut words = [[0u32; PAIRS]; 2];
    let [coarse, fine] = &mut words;
    for (low, high) in coarse.iter_mut().zip(fine) {
        let both = bits.next_u64();
        *low = both as u32;
        *high = (both >> 32) as u32;
    }
    words
}

/// Returns sqrt(-2 ln u), where u is uniform on (0, 1]. u has 31 bits of `coarse`, and below them
/// the last eight of `fine`.
#[inline(always)]
fn length(coarse: u32, fine: u32) -> f32 {
    let below = ((fine & 0xff) as i32 as f32 + 0.5) * (1.0 / 256.0);
    // u times 2^31.
    let uniform = (coarse >> 1) as i32 as f32 + below;
    (ln_of_uniform(uniform) * -2.0).sqrt()
}

/// Returns ln u for the number u that is `uniform` times 2^-31.
#[inline(always)]
fn ln_of_uniform(uniform: f32) -> f32 {
    // SQRT_HALF <= mantissa < 2 SQRT_HALF, so that the logarithm's argument is near 1 where it is
    // near 0.
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let shifted = uniform.to_bits().wrapping_sub(SQRT_HALF);
    let exponent = ((shifted as i32) >> 23).wrapping_sub(31) as f32;
    let mantissa = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(SQRT_HALF));
    exponent * std::f32::consts::LN_2 + ln_1p(mantissa - 1.0)
}

/// Returns ln(1 + t) for 1 + t from sqrt(1/2) to sqrt(2), with a relative error below 2e-7 before
/// rounding.
#[inline(always)]
fn ln_1p(t: f32) -> f32 {
    let series = -0.100_823_06_f32;
    let series = series * t + 0.161_804_5;
    let series = series * t - 0.172_432_27;
    let series = series * t + 0.199_068_9;
    let series = series * t - 0.249_712_29;
    let series = series * t + 0.333_347_15;
    let series = series * t - 0.500_003_2;
    t + t * t * series
}

/// Returns cosine and sine of a uniform angle that 24 bits number: two bits for the quadrant, the
/// others for the angle from its middle.
#[inline(always)]
fn direction(turn: u32) -> (f32, f32) {
    const STEP: f32 = std::f32::consts::FRAC_PI_2 / 4_194_304.0;
    let angle = ((turn & 0x003f_ffff) as i32 as f32 - 2_097_151.5) * STEP;
    let square = angle * angle;
    // Errors below 4e-8 up to pi/4, before rounding.
    let sine = angle
        + angle * square * (-0.166_666_55 + square * (0.008_332_178 - square * 0.000_195_173_04));
    let cosine =
        1.0 + square * (-0.499_998_95 + square * (0.041_656_295 - square * 0.001_359_782_8));
    turned(cosine, sine, turn >> 22)
}

/// Turns a vector by `quadrant` right angles: swaps its coordinates if that is odd, then negates
/// each or not.
#[inline(always)]
fn turned(cosine: f32, sine: f32, quadrant: u32) -> (f32, f32) {
    let odd = (quadrant & 1).wrapping_neg();
    let differing = (sine.to_bits() ^ cosine.to_bits()) & odd;
    let negate_first = (quadrant.wrapping_add(1) & 2) << 30;
    let negate_second = (quadrant & 2) << 30;
    (
        f32::from_bits(cosine.to_bits() ^ differing ^ negate_first),
        f32::from_bits(sine.to_bits() ^ differing ^ negate_second),
    )
}

#[cfg(test)]
mod tests;
