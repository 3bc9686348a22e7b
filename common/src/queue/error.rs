//! Errors between a program and its queue. No message ever holds a password.

use std::fmt::Display;

use redis::RedisError;

use super::retry;
use crate::domain::SweepId;

/// A request to a queue that failed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The address is not that of a Redis.
    #[error(
        "not the address of a Redis: {reason}; write redis://HOST:PORT[/DB], \
         rediss://HOST:PORT[/DB] or unix:///PATH"
    )]
    Address {
        /// The part of it that is wrong.
        reason: String,
    },
    /// A password or certificate that cannot be used.
    #[error("{what}: {reason}")]
    Credentials {
        /// The file, or the subject.
        what: String,
        /// The problem with it.
        reason: String,
    },
    /// A password where every user of the machine can read it.
    #[error(
        "the address among the arguments holds a password, which every user of this machine can \
         read there; put the address into DDRS_REDIS, or the password into DDRS_REDIS_PASSWORD \
         or a --redis-password-file"
    )]
    PasswordShown,
    /// No server answers at the address, or it does not accept this program.
    #[error("cannot connect to {server}: {cause}{hint}")]
    Connect {
        /// The address without credentials.
        server: String,
        /// The client library's error.
        cause: RedisError,
        /// A hint at what to check; may be empty.
        hint: &'static str,
    },
    /// A server that would lose jobs, or lacks what the scripts need.
    #[error("{server} cannot hold a queue: {reason}")]
    Unsuitable {
        /// The address without credentials.
        server: String,
        /// The problem, and the setting to change.
        reason: String,
    },
    /// A request that failed, also after it was repeated where that could help.
    #[error("{server}: {cause}{hint}")]
    Request {
        /// The address without credentials.
        server: String,
        /// The error of the server or of the client library.
        cause: RedisError,
        /// A hint at what to check; may be empty.
        hint: &'static str,
    },
    /// An answer that no script of this version gives.
    #[error("unexpected answer to `{request}`: {problem}")]
    Answer {
        /// The transition.
        request: &'static str,
        /// The problem with the answer.
        problem: String,
    },
    /// The sweep was never submitted here, or was deleted.
    #[error("there is no sweep {0} in this Redis")]
    NoSweep(SweepId),
    /// The sweep was submitted by a program of another version.
    #[error(
        "sweep {sweep} speaks queue protocol {theirs}, this program speaks {ours}; \
         use matching versions"
    )]
    Protocol {
        /// The sweep.
        sweep: SweepId,
        /// The sweep's version.
        theirs: u32,
        /// This program's version.
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
    pub(super) fn credentials(what: impl Display, reason: impl Display) -> Self {
        Self::Credentials {
            what: what.to_string(),
            reason: reason.to_string(),
        }
    }

    /// Returns true if the server's access list forbids the request to this user.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.cause().is_some_and(retry::is_forbidden)
    }

    /// Returns true if the same request may succeed later: the network failed, or the server, or a
    /// node of the cluster, starts, is full, or does not serve this sweep for now.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.cause().is_some_and(retry::is_transient)
    }

    /// Returns true if this one sweep cannot be worked on because of what Redis holds of it, while
    /// others may be intact. The cause is neither the connection, nor the server, nor the user's
    /// permissions.
    #[must_use]
    pub fn is_of_one_sweep(&self) -> bool {
        match self {
            Self::Request { cause, .. } => refuses_request(cause),
            Self::Answer { .. }
            | Self::NoSweep(_)
            | Self::Protocol { .. }
            | Self::OtherPlan { .. } => true,
            _ => false,
        }
    }

    /// Returns true if the user's settings for the server are wrong, whatever the server does.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Address { .. } | Self::Credentials { .. } | Self::PasswordShown
        )
    }

    fn cause(&self) -> Option<&RedisError> {
        match self {
            Self::Request { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

/// Returns true if the server refused this very request, and would refuse it again.
fn refuses_request(cause: &RedisError) -> bool {
    !retry::is_transient(cause) && !retry::is_unauthenticated(cause) && !retry::is_forbidden(cause)
}

/// Parsing a [`super::Server`] that is parsed already cannot fail.
impl From<std::convert::Infallible> for QueueError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}
