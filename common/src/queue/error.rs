//! What can go wrong between a program and its queue. No message ever holds a password.

use redis::RedisError;

use super::{advice, connection};
use crate::domain::SweepId;

/// A queue that cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The address cannot be understood.
    #[error(
        "not the address of a Redis: {reason}; write redis://HOST:PORT[/DB], rediss://HOST:PORT[/DB] or unix:///PATH"
    )]
    Address {
        /// What is wrong with it.
        reason: String,
    },
    /// A password or certificate that cannot be used.
    #[error("{what}: {reason}")]
    Credentials {
        /// The file, or what it is about.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A password where every user of the machine can read it.
    #[error(
        "the address among the arguments holds a password, which every user of this machine can read there; put the \
         address into DDRS_REDIS, or the password into DDRS_REDIS_PASSWORD or a --redis-password-file"
    )]
    PasswordShown,
    /// Nobody answers, or not to us.
    #[error("cannot connect to {server}: {cause}{advice}")]
    Connect {
        /// Where, without credentials.
        server: String,
        /// What the client library says.
        cause: RedisError,
        /// What to look at; may be empty.
        advice: &'static str,
    },
    /// A server that would lose jobs, or lacks what the scripts need.
    #[error("{server} cannot hold a queue: {reason}")]
    Unsuitable {
        /// Where, without credentials.
        server: String,
        /// What is wrong, and what to set.
        reason: String,
    },
    /// A request that failed, also after it was repeated where that could help.
    #[error("{server}: {cause}{advice}")]
    Request {
        /// Where, without credentials.
        server: String,
        /// What the server or the client library says.
        cause: RedisError,
        /// What to look at; may be empty.
        advice: &'static str,
    },
    /// An answer that no script of this version gives.
    #[error("unexpected answer to `{request}`: {problem}")]
    Answer {
        /// The transition.
        request: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The sweep was never submitted here, or was deleted.
    #[error("there is no sweep {0} in this Redis")]
    NoSweep(SweepId),
    /// The sweep was submitted by a program of another version.
    #[error(
        "sweep {sweep} speaks queue protocol {theirs}, this program speaks {ours}; use matching versions"
    )]
    Protocol {
        /// The sweep.
        sweep: SweepId,
        /// The sweep's version.
        theirs: u32,
        /// This program's.
        ours: u32,
    },
    /// The same id with another number of slots: one of the two plans is wrong.
    #[error("sweep {sweep} has {theirs} samples in Redis, but {ours} in this plan")]
    OtherPlan {
        /// The sweep.
        sweep: SweepId,
        /// Slots in Redis.
        theirs: u64,
        /// Slots in the plan.
        ours: u64,
    },
    /// A bitmap has at most 2^32 bits.
    #[error("the sweep has {0} samples over all variants, more than 4294967296")]
    TooManySlots(u64),
}

impl QueueError {
    /// Whether the server's access list does not let this user do it.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Request { cause, .. } if advice::is_forbidden(cause))
    }

    /// Whether the same request may succeed later: the network fails, or the server, or a node of
    /// the cluster, starts, is full, or does not serve this sweep for now.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Request { cause, .. } if connection::may_pass(cause))
    }

    /// Whether it is this one sweep that cannot be worked on, for what Redis holds of it, while
    /// others may be well: neither the connection, nor the server, nor what this user may do.
    #[must_use]
    pub fn is_of_one_sweep(&self) -> bool {
        match self {
            Self::Request { cause, .. } => {
                !connection::may_pass(cause)
                    && !advice::is_login(cause)
                    && !advice::is_forbidden(cause)
            }
            Self::Answer { .. }
            | Self::NoSweep(_)
            | Self::Protocol { .. }
            | Self::OtherPlan { .. } => true,
            _ => false,
        }
    }

    /// Whether what the user said about the server makes no sense, whatever the server does.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Address { .. } | Self::Credentials { .. } | Self::PasswordShown
        )
    }
}

/// A [`super::Server`] that is understood already cannot fail to be.
impl From<std::convert::Infallible> for QueueError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}
