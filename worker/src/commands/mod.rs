//! The commands other than `run`.

pub(crate) mod attack;
pub(crate) mod certify;
pub(crate) mod doctor;
mod stop_flag;
pub(crate) mod train;
