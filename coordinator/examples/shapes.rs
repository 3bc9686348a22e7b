//! Coloured shapes: a small set of images in ten classes, drawn from a seed, for a first look at
//! real certificates.
//!
//! ```text
//! shapes DIR     writes 32 x 32 PNG files: 500 images per class into DIR/train, 50 into DIR/test
//! ```
//!
//! Every shape has its own colour, place, size and angle, on a background that changes from one
//! other colour to another, and some noise.

use std::f32::consts::{PI, TAU};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use image::{Rgb, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SIDE: u32 = 32;
const SEED: u64 = 20_220_802;
/// Points per side of a pixel, for smooth edges.
const POINTS: u32 = 3;
const MIN_CONTRAST: f32 = 0.5;

/// Returns true if a point is inside a shape of radius 1 around the origin.
type Inside = fn(f32, f32) -> bool;

type Colour = [f32; 3];

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

/// A part of the data.
struct Part {
    folder: &'static str,
    /// The number of the random stream.
    stream: u64,
    /// The number of images per class.
    images: u32,
}

const PARTS: [Part; 2] = [
    Part {
        folder: "train",
        stream: 0,
        images: 500,
    },
    Part {
        folder: "test",
        stream: 1,
        images: 50,
    },
];

fn square(x: f32, y: f32, half: f32) -> bool {
    x.abs() < half && y.abs() < half
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir] = arguments.as_slice() else {
        bail!("usage: shapes DIR")
    };
    PARTS
        .iter()
        .try_for_each(|part| write_part(Path::new(dir), part))
}

/// Writes a part of the data, which has its own random stream.
fn write_part(dir: &Path, part: &Part) -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    rng.set_stream(part.stream);
    for (class, inside) in CLASSES {
        let folder = dir.join(part.folder).join(class);
        write_class(&folder, inside, part.images, &mut rng)?;
    }
    Ok(())
}

fn write_class(folder: &Path, inside: Inside, count: u32, rng: &mut ChaCha8Rng) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for number in 0..count {
        let image = Drawing::random(inside, rng).render(rng);
        write_image(&folder.join(format!("{number:03}.png")), &image)?;
    }
    Ok(())
}

fn write_image(path: &Path, image: &RgbImage) -> Result<()> {
    image.save(path).with_context(|| path.display().to_string())
}

/// A shape of one colour before a background.
struct Drawing {
    colour: Colour,
    shape: PlacedShape,
    background: Background,
}

impl Drawing {
    /// Chooses colours, place and size. The order of the random numbers decides which images a
    /// seed gives.
    fn random(inside: Inside, rng: &mut ChaCha8Rng) -> Self {
        let from = rng.random();
        let to = rng.random();
        Self {
            colour: contrasting_colour(&[from, to], rng),
            shape: PlacedShape::random(inside, rng),
            background: Background::random(from, to, rng),
        }
    }

    /// Renders the image with noise.
    fn render(&self, rng: &mut ChaCha8Rng) -> RgbImage {
        let mut image = RgbImage::new(SIDE, SIDE);
        for (column, row, pixel) in image.enumerate_pixels_mut() {
            *pixel = with_noise(self.colour_of(column, row), rng);
        }
        image
    }

    fn colour_of(&self, column: u32, row: u32) -> Colour {
        let part = self.shape.covered_part(column, row);
        let behind = self.background.colour(column, row);
        [0, 1, 2].map(|c| mix(behind[c], self.colour[c], part))
    }
}

fn with_noise(colour: Colour, rng: &mut ChaCha8Rng) -> Rgb<u8> {
    Rgb(colour.map(|value| to_byte(value + rng.random_range(-0.04..0.04))))
}

fn to_byte(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0).round() as u8
}

fn mix(from: f32, to: f32, part: f32) -> f32 {
    from + part * (to - from)
}

/// A shape with its place in the image.
struct PlacedShape {
    inside: Inside,
    size: f32,
    centre: [f32; 2],
    sin: f32,
    cos: f32,
}

impl PlacedShape {
    fn random(inside: Inside, rng: &mut ChaCha8Rng) -> Self {
        let size = rng.random_range(8.0..13.0);
        let centre = [rng.random_range(12.0..20.0), rng.random_range(12.0..20.0)];
        let (sin, cos) = rng.random_range(-PI / 8.0..PI / 8.0).sin_cos();
        Self {
            inside,
            size,
            centre,
            sin,
            cos,
        }
    }

    /// Returns the share of a pixel's points that the shape covers.
    fn covered_part(&self, column: u32, row: u32) -> f32 {
        let points = (0..POINTS * POINTS).map(|i| [i % POINTS, i / POINTS]);
        let covered = points.filter(|&[i, j]| self.covers(position(column, i), position(row, j)));
        covered.count() as f32 / (POINTS * POINTS) as f32
    }

    /// Returns true if the shape covers a point of the image.
    fn covers(&self, x: f32, y: f32) -> bool {
        self.covers_relative(x - self.centre[0], y - self.centre[1])
    }

    /// Returns true if the shape covers a point, given relative to its centre.
    fn covers_relative(&self, x: f32, y: f32) -> bool {
        let turned_x = self.cos * x + self.sin * y;
        let turned_y = self.cos * y - self.sin * x;
        (self.inside)(turned_x / self.size, turned_y / self.size)
    }
}

/// Returns the position along a side of the image of a point in a pixel.
fn position(pixel: u32, point: u32) -> f32 {
    pixel as f32 + (point as f32 + 0.5) / POINTS as f32
}

/// A background that changes from one colour to another in a direction.
struct Background {
    from: Colour,
    to: Colour,
    down: f32,
    across: f32,
}

impl Background {
    fn random(from: Colour, to: Colour, rng: &mut ChaCha8Rng) -> Self {
        let (down, across) = rng.random_range(0.0..TAU).sin_cos();
        Self {
            from,
            to,
            down,
            across,
        }
    }

    fn colour(&self, column: u32, row: u32) -> Colour {
        let along = self.across * (column as f32 - 16.0) + self.down * (row as f32 - 16.0);
        let part = (0.5 + along / 45.0).clamp(0.0, 1.0);
        [0, 1, 2].map(|c| mix(self.from[c], self.to[c], part))
    }
}

/// Draws colours until one has enough contrast with the others.
fn contrasting_colour(others: &[Colour], rng: &mut ChaCha8Rng) -> Colour {
    loop {
        let colour = rng.random();
        let has_contrast = |other: &Colour| distance(other, &colour) > MIN_CONTRAST;
        if others.iter().all(has_contrast) {
            return colour;
        }
    }
}

fn distance(one: &Colour, other: &Colour) -> f32 {
    let squares = one.iter().zip(other).map(|(a, b)| (a - b).powi(2));
    squares.sum::<f32>().sqrt()
}
