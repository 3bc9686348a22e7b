//! A connection to a Redis, or to a cluster, that may go away and return.
//!
//! A request that was sent and not answered may have been applied. All requests of the queue are
//! idempotent, so they are repeated: on a new connection, until the caller's patience ends. A
//! connection whose answer timed out is dropped as well, since a half-open one would never answer
//! again.
//!
//! While a slot is being moved (`ASK`, `TRYAGAIN`) requests wait: the keys of a sweep are used
//! together, and are together again only when the move is over.
//!
//! No lock is held while a request waits. A caller may leave a request pending in order to send
//! another, and the second one must not wait for the first.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, FromRedisValue, RedisError, RedisResult, ScriptInvocation,
};

use super::cluster::{NodeAddress, OpenLink, Routing, SlotRanges};
use super::error::QueueError;
use super::hints;
use super::retry::{Retries, RetryStep, is_transient, spoils_connection};
use super::server::Server;

/// The library's own 500 ms are too short for a server that is busy, rewriting its file or far
/// away.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// The route of commands without keys.
pub(super) const ANYWHERE: &str = "";

/// A request that may be sent more than once.
pub(super) enum RedisRequest<'a> {
    Script(&'a ScriptInvocation<'a>),
    Command(&'a Cmd),
}

impl RedisRequest<'_> {
    async fn send_on<T: FromRedisValue>(
        &self,
        mut connection: MultiplexedConnection,
    ) -> RedisResult<T> {
        match self {
            Self::Script(call) => call.invoke_async(&mut connection).await,
            Self::Command(command) => command.query_async(&mut connection).await,
        }
    }
}

/// A server, or a cluster that is known by one of its nodes, and the open connections.
pub(super) struct Connection {
    server: Server,
    response_timeout: Duration,
    routing: Mutex<Routing>,
}

impl Connection {
    /// Checks an address. Nothing is connected yet.
    pub(super) fn to(server: Server) -> Result<Self, QueueError> {
        server.client()?;
        Ok(Self {
            server,
            response_timeout: RESPONSE_TIMEOUT,
            routing: Mutex::default(),
        })
    }

    /// Returns the address without credentials.
    pub(super) fn server(&self) -> &str {
        self.server.as_str()
    }

    /// Sends a request until it is answered or refused, or `patience` ends.
    pub(super) async fn send<T: FromRedisValue>(
        &self,
        request: &RedisRequest<'_>,
        route: &str,
        patience: Duration,
    ) -> Result<T, QueueError> {
        let mut retries = Retries::new(self.server(), patience);
        loop {
            let cause = match self.attempt(request, route).await {
                Ok(answer) => return Ok(answer),
                Err(cause) => cause,
            };
            match retries.after(&cause) {
                RetryStep::Redirect => {}
                RetryStep::Wait(pause) => tokio::time::sleep(pause).await,
                RetryStep::GiveUp => return Err(self.failed(cause)),
            }
        }
    }

    /// Succeeds if the server answers, also with an error that ends by itself.
    pub(super) async fn greet(&self) -> Result<(), QueueError> {
        let ping = redis::cmd("PING");
        match self.attempt(&RedisRequest::Command(&ping), ANYWHERE).await {
            Err(cause) if cause.code().is_none() => Err(self.unreachable(cause)),
            Err(cause) if !is_transient(&cause) => Err(self.failed(cause)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn unreachable(&self, cause: RedisError) -> QueueError {
        QueueError::Connect {
            server: self.server().to_owned(),
            hint: hints::on_connection(&self.server, &cause),
            cause,
        }
    }

    fn failed(&self, cause: RedisError) -> QueueError {
        QueueError::Request {
            server: self.server().to_owned(),
            hint: hints::on_request(&cause),
            cause,
        }
    }

    /// Sends a request once, to the node that serves its route.
    async fn attempt<T: FromRedisValue>(
        &self,
        request: &RedisRequest<'_>,
        route: &str,
    ) -> RedisResult<T> {
        let node = self.routing().node_for(route);
        let result = self.attempt_at(node.as_ref(), request).await;
        if let Err(error) = &result {
            let host = self.server.host();
            self.routing().learn(error, node.as_ref(), route, host);
        }
        result
    }

    async fn attempt_at<T: FromRedisValue>(
        &self,
        node: Option<&NodeAddress>,
        request: &RedisRequest<'_>,
    ) -> RedisResult<T> {
        let link = self.connected(node).await?;
        let result = request.send_on(link.connection).await;
        if result.as_ref().is_err_and(spoils_connection) {
            self.routing().drop_link(node, link.number);
        }
        result
    }

    /// Returns the open connection to a node, or opens one. Two requests that find no connection
    /// open one each, and the later one is kept.
    async fn connected(&self, node: Option<&NodeAddress>) -> RedisResult<OpenLink> {
        let open = self.routing().link(node);
        if let Some(link) = open {
            return Ok(link);
        }
        let connection = self.connect(node).await?;
        Ok(self.routing().keep(node, connection))
    }

    async fn connect(&self, node: Option<&NodeAddress>) -> RedisResult<MultiplexedConnection> {
        let client = match node {
            Some(node) => self.server.at(node).client(),
            None => self.server.client(),
        };
        let client = client.map_err(|error| std::io::Error::other(error.to_string()))?;
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(self.response_timeout))
            .set_connection_timeout(Some(CONNECTION_TIMEOUT));
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    /// Returns the masters of a cluster, as any of its nodes reports them.
    pub(super) async fn masters(&self, patience: Duration) -> Result<Vec<NodeAddress>, QueueError> {
        let masters = self.slots(patience).await?.masters(self.server.host());
        let mut routing = self.routing();
        for node in &masters {
            routing.remember(node);
        }
        Ok(masters)
    }

    /// Returns the number of a cluster's hash slots that a node serves.
    pub(super) async fn served_slots(&self, patience: Duration) -> Result<u64, QueueError> {
        Ok(self.slots(patience).await?.served())
    }

    async fn slots(&self, patience: Duration) -> Result<SlotRanges, QueueError> {
        let command = redis::cmd("CLUSTER").arg("SLOTS").to_owned();
        let request = RedisRequest::Command(&command);
        self.send(&request, ANYWHERE, patience)
            .await
            .map(SlotRanges)
    }

    /// Returns the route of requests to one node.
    pub(super) fn route_to(&self, node: &NodeAddress) -> String {
        self.routing().route_to(node)
    }

    /// Locks the routing. It is consistent at every moment, so a thread that panicked while it
    /// held the lock does no harm.
    fn routing(&self) -> MutexGuard<'_, Routing> {
        self.routing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
