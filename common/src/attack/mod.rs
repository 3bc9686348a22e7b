//! `attack.jsonl`: attacks on the certificates of a run, and the bounds that follow from them.
//!
//! The worker attacks and writes the file; the coordinator reads it for its reports.
//!
//! - `record`: the attack on one certificate, with the point that it found
//! - `line`: converts it to a line of JSON and back
//! - `target`: the certificates that an attack tries
//! - `tally`: counts the attacks on one variant at one radius

mod line;
mod record;
mod tally;
mod target;

pub use line::AttackFile;
pub use record::{AttackOutcome, AttackReach, AttackRecord, AttackSettings};
pub use tally::{AttackTally, reaches};
pub use target::AttackTarget;
