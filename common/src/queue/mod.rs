//! The queue: jobs, leases and records of a sweep in Redis.
//!
//! Every change of state is one Lua script (`scripts`, `lua/`), so it happens wholly or not at all,
//! by the server's clock, and repeating it changes nothing. These invariants hold whatever process
//! is killed:
//!
//! - a job is in exactly one place: pending, leased, dead or completed;
//! - a sample has a record in the stream exactly when a worker has set its done bit, and never a
//!   second one;
//! - a worker whose job was taken back, released or failed can write nothing more;
//! - handing a job back costs no attempt;
//! - a job that lost a worker continues sample by sample, so that a sample that crashes workers
//!   does not fail the others of its job.
//!
//! Each role has one handle and one file. To follow a job number, read the file of the role down:
//!
//! | role | handle | its requests |
//! | --- | --- | --- |
//! | submitter (`run`, `submit`) | [`SubmitterQueue`] | create the sweep and its jobs |
//! | worker | [`WorkerQueue`] | claim, renew, record, complete, release, fail |
//! | collector (`run`, `collect`) | [`CollectorQueue`] | lock, read records, trim, mark done |
//! | status (`status`, `why`, reports) | [`StatusQueue`] | read counts, workers, jobs |
//! | admin (`run`, `retry`, `cancel`) | [`AdminQueue`] | expire leases, requeue, retry, cancel |
//!
//! [`QueueClient`] connects to a [`Server`] and returns a [`SweepQueue`] per sweep, which returns
//! the handles. [`PrivateServer`] is a Redis that one coordinator starts for itself.
//!
//! The queue does not know what the samples of a job are ([`crate::plan`] does), or what a record
//! contains: here it is a line of text.

mod admin;
mod claim;
mod client;
mod cluster;
mod collector;
mod connection;
mod credential_file;
mod credentials;
mod error;
mod hints;
mod ids;
mod jobs;
mod keys;
mod lease_replies;
mod password_guard;
mod persistence;
mod policy_watch;
mod private_server;
mod reply;
mod retry;
mod scripts;
mod self_test;
mod server;
mod server_info;
mod status;
mod submitter;
mod sweep;
mod sweep_core;
mod worker;

pub use admin::AdminQueue;
pub use claim::{ClaimReply, Claimed};
pub use client::QueueClient;
pub use collector::{CollectorLock, CollectorQueue};
pub use credentials::ServerSettings;
pub use error::QueueError;
pub use ids::{ClaimToken, Fence, Lease, StreamId, Timestamp};
pub use jobs::{CrashSuspect, DeadJob, EventKind, JobEvent, JobState, JobStatus};
pub use lease_replies::{CompleteReply, FailReply, RecordReply, ReleaseReply, RenewReply};
pub use password_guard::refuse_passwords;
pub use persistence::PersistenceSettings;
pub use policy_watch::PolicyWatch;
pub use private_server::{PrivateServer, PrivateServerError};
pub use retry::Backoff;
pub use server::Server;
pub use server_info::{LastSnapshot, ServerInfo, ServerVersion};
pub use status::{DoneBits, StatusQueue, SweepProgress, SweepState, WorkerSeen};
pub use submitter::{Submission, Submitted, SubmitterQueue};
pub use sweep::SweepQueue;
pub use worker::WorkerQueue;

/// The version of keys and scripts. Programs of different versions refuse each other's sweeps.
pub use crate::sweep_message::PROTOCOL;
