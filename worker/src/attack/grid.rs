//! Points on the grid of pixel values, inside a ball.
//!
//! The pipeline adds noise on a grid to images on that grid. So a point that an attack reports lies
//! on it, and its distance from the image is computed without rounding.

use ddrs_common::data::Image;
use ddrs_common::domain::Radius;
use ddrs_common::grid::Grid;

/// An image on the grid, and its distance from another image.
#[derive(Debug, Clone, PartialEq)]
pub struct GridPoint {
    /// The image.
    pub image: Image,
    /// The L2 distance, rounded up.
    pub distance: Radius,
}

/// The largest multiple of an offset that is tried. An offset of less than half a step of the grid
/// in every pixel must grow before it changes anything.
const MAX_SCALE: f64 = 16.0;

/// Halvings of the interval of scales: more than a point's distance can tell apart.
const HALVINGS: u32 = 40;

/// An image in units of the grid, and the direction in which to leave it.
struct GridRay {
    grid: Grid,
    /// The image's pixels; integers if it lies on the grid.
    origin: Vec<f64>,
    offset: Vec<f64>,
}

/// The pixels of a point as integers, and its distance in units of pixels in \[0, 1\].
struct Rounded {
    levels: Vec<u32>,
    distance: f64,
}

/// Returns the point of the grid that lies farthest from `image` in the direction of `moved`, among
/// those at a distance strictly below `radius`. `None` if even the point next to the image is too
/// far, which happens only to images off the grid.
///
/// `moved` has one value per pixel of the image.
#[must_use]
pub fn farthest_inside(
    grid: Grid,
    image: &Image,
    moved: &[f32],
    radius: Radius,
) -> Option<GridPoint> {
    let ray = GridRay::new(grid, &image.pixels, moved);
    let nearest = ray.inside(0.0, radius)?;
    let farthest = ray.farthest(radius).unwrap_or(nearest);
    Some(point(grid, &farthest, image.shape))
}

fn point(grid: Grid, rounded: &Rounded, shape: [usize; 3]) -> GridPoint {
    let levels = rounded.levels.iter();
    GridPoint {
        image: Image {
            shape,
            pixels: levels.map(|&level| pixel(grid, level)).collect(),
        },
        // A distance is finite and not negative.
        distance: Radius::new(rounded.distance).unwrap_or(Radius::ZERO),
    }
}

/// Returns the pixel of a level, as datasets read it.
fn pixel(grid: Grid, level: u32) -> f32 {
    level as f32 / grid.get() as f32
}

/// Returns a pixel in units of the grid: an integer for the pixel of a level, else its value
/// without rounding.
fn units(grid: Grid, value: f32) -> f64 {
    let exact = f64::from(value) * f64::from(grid.get());
    let level = exact.round().clamp(0.0, f64::from(grid.get()));
    if pixel(grid, level as u32) == value {
        level
    } else {
        exact
    }
}

impl GridRay {
    fn new(grid: Grid, image: &[f32], moved: &[f32]) -> Self {
        let per_unit = f64::from(grid.get());
        let offset = |(&to, &from): (&f32, &f32)| (f64::from(to) - f64::from(from)) * per_unit;
        Self {
            grid,
            origin: image.iter().map(|&pixel| units(grid, pixel)).collect(),
            offset: moved.iter().zip(image).map(offset).collect(),
        }
    }

