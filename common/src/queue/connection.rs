//! One connection to a Redis that may go away and come back.
//!
//! A request that was sent and not answered may have been applied. All requests of the queue are
//! harmless when repeated, so they are: on a new connection, until the caller's patience ends. A
//! connection whose answer timed out is dropped as well, since a half-open one would stay silent
//! for ever.
//!
//! No lock is held while anything is waited for: a request that its caller leaves unattended for a
//! while, in order to send another, must not keep that one waiting.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult,
    ScriptInvocation, ServerErrorKind, Value,
};
use tokio::time::Instant;

use super::advice;
use super::error::QueueError;
use super::server::Server;

/// The library's own 500 ms are too short for a server that is busy, rewriting its file or far
/// away.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A server that was away for a moment is not worth a word.
const QUIET: Duration = Duration::from_secs(2);
/// How often it is said again that a request is being repeated.
const SAID_AGAIN: Duration = Duration::from_secs(60);

/// What can be sent, and sent again.
pub(super) enum Request<'a> {
    Script(&'a ScriptInvocation<'a>),
    Command(&'a Cmd),
}

/// How many redirections are followed without a pause.
const REDIRECTIONS: u32 = 5;

/// A server, or a cluster by one of its nodes, and the connections there are now.
///
/// A standalone server never redirects, so there is one connection. A cluster answers a request
/// that came to the wrong node with the address of the right one (`MOVED`), which is remembered for
/// the request's *route*: what decides its hash slot. While a slot is being moved (`ASK`,
/// `TRYAGAIN`) requests wait: the keys of a sweep are used together, and are together again only
/// when the move is over.
pub(super) struct Connection {
    server: Server,
    response_timeout: Duration,
    nodes: Mutex<Nodes>,
}

/// A node of a cluster other than the one that the user named.
type Address = (String, u16);

#[derive(Default)]
struct Nodes {
    /// By address; under none, that of the server that the user named.
    links: HashMap<Option<Address>, Link>,
    /// Where requests of a route go.
    routes: HashMap<String, Address>,
    /// Nodes heard of, to ask when the named one is gone.
    known: Vec<Address>,
    /// Who is asked about routes not known: 0 for the named server, then the known ones.
    entry: usize,
}

/// The connection there is now, and how many there have been.
#[derive(Default)]
struct Link {
    number: u64,
    connection: Option<MultiplexedConnection>,
}

impl Link {
    fn open(&self) -> Option<(u64, MultiplexedConnection)> {
        self.connection
            .clone()
            .map(|connection| (self.number, connection))
    }
}

impl Nodes {
    fn of(&self, route: &str) -> Option<Address> {
        let entry = || {
            self.entry
                .checked_sub(1)
                .and_then(|place| self.known.get(place))
        };
        self.routes.get(route).or_else(entry).cloned()
    }

    fn remember(&mut self, node: Address) {
        if !self.known.contains(&node) {
            self.known.push(node);
        }
    }

    /// A connection to `node` failed: whoever is asked next, it is somebody else, if there is
    /// anybody else.
    fn lost(&mut self, node: Option<&Address>, route: &str) {
        if self.routes.remove(route).is_none() || node.is_none() {
            self.entry = (self.entry + 1) % (self.known.len() + 1);
        }
    }
}

impl Connection {
    /// Understands an address. Nothing is connected yet.
    pub(super) fn to(server: Server) -> Result<Self, QueueError> {
        server.client()?;
        Ok(Self {
            server,
            response_timeout: RESPONSE_TIMEOUT,
            nodes: Mutex::default(),
        })
    }

    /// The address without credentials.
    pub(super) fn server(&self) -> &str {
        self.server.as_str()
    }

