//! The commands other than `run`.

pub(crate) mod certify;
pub(crate) mod doctor;
pub(crate) mod train;
