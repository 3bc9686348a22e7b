//! The words of the program: ids, units, outcomes, records. No IO and no formats.

mod ids;
mod record;
mod units;

pub use ids::{JobId, SampleIndex, SweepId, VariantName};
pub use record::{Certification, Choice, Class, Outcome, Phase, Record};
pub use units::{Alpha, Probability, Radius, Sigma};

/// A value that cannot be what it claims to be, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(pub(crate) String);