    /// Sends a request until it is answered or refused, or would not be within `patience`.
    pub(super) async fn send<T: FromRedisValue>(
        &self,
        request: &Request<'_>,
        route: &str,
        patience: Duration,
    ) -> Result<T, QueueError> {
        let deadline = Instant::now() + patience;
        let (mut pause, mut redirections) = (FIRST_PAUSE, 0);
        let mut say_at = Instant::now() + QUIET;
        loop {
            let cause = match self.attempt(request, route).await {
                Ok(answer) => return Ok(answer),
                Err(cause) => cause,
            };
            if is_moved(&cause) && redirections < REDIRECTIONS {
                redirections += 1;
                continue;
            }
            if !may_pass(&cause) || Instant::now() + pause > deadline {
                return Err(self.failed(cause));
            }
            tracing::debug!(server = self.server(), %cause, "repeating a request");
            if Instant::now() >= say_at {
                tracing::warn!(
                    "{} does not do what it is asked, and is asked again until it does: {cause}",
                    self.server()
                );
                say_at = Instant::now() + SAID_AGAIN;
            }
            tokio::time::sleep(jittered(pause)).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Whether anybody answers, be it that the server cannot do anything at the moment.
    pub(super) async fn greet(&self) -> Result<(), QueueError> {
        match self
            .attempt::<()>(&Request::Command(&redis::cmd("PING")), "")
            .await
        {
            Err(cause) if cause.code().is_none() => {
                let advice = advice::on_connection(&self.server, &cause);
                Err(QueueError::Connect {
                    server: self.server().to_owned(),
                    cause,
                    advice,
                })
            }
            Err(cause) if !may_pass(&cause) => Err(self.failed(cause)),
            _ => Ok(()),
        }
    }

    fn failed(&self, cause: RedisError) -> QueueError {
        let advice = advice::on_request(&cause);
        QueueError::Request {
            server: self.server().to_owned(),
            cause,
            advice,
        }
    }

    /// Sends a request once, on a new connection if there is none.
    pub(super) async fn attempt<T: FromRedisValue>(
        &self,
        request: &Request<'_>,
        route: &str,
    ) -> RedisResult<T> {
        let node = self.nodes().of(route);
        let result = match self.connected(node.as_ref()).await {
            Err(error) => Err(error),
            Ok((number, mut connection)) => {
                let result = match request {
                    Request::Script(call) => call.invoke_async(&mut connection).await,
                    Request::Command(command) => command.query_async(&mut connection).await,
                };
                if result.as_ref().is_err_and(spoils_connection) {
                    self.drop_link(node.as_ref(), number);
                }
                result
            }
        };
        if let Err(error) = &result {
            self.learn(error, node.as_ref(), route);
        }
        result
    }

    /// The masters of a cluster as `host:port`, by any node's account. [`Self::route_to`] leads to
    /// one.
    pub(super) async fn masters(&self, patience: Duration) -> Result<Vec<Address>, QueueError> {
        let mut masters = Vec::new();
        for slot in self.slots(patience).await? {
            // First and last slot, the master, its replicas; a node is its host, its port and more.
            let Some(Value::Array(node)) = slot.into_iter().nth(2) else {
                continue;
            };
            if let Some(node) = self.address_in(&node)
                && !masters.contains(&node)
            {
                masters.push(node);
            }
        }
        let mut nodes = self.nodes();
        for node in &masters {
            nodes.remember(node.clone());
        }
        Ok(masters)
    }

    /// How many hash slots of a cluster have a node that serves them, by any node's account.
    pub(super) async fn served_slots(&self, patience: Duration) -> Result<u64, QueueError> {
        let ranges = self.slots(patience).await?;
        let length = |range: &Vec<Value>| match range[..] {
            [Value::Int(first), Value::Int(last), ..] => {
                u64::try_from(last - first + 1).unwrap_or(0)
            }
            _ => 0,
        };
        Ok(ranges.iter().map(length).sum())
    }

    async fn slots(&self, patience: Duration) -> Result<Vec<Vec<Value>>, QueueError> {
        let command = redis::cmd("CLUSTER").arg("SLOTS").to_owned();
        self.send(&Request::Command(&command), "", patience).await
    }

    /// The route of requests to one node.
    pub(super) fn route_to(&self, node: &Address) -> String {
        let route = format!("{}:{}", node.0, node.1);
        self.nodes().routes.insert(route.clone(), node.clone());
        route
    }

    fn address_in(&self, node: &[Value]) -> Option<Address> {
        let (Value::BulkString(host), Value::Int(port)) = (node.first()?, node.get(1)?) else {
            return None;
        };
        self.complete(std::str::from_utf8(host).ok()?, u16::try_from(*port).ok()?)
    }

    /// A node that does not know its own name is where the one that spoke of it is.
    fn complete(&self, host: &str, port: u16) -> Option<Address> {
        let host = if host.is_empty() || host == "?" {
            self.server.host()?
        } else {
            host
        };
        Some((host.to_owned(), port))
    }

    /// What a failure says about who should have been asked.
    fn learn(&self, error: &RedisError, node: Option<&Address>, route: &str) {
        let mut nodes = self.nodes();
        if is_moved(error) {
            let moved = error
                .redirect_node()
                .and_then(|(address, _)| address.rsplit_once(':'));
            if let Some((host, port)) = moved
                && let Some(node) = port.parse().ok().and_then(|port| self.complete(host, port))
            {
                nodes.remember(node.clone());
                nodes.routes.insert(route.to_owned(), node);
            }
        } else if matches!(error.kind(), ErrorKind::Io) || error.code() == Some("CLUSTERDOWN") {
            nodes.lost(node, route);
        }
    }

    fn drop_link(&self, node: Option<&Address>, number: u64) {
        let mut nodes = self.nodes();
        // Another request may have replaced it already.
        if let Some(link) = nodes.links.get_mut(&node.cloned())
            && link.number == number
        {
            link.connection = None;
        }
    }

    /// The connection to a node that there is, or a new one. Two requests that find none make one
    /// each, and the later is kept.
    async fn connected(&self, node: Option<&Address>) -> RedisResult<(u64, MultiplexedConnection)> {
        let key = node.cloned();
        if let Some(found) = self.nodes().links.get(&key).and_then(Link::open) {
            return Ok(found);
        }
        let server = node.map_or_else(
            || self.server.clone(),
            |(host, port)| self.server.at(host, *port),
        );
        let client = server
            .client()
            .map_err(|error| RedisError::from(std::io::Error::other(error.to_string())))?;
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(self.response_timeout))
            .set_connection_timeout(Some(CONNECTION_TIMEOUT));
        let connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let mut nodes = self.nodes();
        let link = nodes.links.entry(key).or_default();
        *link = Link {
            number: link.number + 1,
            connection: Some(connection.clone()),
        };
        Ok((link.number, connection))
    }

    /// What is in it is whole at every moment, so a thread that panicked leaves nothing to mend.
    fn nodes(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_moved(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::Moved)
}

/// Whether the same request may succeed later. True for a network that fails and for a server that
/// starts, is full, cannot write to its disk, or is not the master at the moment.
pub(super) fn may_pass(error: &RedisError) -> bool {
    const PASSING: [&str; 13] = [
        "LOADING",
        "BUSY",
        "OOM",
        "MISCONF",
        "READONLY",
        "MASTERDOWN",
        "NOREPLICAS",
        "TRYAGAIN",
        "ASK",
        "MOVED",
        "CLUSTERDOWN",
        "NOSCRIPT",
        "UNBLOCKED",
    ];
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse => true,
        _ => error.code().is_some_and(|code| PASSING.contains(&code)),
    }
}

/// Whether the connection should not be used again: it failed, fell silent, or leads to a server
/// that lost its place.
fn spoils_connection(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse => true,
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown
        ),
        _ => false,
    }
}

