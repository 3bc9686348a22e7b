//! The commands other than `run`.

pub mod certify;
pub mod doctor;
pub mod train;
