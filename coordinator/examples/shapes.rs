//! Coloured shapes: a small set of images in ten classes, made from a seed, for a first look at
//! real certificates.
//!
//! ```text
//! shapes DIR     writes DIR/train (500 images a class) and DIR/test (50 a class), 32 x 32 PNG files
//! ```
//!
//! Every shape has a colour, place, size and angle of its own, on a background of two other
//! colours, and some noise.

use std::f32::consts::{PI, TAU};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use image::{Rgb, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SIDE: u32 = 32;
const SEED: u64 = 20_220_802;
/// Points to a side of a pixel, for smooth edges.
const POINTS: u32 = 3;
const LEAST_CONTRAST: f32 = 0.5;

/// Whether a point is inside a shape of radius 1 around the origin.
type Inside = fn(f32, f32) -> bool;

const CLASSES: [(&str, Inside); 10] = [
    ("checks", |x, y| {
        square(x, y, 0.9) && ((x * 2.2).floor() + (y * 2.2).floor()).rem_euclid(2.0) < 1.0
    }),
    ("circle", |x, y| x.hypot(y) < 0.9),
    ("cross", |x, y| {
        square(x, y, 0.95) && (x.abs() < 0.3 || y.abs() < 0.3)
    }),
    ("crescent", |x, y| {
        x.hypot(y) < 0.95 && (x - 0.45).hypot(y) > 0.75
    }),
    ("hourglass", |x, y| square(x, y, 0.9) && x.abs() < y.abs()),
    ("ring", |x, y| (0.5..0.95).contains(&x.hypot(y))),
    ("square", |x, y| square(x, y, 0.75)),
    ("star", |x, y| {
        x.hypot(y) < 0.62 + 0.38 * (5.0 * y.atan2(x)).cos()
    }),
    ("stripes", |x, y| {
        square(x, y, 0.9) && (x * 2.2).rem_euclid(1.0) < 0.5
    }),
    ("triangle", |x, y| y < 0.6 && y > 1.9 * x.abs() - 0.95),
];

fn square(x: f32, y: f32, half: f32) -> bool {
    x.abs() < half && y.abs() < half
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir] = arguments.as_slice() else {
        bail!("usage: shapes DIR")
    };
    for (part, stream, count) in [("train", 0, 500), ("test", 1, 50)] {
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        rng.set_stream(stream);
        for (class, inside) in CLASSES {
            let folder = Path::new(dir).join(part).join(class);
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
            for number in 0..count {
                let path = folder.join(format!("{number:03}.png"));
                draw(inside, &mut rng)
                    .save(&path)
                    .with_context(|| path.display().to_string())?;
            }
        }
    }
    Ok(())
}

fn draw(inside: Inside, rng: &mut ChaCha8Rng) -> RgbImage {
    let from: [f32; 3] = rng.random();
    let to: [f32; 3] = rng.random();
    let colour = far_from(&[from, to], rng);
    let size = rng.random_range(8.0..13.0);
    let centre = [rng.random_range(12.0..20.0), rng.random_range(12.0..20.0)];
    let (sin, cos) = rng.random_range(-PI / 8.0..PI / 8.0).sin_cos();
    let (down, across) = rng.random_range(0.0..TAU).sin_cos();
    let mut image = RgbImage::new(SIDE, SIDE);
    for (column, row, pixel) in image.enumerate_pixels_mut() {
        let point = |i: u32| (i as f32 + 0.5) / POINTS as f32;
        let covered = |i: u32| {
            let (x, y) = (
                column as f32 + point(i % POINTS) - centre[0],
                row as f32 + point(i / POINTS) - centre[1],
            );
            inside((cos * x + sin * y) / size, (cos * y - sin * x) / size)
        };
        let part =
            (0..POINTS * POINTS).filter(|&i| covered(i)).count() as f32 / (POINTS * POINTS) as f32;
        let slope = (0.5 + (across * (column as f32 - 16.0) + down * (row as f32 - 16.0)) / 45.0)
            .clamp(0.0, 1.0);
        let channel = |c: usize| {
            let behind = from[c] + slope * (to[c] - from[c]);
            let value = behind + part * (colour[c] - behind) + rng.random_range(-0.04..0.04);
            (value.clamp(0.0, 1.0) * 255.0).round() as u8
        };
        *pixel = Rgb([0, 1, 2].map(channel));
    }
    image
}

/// A colour that stands out against others.
fn far_from(others: &[[f32; 3]], rng: &mut ChaCha8Rng) -> [f32; 3] {
    loop {
        let colour: [f32; 3] = rng.random();
        let distance = |other: &[f32; 3]| {
            other
                .iter()
                .zip(colour)
                .map(|(a, b)| (a - b).powi(2))
                .sum::<f32>()
                .sqrt()
        };
        if others.iter().all(|other| distance(other) > LEAST_CONTRAST) {
            return colour;
        }
    }
}
