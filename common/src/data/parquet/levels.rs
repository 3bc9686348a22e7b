//! Parquet's hybrid of runs and bit-packed groups, in which it writes levels and indices.

/// Decodes `count` numbers of `width` bits; `None` if they are cut off or the width is too large.
pub(super) fn decode(bytes: &[u8], width: u32, count: usize) -> Option<Vec<u32>> {
    if width > 32 {
        return None;
    }
    let mut input = HybridInput { bytes, width };
    let mut numbers = Vec::new();
    while numbers.len() < count {
        input.run(count - numbers.len(), &mut numbers)?;
    }
    Some(numbers)
}

/// The number of bits that hold numbers up to `most`.
pub(super) fn width_of(most: u32) -> u32 {
    u32::BITS - most.leading_zeros()
}

struct HybridInput<'a> {
    bytes: &'a [u8],
    width: u32,
}

impl HybridInput<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// Reads one run, of which at most `most` numbers are taken.
    fn run(&mut self, most: usize, numbers: &mut Vec<u32>) -> Option<()> {
        let head = self.varint()?;
        let length = usize::try_from(head >> 1).ok()?;
        if head & 1 == 1 {
            return self.packed(length.checked_mul(8)?, most, numbers);
        }
        if length == 0 {
            return None;
        }
        let bytes = self.take(self.width.div_ceil(8) as usize)?;
        let number = bytes
            .iter()
            .rev()
            .fold(0, |number, &byte| number << 8 | u32::from(byte));
        numbers.extend(std::iter::repeat_n(number, length.min(most)));
        Some(())
    }

    fn packed(&mut self, length: usize, most: usize, numbers: &mut Vec<u32>) -> Option<()> {
        if length == 0 {
            return None;
        }
        let width = self.width as usize;
        let bytes = self.take(length.checked_mul(width)? / 8)?;
        let number = |i: usize| bits(bytes, i * width, width);
        numbers.extend((0..length.min(most)).map(number));
        Some(())
    }
}

/// The number in `width` bits from bit `from` on, the lowest first.
fn bits(bytes: &[u8], from: usize, width: usize) -> u32 {
    let bit = |i: usize| u32::from(bytes[(from + i) / 8] >> ((from + i) % 8) & 1) << i;
    (0..width).map(bit).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn runs_and_packed_groups_follow_each_other() {
        // The example of Parquet's description: the numbers 0 to 7 in 3 bits.
        let packed = [0x03, 0x88, 0xc6, 0xfa];
        assert_eq!(decode(&packed, 3, 8).unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
        let both = [&[0x06, 5][..], &packed].concat();
        assert_eq!(decode(&both, 3, 5).unwrap(), [5, 5, 5, 0, 1]);
        assert_eq!(decode(&[0x04, 0x2c, 0x01], 9, 2).unwrap(), [300, 300]);
        assert_eq!(decode(&[0x04], 0, 2).unwrap(), [0, 0]);
        assert_eq!([0, 1, 2, 255, 256].map(width_of), [0, 1, 2, 8, 9]);
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        for bytes in [
            &[][..],
            &[0x03, 0x88],
            &[0x06],
            &[0x00],
            &[0x01],
            &[0xff; 9],
        ] {
            assert_eq!(decode(bytes, 3, 4), None, "{bytes:?}");
        }
        assert_eq!(decode(&[0x08, 0, 0, 0, 0, 0], 33, 1), None);
    }
}
