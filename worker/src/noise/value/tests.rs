use super::*;

#[test]
fn shorter_numbers_are_the_nearest_and_of_two_the_even_one() {
    let round = |bits: u32| u16::from_ne_bytes(<[u8; 2]>::round(f32::from_bits(bits)));
    for (bits, expected) in [
        (0x3f80_7fff, 0x3f80),
        (0x3f80_8000, 0x3f80),
        (0x3f81_8000, 0x3f82),
        (0x3f80_8001, 0x3f81),
        (0xbf80_8001, 0xbf81),
        (0x7f7f_ffff, 0x7f80),
        (0xff80_0000, 0xff80),
    ] {
        assert_eq!(round(bits), expected, "{bits:x}");
    }
    for nan in [0x7fff_ffff, 0xffff_ffff, 0x7f80_0001] {
        assert_eq!(round(nan), 0x7fc0, "{nan:x}");
    }
}
