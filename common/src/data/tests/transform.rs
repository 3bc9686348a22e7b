#![allow(clippy::unwrap_used)]

use super::*;
use crate::data::tests::{difference, fixture, formula};
use Interpolation::{Bicubic, Bilinear};
use ResizeTo::Shorter;

fn bilinear(image: Rgb, shorter: u32) -> Result<Rgb, Fault> {
    resize(image, Shorter(shorter), Bilinear)
}

fn exact(height: u32, width: u32) -> ResizeTo {
    ResizeTo::Exact { height, width }
}

fn rgb(width: u32, height: u32) -> Rgb {
    Rgb {
        width,
        height,
        bytes: formula(width, height).into_raw(),
    }
}

#[test]
fn resize_and_crop_agree_with_torchvision() {
    for (width, height, size, crop) in [
        (97, 61, 32, 27),
        (61, 97, 40, 33),
        (7, 5, 20, 24),
        (30, 31, 30, 30),
    ] {
        let name = format!("resize-{width}x{height}-{size}-{crop}.rgb");
        let ours = center_crop(&bilinear(rgb(width, height), size).unwrap(), crop).unwrap();
        let (worst, _) = difference(&ours.bytes, &fixture(&name));
        assert!(worst <= 1, "{name}: {worst}");
    }
}

#[test]
fn both_sides_and_both_filters_agree_with_torchvision() {
    for (interpolation, width, height, size, name) in [
        (Bicubic, 97, 61, Shorter(32), "bicubic-97x61-32.rgb"),
        (Bicubic, 7, 5, Shorter(20), "bicubic-7x5-20.rgb"),
        (Bicubic, 61, 97, exact(25, 48), "bicubic-61x97-25x48.rgb"),
        (Bilinear, 61, 97, exact(25, 48), "bilinear-61x97-25x48.rgb"),
        (Bilinear, 7, 5, exact(5, 12), "bilinear-7x5-5x12.rgb"),
    ] {
        let ours = resize(rgb(width, height), size, interpolation).unwrap();
        let (worst, within_one) = difference(&ours.bytes, &fixture(name));
        assert!(
            worst <= 2 && within_one > 0.98,
            "{name}: {worst} {within_one}"
        );
    }
}

#[test]
fn an_exact_size_gives_that_height_and_width() {
    let image = resize(rgb(97, 61), exact(25, 48), Bilinear).unwrap();
    assert_eq!((image.height, image.width), (25, 48));
    assert_eq!(resize(rgb(9, 7), exact(7, 9), Bicubic).unwrap(), rgb(9, 7));
}

#[test]
fn the_longer_side_is_rounded_down() {
    for ((width, height), expected) in [
        ((500, 375), (341, 256)),
        ((375, 500), (256, 341)),
        ((300, 300), (256, 256)),
        ((1, 3), (256, 768)),
    ] {
        let image = bilinear(rgb(width, height), 256).unwrap();
        assert_eq!((image.width, image.height), expected);
        assert_eq!(image.bytes.len() as u32, 3 * image.width * image.height);
    }
}

#[test]
fn a_shorter_side_of_the_right_size_is_left_alone() {
    assert_eq!(bilinear(rgb(32, 45), 32).unwrap(), rgb(32, 45));
}

#[test]
fn a_sliver_that_would_become_huge_is_refused() {
    let sliver = Rgb {
        width: 60_000,
        height: 1,
        bytes: vec![0; 180_000],
    };
    let error = bilinear(sliver, 256).unwrap_err();
    assert!(
        matches!(
            error,
            Fault::TooLarge {
                width: 15_360_000,
                height: 256
            }
        ),
        "{error}"
    );
    assert!(center_crop(&rgb(2, 2), u32::MAX).is_err());
}

#[test]
fn half_a_pixel_goes_to_the_even_neighbour() {
    // Python: [round(n / 2) for n in range(8)]
    assert_eq!(
        [0, 1, 2, 3, 4, 5, 6, 7].map(half_to_even),
        [0, 0, 1, 2, 2, 2, 3, 4]
    );
}

#[test]
fn pixels_become_planes_of_values_up_to_one() {
    let image = Rgb {
        width: 2,
        height: 1,
        bytes: vec![255, 51, 0, 0, 102, 255],
    };
    let image = Transform {
        resize: None,
        interpolation: Bilinear,
        crop: None,
    }
    .apply(image)
    .unwrap();
    assert_eq!(
        to_float(&image),
        Image {
            shape: [3, 1, 2],
            pixels: vec![1.0, 0.0, 0.2, 0.4, 0.0, 1.0]
        }
    );
}
