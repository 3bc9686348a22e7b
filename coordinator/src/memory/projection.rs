//! Block means: a short vector that replaces a point and never overstates a distance.
//!
//! The sum over a block divided by the root of its size is the coordinate along a unit vector. The
//! vectors of disjoint blocks are orthogonal, so together they are an orthogonal projection, under
//! which distances can only shrink. Leaving out some of the squared differences shrinks the
//! distance further. Most pairs are far apart by their first few differences already.

use super::point::{Coordinate, Point};

/// The number of blocks along each axis of an image. A channel has at most the square of it.
const GRID: usize = 8;

/// Differences that are summed between two comparisons with the limit.
const LANES: usize = 8;

/// A projected point.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Projection {
    /// The coordinates along the blocks' unit vectors, up to 64 per channel, padded with zeros.
    blocks: Vec<[f64; LANES]>,
    /// The largest amount by which rounding can move this projection away from another point.
    slack: f64,
}

/// The coordinates of a projection before padding, and the squared norm of the point.
struct BlockMeans {
    means: Vec<f64>,
    squared_norm: f64,
}

impl Projection {
    /// Projects a point.
    ///
    /// Error bound: a block of m values has an error of at most (m + 3) 2^-53 times the sum of
    /// their magnitudes over sqrt(m), which is not above the block's norm. All blocks together have
    /// an error of at most (n + 3) 2^-53 times the point's norm. Summing squared differences adds
    /// (blocks + 4) 2^-53 of a distance, which is at most the sum of the two norms. `slack` is
    /// twice that.
    pub(super) fn new<T: Coordinate>(point: &Point<'_, T>) -> Self {
        let BlockMeans {
            means,
            squared_norm,
        } = block_means(point);
        let roundings = (point.coordinates().len() + means.len() + 8) as f64;
        Self {
            slack: roundings * f64::EPSILON * squared_norm.sqrt(),
            blocks: padded(&means),
        }
    }

    /// Returns true if the two points are certainly at least `reach` apart.
    pub(super) fn is_beyond(&self, other: &Self, reach: f64) -> bool {
        let limit = (reach + self.slack + other.slack) * (1.0 + 4.0 * f64::EPSILON);
        let limit = limit * limit;
        let mut sum = 0.0;
        for (one, other) in self.blocks.iter().zip(&other.blocks) {
            sum += sum_of_squares(one, other);
            if sum > limit {
                return true;
            }
        }
        false
    }
}

fn padded(means: &[f64]) -> Vec<[f64; LANES]> {
    let mut blocks = vec![[0.0; LANES]; means.len().div_ceil(LANES)];
    blocks.as_flattened_mut()[..means.len()].copy_from_slice(means);
    blocks
}

/// Sums the squared differences in an order that the processor can compute together.
fn sum_of_squares(one: &[f64; LANES], other: &[f64; LANES]) -> f64 {
    let squares: [f64; LANES] = std::array::from_fn(|lane| (one[lane] - other[lane]).powi(2));
    let [a, b, c, d, e, f, g, h] = squares;
    ((a + e) + (b + f)) + ((c + g) + (d + h))
}

/// Divides each block's sum by the root of its size, and sums all squares.
fn block_means<T: Coordinate>(point: &Point<'_, T>) -> BlockMeans {
    let mut sums = BlockSums::new(BlockGrid::of(point.shape()));
    let width = sums.grid.width.max(1);
    for (line, values) in point.coordinates().chunks(width).enumerate() {
        sums.add_line(line, values);
    }
    sums.means()
}

/// The sums of the blocks of a point, and the sum of all squares.
struct BlockSums {
    grid: BlockGrid,
    sums: Vec<f64>,
    sizes: Vec<f64>,
    squared_norm: f64,
}

impl BlockSums {
    fn new(grid: BlockGrid) -> Self {
        Self {
            sums: vec![0.0; grid.blocks()],
            sizes: vec![0.0; grid.blocks()],
            squared_norm: 0.0,
            grid,
        }
    }

    fn add_line<T: Coordinate>(&mut self, line: usize, values: &[T]) {
        let first = self.grid.first_block(line);
        for (x, &value) in values.iter().enumerate() {
            self.add(first + self.grid.column(x), value.into());
        }
    }

    fn add(&mut self, block: usize, value: f64) {
        self.sums[block] += value;
        self.sizes[block] += 1.0;
        self.squared_norm += value * value;
    }

    fn means(&self) -> BlockMeans {
        let blocks = self.sums.iter().zip(&self.sizes);
        BlockMeans {
            means: blocks.map(|(sum, size)| sum / size.sqrt()).collect(),
            squared_norm: self.squared_norm,
        }
    }
}

/// The division of an image's channels into blocks.
struct BlockGrid {
    channels: usize,
    height: usize,
    width: usize,
    rows: usize,
    columns: usize,
}

impl BlockGrid {
    fn of([channels, height, width]: [usize; 3]) -> Self {
        let rows = height.clamp(1, GRID);
        Self {
            channels,
            height,
            width,
            rows,
            columns: width.clamp(1, GRID * GRID / rows),
        }
    }

    fn blocks(&self) -> usize {
        self.channels * self.rows * self.columns
    }

    /// Returns the column of blocks that a column of pixels is in.
    fn column(&self, x: usize) -> usize {
        x * self.columns / self.width
    }

    /// Returns the first block of a line of pixels; lines are numbered through all channels.
    fn first_block(&self, line: usize) -> usize {
        let channel = line / self.height;
        let y = line % self.height;
        (channel * self.rows + y * self.rows / self.height) * self.columns
    }
}
