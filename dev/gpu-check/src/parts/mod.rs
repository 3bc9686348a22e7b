//! The parts, in their order.

pub(crate) mod again;
pub(crate) mod compare;
pub(crate) mod peers;
pub(crate) mod speed;
pub(crate) mod training;
pub(crate) mod training_speed;
