//! Searches for points near an input at which a pipeline may answer otherwise.
//!
//! A point is only a candidate: the caller certifies it with the whole pipeline and fresh noise. So
//! nothing here needs to be exact, except that a point lies inside the ball
//! ([`farthest_inside`]).
//!
//! - `search`: several projected gradient ascents per input, and the best point of each classifier
//! - `surface`: a smoothed classifier to mislead
//! - `gradient`: its probabilities and their gradients
//! - `grid`: rounds a point to the grid of pixel values, inside the ball

mod gradient;
mod grid;
mod search;
mod surface;
#[cfg(test)]
mod tests;

pub use grid::{GridPoint, farthest_inside};
pub use search::{PointSearch, SearchTarget};
pub use surface::Surface;
