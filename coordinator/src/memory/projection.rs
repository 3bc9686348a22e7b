//! Block means: a short stand-in for a point that never overstates a distance.
//!
//! The sum over a block divided by the root of its size is the coordinate along a unit vector, and
//! vectors of disjoint blocks are orthogonal: together they are an orthogonal projection, under
//! which distances can only fall. So can the sum of any of its squared differences, and most pairs
//! are told apart by the first few.

use super::point::{Coordinate, Point};

/// Blocks along each way through a channel of an image; a vector has at most their square.
const GRID: usize = 8;

/// How many differences are summed between two looks at the sum.
const LANES: usize = 8;

/// A projected point.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Projection {
    /// The coordinates along the blocks' unit vectors, up to 64 a channel, and zeros at the end.
    blocks: Vec<[f64; LANES]>,
    /// How much farther a point may seem for the rounding of this projection.
    slack: f64,
}

impl Projection {
    /// Projects a point.
    ///
    /// A block's coordinate is off by at most (m + 3) 2^-53 of the sum of its m magnitudes over
    /// sqrt(m), which is not above the block's norm; all together are off by (n + 3) 2^-53 of the
    /// point's norm at most. Summing squared differences costs another (blocks + 4) 2^-53 of a
    /// distance, that is of the two norms. `slack` is twice that.
    pub(super) fn new<T: Coordinate>(point: &Point<'_, T>) -> Self {
        let (means, squares) = block_means(point);
        let roundings = (point.coordinates().len() + means.len() + 8) as f64;
        let slack = roundings * f64::EPSILON * squares.sqrt();
        let mut blocks = vec![[0.0; LANES]; means.len().div_ceil(LANES)];
        for (to, from) in blocks.as_flattened_mut().iter_mut().zip(means) {
            *to = from;
        }
        Self { blocks, slack }
    }

    /// Whether the two points are certainly at least `reach` apart.
    pub(super) fn is_beyond(&self, other: &Self, reach: f64) -> bool {
        let limit = (reach + self.slack + other.slack) * (1.0 + 4.0 * f64::EPSILON);
        let limit = limit * limit;
        let mut sum = 0.0;
        for (one, other) in self.blocks.iter().zip(&other.blocks) {
            let squares: [f64; LANES] =
                std::array::from_fn(|lane| (one[lane] - other[lane]).powi(2));
            let [a, b, c, d, e, f, g, h] = squares;
            sum += ((a + e) + (b + f)) + ((c + g) + (d + h));
            if sum > limit {
                return true;
            }
        }
        false
    }
}

/// The sum over each block divided by the root of its size, and the sum of all squares.
fn block_means<T: Coordinate>(point: &Point<'_, T>) -> (Vec<f64>, f64) {
    let [channels, height, width] = point.shape();
    let rows = height.clamp(1, GRID);
    let columns = width.clamp(1, GRID * GRID / rows);
    let mut sums = vec![0.0; channels * rows * columns];
    let mut sizes = vec![0.0; sums.len()];
    let mut squares = 0.0;
    for (line, values) in point.coordinates().chunks(width.max(1)).enumerate() {
        let (channel, y) = (line / height, line % height);
        let first = (channel * rows + y * rows / height) * columns;
        for (x, &value) in values.iter().enumerate() {
            let block = first + x * columns / width;
            let value: f64 = value.into();
            sums[block] += value;
            sizes[block] += 1.0;
            squares += value * value;
        }
    }
    (
        sums.iter()
            .zip(&sizes)
            .map(|(sum, size)| sum / f64::sqrt(*size))
            .collect(),
        squares,
    )
}
