//! The words of the program: ids, units, outcomes, records. No IO and no formats.

mod ids;
mod limits;
mod radii;
mod record;
mod selection;
mod units;

pub use ids::{JobId, SampleIndex, SweepId, VariantName};
pub use limits::{MAX_PIXELS, MAX_SAFETENSORS_HEADER};
pub use radii::{InvalidRadii, Radii};
pub use record::{Certification, Choice, Class, Outcome, Phase, Record};
pub use selection::Selection;
pub(crate) use units::short;
pub use units::{Alpha, Probability, Radius, Sigma};

/// A value that cannot be what it claims to be, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(pub(crate) String);