    /// Returns the point at the largest scale that stays inside. For an image on the grid, the
    /// distance never falls as the scale grows.
    fn farthest(&self, radius: Radius) -> Option<Rounded> {
        if let Some(point) = self.inside(MAX_SCALE, radius) {
            return Some(point);
        }
        let mut best = None;
        let mut scales = 0.0..MAX_SCALE;
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(scales.start, scales.end);
            match self.inside(middle, radius) {
                Some(point) => {
                    best = Some(point);
                    scales.start = middle;
                }
                None => scales.end = middle,
            }
        }
        best
    }

    /// Returns the point at this multiple of the offset, if it is strictly inside.
    fn inside(&self, scale: f64, radius: Radius) -> Option<Rounded> {
        let point = self.rounded(scale);
        (point.distance < radius.get()).then_some(point)
    }

    fn rounded(&self, scale: f64) -> Rounded {
        let most = f64::from(self.grid.get());
        let pixels = self.origin.iter().zip(&self.offset);
        let levels: Vec<f64> = pixels
            .map(|(origin, offset)| (origin + scale * offset).round().clamp(0.0, most))
            .collect();
        Rounded {
            distance: self.distance(&levels),
            levels: levels.into_iter().map(|level| level as u32).collect(),
        }
    }

    /// Returns the distance of levels from the origin, rounded up.
    fn distance(&self, levels: &[f64]) -> f64 {
        let pixels = levels.iter().zip(&self.origin);
        let squares = pixels.map(|(level, origin)| (level - origin).powi(2));
        let sum: f64 = squares.sum();
        if sum == 0.0 {
            return 0.0;
        }
        // A sum of integers below 2^53 is exact. Otherwise each addition rounds, by less in all
        // than this margin.
        let sum = if self.is_on_grid() {
            sum
        } else {
            sum * (1.0 + 1e-6)
        };
        // The root and the quotient are each rounded to the nearest.
        (sum.sqrt().next_up() / f64::from(self.grid.get())).next_up()
    }

    fn is_on_grid(&self) -> bool {
        self.origin.iter().all(|units| units.fract() == 0.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const GRID: Grid = Grid::BYTES;

    fn image(pixels: Vec<f32>) -> Image {
        Image {
            shape: [1, 1, pixels.len()],
            pixels,
        }
    }

    fn radius(value: f64) -> Radius {
        Radius::new(value).unwrap()
    }

    fn levels(point: &Image) -> Vec<u32> {
        let level = |&value: &f32| {
            let level = (value * 255.0).round() as u32;
            assert_eq!(pixel(GRID, level), value, "not on the grid");
            level
        };
        point.pixels.iter().map(level).collect()
    }

    /// The squared distance in units of the grid, in integers.
    fn squared(a: &[u32], b: &[u32]) -> u64 {
        let pixels = a.iter().zip(b);
        pixels.map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum()
    }

    #[test]
    fn every_point_is_on_the_grid_and_strictly_inside_and_close_to_the_sphere() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for case in 0..200 {
            let r: f64 = 0.02 + 1.5 * rng.random::<f64>();
            let pixels: Vec<u32> = (0..3072).map(|_| rng.random_range(0..=255)).collect();
            let given = image(pixels.iter().map(|&level| pixel(GRID, level)).collect());
            let moved: Vec<f32> = given
                .pixels
                .iter()
                .map(|pixel| (pixel + 0.05 * (rng.random::<f32>() - 0.5)).clamp(0.0, 1.0))
                .collect();
            let point = farthest_inside(GRID, &given, &moved, radius(r)).unwrap();
            let exact = squared(&levels(&point.image), &pixels) as f64;
            // distance · 255 is at least the root of the sum, and no further than rounding.
            let found = point.distance.get();
            assert!((found * 255.0).powi(2) >= exact, "case {case}");
            assert!(
                (found * 255.0).powi(2) <= exact * (1.0 + 1e-12) + 1e-300,
                "case {case}"
            );
            assert!(found < r, "case {case}: {found} is not inside {r}");
            assert!(found > 0.9 * r, "case {case}: {found} is far inside {r}");
        }
    }

    #[test]
    fn a_radius_of_exactly_the_distance_is_not_inside() {
        let given = image(vec![0.0; 4]);
        let step = [pixel(GRID, 51), 0.0, 0.0, 0.0];
        // 51 levels are 0.2.
        let point = farthest_inside(GRID, &given, &step, radius(0.2)).unwrap();
        assert_eq!(levels(&point.image), [50, 0, 0, 0]);
        let point = farthest_inside(GRID, &given, &step, radius(0.2001)).unwrap();
        assert_eq!(levels(&point.image), [51, 0, 0, 0]);
    }

    #[test]
    fn a_radius_below_one_level_leaves_the_image() {
        let given = image(vec![0.0, pixel(GRID, 7)]);
        let point = farthest_inside(GRID, &given, &[1.0, 0.0], radius(0.003)).unwrap();
        assert_eq!(point.image, given);
        assert_eq!(point.distance, Radius::ZERO);
    }

    #[test]
    fn a_point_near_an_image_off_the_grid_is_measured_from_the_image() {
        let given = image(vec![0.5; 4]);
        // The next levels are half a level away in each of 4 pixels: 1/255.
        assert_eq!(
            farthest_inside(GRID, &given, &[0.5; 4], radius(0.0039)),
            None
        );
        let point = farthest_inside(GRID, &given, &[0.6, 0.5, 0.5, 0.5], radius(0.1)).unwrap();
        let found = levels(&point.image);
        assert!(found[0] > 145 && found[1..] == [128; 3], "{found:?}");
        let exact = (f64::from(found[0]) - 127.5).hypot(0.75_f64.sqrt()) / 255.0;
        assert!(point.distance.get() >= exact && point.distance.get() < exact + 1e-6);
    }
}
