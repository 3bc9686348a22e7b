//! The commands other than `run`.

pub(crate) mod attack;
pub(crate) mod certify;
pub(crate) mod doctor;
pub(crate) mod inspect;
mod stop_flag;
pub(crate) mod train;
pub(crate) mod weights;
