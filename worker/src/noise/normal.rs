//! Uniform bits to normal values, the same to the last bit on every machine.
//!
//! The transform of Box and Muller (1958) in single precision: of two uniform numbers one gives the
//! length, the other the direction of a vector whose two coordinates are independent standard
//! normal values. Only additions, multiplications, square roots and integer operations are used,
//! which IEEE 754 rounds in one way; logarithm, sine and cosine are polynomials written out here,
//! because those of a system's mathematical library differ from machine to machine. The loop has no
//! branch, so compilers turn it into vector instructions.
//!
//! A length takes 39 uniform bits, so values reach 7.4; a direction takes 24.

use rand::Rng;

/// Values made at once. Pairs lie `PAIRS` apart, which is what lets a loop over them become vector
/// instructions.
pub(super) const BLOCK: usize = 2 * PAIRS;
const PAIRS: usize = 64;

/// Fills a block with standard normal values.
#[inline]
pub(super) fn fill(bits: &mut impl Rng, values: &mut [f32; BLOCK]) {
    let mut words = [[0u32; PAIRS]; 2];
    let [coarse, fine] = &mut words;
    for (low, high) in coarse.iter_mut().zip(&mut *fine) {
        let both = bits.next_u64();
        (*low, *high) = (both as u32, (both >> 32) as u32);
    }
    let (cosines, sines) = values.split_at_mut(PAIRS);
    // Nothing is counted here: a counter that is checked for overflow would keep this from becoming
    // vector instructions.
    for ((first, second), (&low, &high)) in
        cosines.iter_mut().zip(sines).zip(coarse.iter().zip(&*fine))
    {
        let (length, (cosine, sine)) = (length(low, high), direction(high >> 8));
        (*first, *second) = (length * cosine, length * sine);
    }
}

/// sqrt(-2 ln u), where u is uniform on (0, 1]: 31 bits of `coarse`, and below them the last eight
/// of `fine`.
#[inline(always)]
fn length(coarse: u32, fine: u32) -> f32 {
    // SQRT_HALF <= mantissa < 2 SQRT_HALF, so that the logarithm's argument is near 1 where it is
    // near 0.
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let below = ((fine & 0xff) as i32 as f32 + 0.5) * (1.0 / 256.0);
    let uniform = (coarse >> 1) as i32 as f32 + below;
    let shifted = uniform.to_bits().wrapping_sub(SQRT_HALF);
    // `uniform` is u times 2^31.
    let exponent = ((shifted as i32) >> 23).wrapping_sub(31) as f32;
    let mantissa = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(SQRT_HALF));
    let logarithm = exponent * std::f32::consts::LN_2 + ln_1p(mantissa - 1.0);
    (logarithm * -2.0).sqrt()
}

/// ln(1 + t) for 1 + t from sqrt(1/2) to sqrt(2), with a relative error below 2e-7 before rounding.
#[expect(
    clippy::inline_always,
    reason = "a call would keep the loop from becoming vector instructions"
)]
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

/// Cosine and sine of a uniform angle that 24 bits number: two the quadrant, the others the angle
/// from its middle.
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
    // Turned by as many right angles as the quadrant says: swapped where it is odd, and then
    // negated or not.
    let quadrant = turn >> 22;
    let odd = (quadrant & 1).wrapping_neg();
    let (sine, cosine) = (sine.to_bits(), cosine.to_bits());
    let differing = (sine ^ cosine) & odd;
    let (first, second) = (cosine ^ differing, sine ^ differing);
    let negate_first = (quadrant.wrapping_add(1) & 2) << 30;
    let negate_second = (quadrant & 2) << 30;
    (
        f32::from_bits(first ^ negate_first),
        f32::from_bits(second ^ negate_second),
    )
}

#[cfg(test)]
mod tests;
