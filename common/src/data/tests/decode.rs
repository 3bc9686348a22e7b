#![allow(clippy::unwrap_used)]

use image::{GrayAlphaImage, GrayImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgba, RgbaImage};

use super::*;
use crate::data::tests::{difference, encoded, fixture, formula};

#[test]
fn jpegs_decode_as_pillow_decodes_them() {
    for name in ["baseline-420", "progressive-420", "baseline-444", "cmyk"] {
        let image = decode(&fixture(&format!("{name}.jpg"))).unwrap();
        assert_eq!((image.width, image.height), (37, 29), "{name}");
        let (worst, within_one) = difference(&image.bytes, &fixture(&format!("{name}.rgb")));
        assert!(
            worst <= 3 && within_one > 0.97,
            "{name}: {worst} {within_one}"
        );
    }
}

#[test]
fn all_other_formats_of_torchvision_decode_as_pillow_decodes_them() {
    for (name, tolerance) in [
        ("colour.bmp", 0),
        ("palette.bmp", 0),
        ("colour.ppm", 0),
        ("text.ppm", 0),
        ("grey.pgm", 0),
        ("hundred.pgm", 1),
        ("lzw.tif", 0),
        ("grey.tiff", 0),
        ("lossless.webp", 0),
        ("lossy.webp", 3),
        ("alpha.webp", 0),
    ] {
        let image = decode(&fixture(name)).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_eq!((image.width, image.height), (37, 29), "{name}");
        let (worst, _) = difference(&image.bytes, &fixture(&format!("{name}.rgb")));
        assert!(worst <= tolerance, "{name}: {worst}");
    }
}

#[test]
fn pngs_keep_every_pixel() {
    let image = formula(31, 17);
    assert_eq!(
        decode(&encoded(image.clone(), ImageFormat::Png))
            .unwrap()
            .bytes,
        image.into_raw()
    );
}

#[test]
fn grey_images_get_three_equal_channels() {
    let image = GrayImage::from_fn(8, 8, |x, y| Luma([(x * 9 + y) as u8]));
    let expected: Vec<u8> = image.as_raw().iter().flat_map(|&grey| [grey; 3]).collect();
    assert_eq!(
        decode(&encoded(image.clone(), ImageFormat::Png))
            .unwrap()
            .bytes,
        expected
    );
    let jpeg = decode(&encoded(image, ImageFormat::Jpeg)).unwrap();
    assert!(jpeg.bytes.chunks(3).all(|p| p[0] == p[1] && p[1] == p[2]));
}

#[test]
fn alpha_is_dropped_not_blended() {
    let image = RgbaImage::from_pixel(2, 1, Rgba([200, 100, 50, 0]));
    assert_eq!(
        decode(&encoded(image, ImageFormat::Png)).unwrap().bytes,
        [200, 100, 50, 200, 100, 50]
    );
    let image = GrayAlphaImage::from_pixel(1, 1, LumaA([70, 3]));
    assert_eq!(
        decode(&encoded(image, ImageFormat::Png)).unwrap().bytes,
        [70, 70, 70]
    );
}

#[test]
fn sixteen_bits_give_their_high_byte() {
    let grey: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_pixel(1, 1, Luma([0x12ff]));
    assert_eq!(
        decode(&encoded(grey, ImageFormat::Png)).unwrap().bytes,
        [0x12; 3]
    );
    let colour: ImageBuffer<image::Rgb<u16>, Vec<u16>> =
        ImageBuffer::from_pixel(1, 1, image::Rgb([0x1280, 0xffff, 0x00ff]));
    assert_eq!(
        decode(&encoded(colour, ImageFormat::Png)).unwrap().bytes,
        [0x12, 0xff, 0]
    );
    let alpha: ImageBuffer<Rgba<u16>, Vec<u16>> =
        ImageBuffer::from_pixel(1, 1, Rgba([0x1280, 0xffff, 0x00ff, 9]));
    assert_eq!(
        decode(&encoded(alpha, ImageFormat::Png)).unwrap().bytes,
        [0x12, 0xff, 0]
    );
}

#[test]
fn one_pixel_is_an_image() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let image = decode(&encoded(formula(1, 1), format)).unwrap();
        assert_eq!((image.width, image.height, image.bytes.len()), (1, 1, 3));
    }
}

#[test]
fn the_first_bytes_tell_the_format_not_the_name() {
    assert!(matches!(decode(b""), Err(Fault::Empty)));
    assert!(matches!(decode(b"GIF89a"), Err(Fault::UnknownFormat)));
    assert!(matches!(decode(b"\xff\xd8\xff"), Err(Fault::Truncated)));
}

#[test]
fn a_jpeg_cut_anywhere_is_an_error() {
    for name in ["baseline-420.jpg", "progressive-420.jpg", "cmyk.jpg"] {
        let file = fixture(name);
        for length in 3..file.len() {
            assert!(
                matches!(decode(&file[..length]), Err(Fault::Truncated)),
                "{name} at {length}"
            );
        }
    }
}

#[test]
fn a_png_cut_before_its_last_pixel_is_an_error() {
    let file = encoded(formula(40, 30), ImageFormat::Png);
    let data = file
        .windows(4)
        .rposition(|window| window == b"IEND")
        .unwrap()
        - 8;
    for length in 8..data {
        assert!(decode(&file[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_damaged_file_never_panics() {
    let png = encoded(formula(20, 20), ImageFormat::Png);
    for file in [
        fixture("baseline-420.jpg"),
        fixture("progressive-420.jpg"),
        fixture("cmyk.jpg"),
        png,
    ] {
        let undamaged = decode(&file).unwrap();
        let mut differed = 0;
        for place in 0..file.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = file.clone();
                damaged[place] ^= flip;
                differed += usize::from(decode(&damaged).ok().as_ref() != Some(&undamaged));
            }
        }
        assert!(differed > 100, "{differed}");
    }
}

#[test]
fn huge_sizes_are_refused_before_memory_is_taken() {
    // The frame header: marker, length, precision, then height and width.
    let mut jpeg = fixture("baseline-420.jpg");
    let frame = jpeg
        .windows(2)
        .position(|window| window == b"\xff\xc0")
        .unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    let error = decode(&jpeg).unwrap_err();
    assert!(
        matches!(
            error,
            Fault::TooLarge {
                width: 65535,
                height: 65535
            }
        ),
        "{error}"
    );

    // The PNG header with its checksum, and an image of one pixel after it.
    let mut png = encoded(formula(1, 1), ImageFormat::Png);
    png[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let checksum = crc32(&png[12..29]).to_be_bytes();
    png[29..33].copy_from_slice(&checksum);
    let error = decode(&png).unwrap_err();
    assert!(
        matches!(
            error,
            Fault::TooLarge {
                width: 65536,
                height: 65536
            }
        ),
        "{error}"
    );
}

/// The checksum of a PNG chunk (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            if sum & 1 == 1 {
                sum >> 1 ^ 0xedb8_8320
            } else {
                sum >> 1
            }
        })
    })
}