/// Half the pause or more, at random, so that workers do not come back all at once.
fn jittered(pause: Duration) -> Duration {
    let random = SysRng.try_next_u32().unwrap_or(u32::MAX);
    pause.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Answers everything but the first PING, and never closes a connection.
    fn fall_silent_once(listener: &UnixListener) {
        let mut open = Vec::new();
        for number in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            loop {
                let length = stream.read(&mut buffer).unwrap();
                let asked = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if asked.contains("PING") {
                    if number == 1 {
                        stream.write_all(b"+PONG\r\n").unwrap();
                    }
                    break;
                }
                // What the client says first: its name and version, a command each.
                stream
                    .write_all("+OK\r\n".repeat(asked.matches('*').count()).as_bytes())
                    .unwrap();
            }
            open.push(stream);
        }
    }

    #[tokio::test]
    async fn a_connection_that_falls_silent_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || fall_silent_once(&listener));
        let mut connection =
            Connection::to(Server::parse(&format!("unix://{}", socket.display())).unwrap())
                .unwrap();
        connection.response_timeout = Duration::from_millis(50);
        let ping = redis::cmd("PING");
        let answer: String = connection
            .send(&Request::Command(&ping), "", Duration::from_secs(10))
            .await
            .unwrap();
        assert_eq!(answer, "PONG");
        assert_eq!(connection.nodes().links[&None].number, 2);
        server.join().unwrap();
    }

    /// Lets the first connection wait for the answer to its greeting, and answers all until a PING
    /// on the second.
    fn greet_the_second(listener: &UnixListener) {
        let (_first, _) = listener.accept().unwrap();
        let (mut second, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        let mut asked = String::new();
        while !asked.contains("PING") {
            let length = second.read(&mut buffer).unwrap();
            asked = String::from_utf8_lossy(&buffer[..length]).into_owned();
            second
                .write_all("+OK\r\n".repeat(asked.matches('*').count()).as_bytes())
                .unwrap();
        }
    }

    #[tokio::test]
    async fn a_request_that_is_left_unattended_keeps_no_other_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || greet_the_second(&listener));
        let connection =
            Connection::to(Server::parse(&format!("unix://{}", socket.display())).unwrap())
                .unwrap();
        let ping = redis::cmd("PING");
        let request = Request::Command(&ping);
        let mut unattended = std::pin::pin!(connection.attempt::<String>(&request, ""));
        tokio::time::timeout(Duration::ZERO, &mut unattended)
            .await
            .unwrap_err();
        let other = connection.attempt::<String>(&request, "");
        assert_eq!(
            tokio::time::timeout(Duration::from_secs(30), other)
                .await
                .unwrap()
                .unwrap(),
            "OK"
        );
        server.join().unwrap();
    }
}
