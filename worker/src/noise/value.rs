//! The number formats of network inputs.

/// A number format of network inputs, in this machine's byte order.
pub trait NoisyValue: Copy + Default {
    /// Rounds to the nearest value, ties to even.
    fn round(value: f32) -> Self;
}

impl NoisyValue for f32 {
    fn round(value: f32) -> Self {
        value
    }
}

/// The format bfloat16.
impl NoisyValue for [u8; 2] {
    fn round(value: f32) -> Self {
        let bits = value.to_bits();
        let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
        // Rounding up could carry a NaN over into a number.
        let kept = if value.is_nan() { 0x7fc0_0000 } else { rounded };
        ((kept >> 16) as u16).to_ne_bytes()
    }
}

#[cfg(test)]
mod tests;
