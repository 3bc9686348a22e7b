//! One sweep in Redis. What can be done to it is in `submit`, `work`, `collect` and `status`.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, FromRedisValue, ScriptInvocation};

use super::connection::{Connection, Request};
use super::error::QueueError;
use super::keys::{Keys, SWEEPS};
use super::reply::Reply;
use super::scripts::Transition;
use crate::domain::SweepId;

/// One sweep: its jobs, leases and results. Cheap to clone; clones share a connection.
#[derive(Clone)]
pub struct SweepQueue {
    connection: Arc<Connection>,
    patience: Duration,
    id: SweepId,
    keys: Keys,
}

impl SweepQueue {
    pub(super) fn new(connection: Arc<Connection>, patience: Duration, id: SweepId) -> Self {
        let keys = Keys::of(&id);
        Self {
            connection,
            patience,
            id,
            keys,
        }
    }

    /// The sweep.
    pub fn id(&self) -> &SweepId {
        &self.id
    }

    /// The same queue with another patience: how long a request is repeated while the server cannot
    /// be reached, starts or is full. Between two attempts is a second at most; one attempt may
    /// take 10 s on top.
    #[must_use]
    pub fn with_patience(&self, patience: Duration) -> Self {
        Self {
            patience,
            ..self.clone()
        }
    }

    /// Removes all that Redis holds of the sweep, collected or not.
    pub async fn delete(&self) -> Result<(), QueueError> {
        let mut unlink = redis::cmd("UNLINK");
        unlink.arg(self.keys.all());
        let _: u64 = self.query(&unlink).await?;
        // Last, so that a sweep that is half gone is still listed.
        self.in_index("SREM").await?;
        Ok(())
    }

    /// A call of a transition, ready for its arguments.
    pub(super) fn call<'a>(&self, transition: &'a Transition) -> Call<'a> {
        let mut invocation = transition.script.prepare_invoke();
        invocation.key(self.keys.all());
        Call {
            name: transition.name,
            invocation,
        }
    }

    /// Runs a transition.
    pub(super) async fn run(&self, call: &Call<'_>) -> Result<Reply, QueueError> {
        let answer = self
            .connection
            .send(
                &Request::Script(&call.invocation),
                self.id.as_str(),
                self.patience,
            )
            .await;
        match answer {
            Ok(values) => Ok(Reply::new(call.name, values)),
            Err(QueueError::Request { cause, .. }) if cause.code() == Some("NOSWEEP") => {
                Err(QueueError::NoSweep(self.id.clone()))
            }
            Err(error) => Err(error),
        }
    }

    /// Sends a command that is no transition.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, QueueError> {
        self.connection
            .send(&Request::Command(command), self.id.as_str(), self.patience)
            .await
    }

    /// Adds the sweep to the set of all sweeps, or takes it out. Returns whether that changed the
    /// set.
    pub(super) async fn in_index(&self, command: &str) -> Result<bool, QueueError> {
        let command = redis::cmd(command)
            .arg(SWEEPS)
            .arg(self.id.as_str())
            .to_owned();
        self.connection
            .send(&Request::Command(&command), SWEEPS, self.patience)
            .await
    }

    pub(super) fn key(&self, name: &str) -> String {
        super::keys::key(&self.id, name)
    }
}

/// A transition with its keys and, so far, its arguments.
pub(super) struct Call<'a> {
    name: &'static str,
    invocation: ScriptInvocation<'a>,
}

impl Call<'_> {
    /// Adds an argument.
    #[must_use]
    pub(super) fn arg(mut self, value: impl redis::ToRedisArgs) -> Self {
        self.invocation.arg(value);
        self
    }
}
