//! The types that every part of the program uses: ids, units, outcomes, records. No IO, no formats.

mod choice;
mod ids;
mod limits;
mod radii;
mod record;
mod selection;
mod statement;
mod units;

pub use choice::Choice;
pub(crate) use ids::is_lowercase_hex;
pub use ids::{JobId, SampleIndex, SweepId, VariantName};
pub use limits::{MAX_PIXELS, MAX_SAFETENSORS_HEADER};
pub use radii::{InvalidRadii, Radii};
pub use record::{
    Certification, Class, LevelBound, LevelSelection, MAX_LEVELS, Outcome, Phase, Record, RunnerUp,
    SelectionCounts,
};
pub use selection::Selection;
pub use statement::Statement;
pub(crate) use units::short;
pub use units::{Alpha, Probability, Radius, Sigma};

/// The reason why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(pub(crate) String);
