//! The shared core of the role handles: the keys of one sweep, and the calls of its scripts.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, FromRedisValue, ScriptInvocation, ToRedisArgs};

use super::connection::{Connection, RedisRequest};
use super::error::QueueError;
use super::keys::{Keys, SWEEPS};
use super::reply::Reply;
use super::scripts::Transition;
use crate::domain::SweepId;

/// One sweep of one Redis. Cheap to clone; clones share a connection.
#[derive(Clone)]
pub(super) struct SweepCore {
    connection: Arc<Connection>,
    patience: Duration,
    id: SweepId,
    keys: Arc<Keys>,
}

impl SweepCore {
    pub(super) fn new(connection: Arc<Connection>, patience: Duration, id: SweepId) -> Self {
        let keys = Arc::new(Keys::of(&id));
        Self {
            connection,
            patience,
            id,
            keys,
        }
    }

    pub(super) fn id(&self) -> &SweepId {
        &self.id
    }

    pub(super) fn with_patience(&self, patience: Duration) -> Self {
        Self {
            patience,
            ..self.clone()
        }
    }

    /// Returns one key of the sweep.
    pub(super) fn key(&self, name: &str) -> String {
        super::keys::key(&self.id, name)
    }

    /// Returns all keys of the sweep, in the scripts' order.
    pub(super) fn keys(&self) -> &[String] {
        self.keys.all()
    }

    /// Prepares a call of a transition, which then takes its arguments.
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
        let request = RedisRequest::Script(&call.invocation);
        match self.send(&request, self.id.as_str()).await {
            Ok(values) => Ok(Reply::new(call.name, values)),
            Err(QueueError::Request { cause, .. }) if cause.code() == Some("NOSWEEP") => {
                Err(QueueError::NoSweep(self.id.clone()))
            }
            Err(error) => Err(error),
        }
    }

    /// Runs a transition whose reply is one number.
    pub(super) async fn count(&self, call: &Call<'_>) -> Result<u64, QueueError> {
        self.run(call).await?.take()
    }

    /// Sends a command that is not a transition.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, QueueError> {
        self.send(&RedisRequest::Command(command), self.id.as_str())
            .await
    }

    /// Adds the sweep to the set of all sweeps. Returns true if it was not there.
    pub(super) async fn add_to_index(&self) -> Result<bool, QueueError> {
        self.change_index("SADD").await
    }

    /// Removes the sweep from the set of all sweeps. Returns true if it was there.
    pub(super) async fn remove_from_index(&self) -> Result<bool, QueueError> {
        self.change_index("SREM").await
    }

    async fn change_index(&self, command: &str) -> Result<bool, QueueError> {
        let mut command = redis::cmd(command);
        command.arg(SWEEPS).arg(self.id.as_str());
        self.send(&RedisRequest::Command(&command), SWEEPS).await
    }

    async fn send<T: FromRedisValue>(
        &self,
        request: &RedisRequest<'_>,
        route: &str,
    ) -> Result<T, QueueError> {
        self.connection.send(request, route, self.patience).await
    }
}

/// A transition with its keys and the arguments given so far.
pub(super) struct Call<'a> {
    name: &'static str,
    invocation: ScriptInvocation<'a>,
}

impl Call<'_> {
    /// Adds an argument.
    #[must_use]
    pub(super) fn arg(mut self, value: impl ToRedisArgs) -> Self {
        self.invocation.arg(value);
        self
    }
}
