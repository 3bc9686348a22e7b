#![allow(clippy::unwrap_used)]

use super::*;
use crate::data::tests::{difference, fixture, formula};

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
        let ours = center_crop(&resize(rgb(width, height), size).unwrap(), crop).unwrap();
        let (worst, _) = difference(&ours.bytes, &fixture(&name));
        assert!(worst <= 1, "{name}: {worst}");
    }
}

#[test]
fn the_longer_side_is_rounded_down() {
    for ((width, height), expected) in [
        ((500, 375), (341, 256)),
        ((375, 500), (256, 341)),
        ((300, 300), (256, 256)),
        ((1, 3), (256, 768)),
    ] {
        let image = resize(rgb(width, height), 256).unwrap();
        assert_eq!((image.width, image.height), expected);
        assert_eq!(image.bytes.len() as u32, 3 * image.width * image.height);
    }
}

#[test]
fn a_shorter_side_of_the_right_size_is_left_alone() {
    assert_eq!(resize(rgb(32, 45), 32).unwrap(), rgb(32, 45));
}

#[test]
fn a_sliver_that_would_become_huge_is_refused() {
    let sliver = Rgb {
        width: 60_000,
        height: 1,
        bytes: vec![0; 180_000],
    };
    let error = resize(sliver, 256).unwrap_err();
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
