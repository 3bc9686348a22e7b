//! The queue: jobs, leases and results of a sweep in Redis.
//!
//! Every change of state is one Lua script (`scripts`, `lua/`), so it happens wholly or not at all,
//! by the server's clock, and a repeated one changes nothing. What holds whatever is killed:
//!
//! - a job is in exactly one place: pending, leased, dead or completed;
//! - a sample has a record in the stream exactly when its done bit is set by a worker, and never a
//!   second one;
//! - a worker whose lease was taken, released or failed can write nothing more;
//! - handing a job back costs no attempt;
//! - a job that lost a worker goes on sample by sample, so that one that kills workers takes no
//!   other with it.
//!
//! In reading order:
//! - [`PrivateServer`]: a Redis of one's own
//! - [`Server`]: where a Redis is, and the credentials for it
//! - [`QueueClient`]: a checked connection to any Redis, [`ServerInfo`] about it
//! - [`SweepQueue`]: one sweep; submitting (`submit`), working (`work`), collecting (`collect`),
//!   looking (`status`, `jobs`)
//!
//! What it leaves out: what a job's samples are ([`crate::plan`] knows), and what a record says
//! (here it is a line).

mod advice;
mod client;
mod collect;
mod connection;
mod error;
mod ids;
mod jobs;
mod keys;
mod private_server;
mod rehearsal;
mod reply;
mod scripts;
mod server;
mod server_info;
mod settings;
mod status;
mod submit;
mod sweep;
mod watch;
mod work;

pub use client::QueueClient;
pub use collect::CollectorLock;
pub use error::QueueError;
pub use ids::{ClaimToken, Fence, Lease, StreamId, Timestamp};
pub use jobs::{DeadJob, Event, EventKind, JobState, JobStatus, Killer};
pub use private_server::{PrivateServer, ServerError};
pub use server::{Server, ServerSettings, refuse_passwords};
pub use server_info::{LastSnapshot, ServerInfo, Version};
pub use settings::Settings;
pub use status::{DoneBits, Progress, SweepState, WorkerSeen};
pub use submit::{Submission, Submitted};
pub use sweep::SweepQueue;
pub use watch::Watch;
pub use work::{Claim, Claimed, CompleteReply, FailReply, RecordReply, ReleaseReply, RenewReply};

/// The version of keys and scripts. Programs that differ in it refuse each other's sweeps.
pub use crate::sweep_message::PROTOCOL;
