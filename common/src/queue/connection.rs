//! One connection to a Redis that may go away and come back.
//!
//! A request that was sent and not answered may have been applied. All requests of the queue are harmless when
//! repeated, so they are: on a new connection, until the caller's patience ends. A connection whose answer timed out is
//! dropped as well, since a half-open one would stay silent for ever.
//!
//! No lock is held while anything is waited for: a request that its caller leaves unattended for a while, in order to
//! send another, must not keep that one waiting.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError,
    RedisResult, ScriptInvocation, ServerErrorKind,
};
use tokio::time::Instant;

use super::error::QueueError;

/// The library's own 500 ms are too short for a server that is busy, rewriting its file or far away.
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

/// A server's address and the connection to it, if there is one now.
pub(super) struct Connection {
    client: Client,
    server: String,
    response_timeout: Duration,
    link: Mutex<Link>,
}

/// The connection there is now, and how many there have been.
#[derive(Default)]
struct Link {
    number: u64,
    connection: Option<MultiplexedConnection>,
}

impl Connection {
    /// Understands an address. Nothing is connected yet.
    pub(super) fn to(url: &str) -> Result<Self, QueueError> {
        // The library's errors describe what is missing and never quote the address.
        let bad = |error: RedisError| QueueError::Address { reason: error.to_string() };
        let info = url.into_connection_info().map_err(bad)?;
        let db = info.redis_settings().db();
        let server = match info.addr() {
            ConnectionAddr::Unix(path) => format!("unix://{}", path.display()),
            ConnectionAddr::Tcp(..) => format!("redis://{}/{db}", info.addr()),
            _ => format!("rediss://{}/{db}", info.addr()),
        };
        let client = Client::open(info).map_err(bad)?;
        Ok(Self { client, server, response_timeout: RESPONSE_TIMEOUT, link: Mutex::default() })
    }

    /// The address without credentials.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// Sends a request until it is answered or refused, or would not be within `patience`.
    pub(super) async fn send<T: FromRedisValue>(
        &self,
        request: &Request<'_>,
        patience: Duration,
    ) -> Result<T, QueueError> {
        let deadline = Instant::now() + patience;
        let mut pause = FIRST_PAUSE;
        let mut say_at = Instant::now() + QUIET;
        loop {
            let cause = match self.attempt(request).await {
                Ok(answer) => return Ok(answer),
                Err(cause) => cause,
            };
            if !may_pass(&cause) || Instant::now() + pause > deadline {
                return Err(QueueError::Request { server: self.server.clone(), cause });
            }
            tracing::debug!(server = self.server, %cause, "repeating a request");
            if Instant::now() >= say_at {
                tracing::warn!(
                    "{} does not do what it is asked, and is asked again until it does: {cause}",
                    self.server
                );
                say_at = Instant::now() + SAID_AGAIN;
            }
            tokio::time::sleep(jittered(pause)).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Sends a request once, on a new connection if there is none.
    pub(super) async fn attempt<T: FromRedisValue>(&self, request: &Request<'_>) -> RedisResult<T> {
        let (number, mut connection) = self.connected().await?;
        let result = match request {
            Request::Script(call) => call.invoke_async(&mut connection).await,
            Request::Command(command) => command.query_async(&mut connection).await,
        };
        if let Err(error) = &result
            && spoils_connection(error)
        {
            let mut link = self.link();
            // Another request may have replaced it already.
            if link.number == number {
                link.connection = None;
            }
        }
        result
    }

    /// The connection there is, or a new one. Two requests that find none make one each, and the later is kept.
    async fn connected(&self) -> RedisResult<(u64, MultiplexedConnection)> {
        {
            let link = self.link();
            if let Some(connection) = &link.connection {
                return Ok((link.number, connection.clone()));
            }
        }
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(self.response_timeout))
            .set_connection_timeout(Some(CONNECTION_TIMEOUT));
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut link = self.link();
        *link = Link { number: link.number + 1, connection: Some(connection.clone()) };
        Ok((link.number, connection))
    }

    /// What is in it is whole at every moment, so a thread that panicked leaves nothing to mend.
    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the same request may succeed later. True for a network that fails and for a server that starts, is full,
/// cannot write to its disk, or is not the master at the moment.
fn may_pass(error: &RedisError) -> bool {
    const PASSING: [&str; 11] = [
        "LOADING",
        "BUSY",
        "OOM",
        "MISCONF",
        "READONLY",
        "MASTERDOWN",
        "NOREPLICAS",
        "TRYAGAIN",
        "CLUSTERDOWN",
        "NOSCRIPT",
        "UNBLOCKED",
    ];
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse => true,
        _ => error.code().is_some_and(|code| PASSING.contains(&code)),
    }
}

/// Whether the connection should not be used again: it failed, fell silent, or leads to a server that lost its place.
fn spoils_connection(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse => true,
        ErrorKind::Server(kind) => matches!(kind, ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown),
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
                stream.write_all("+OK\r\n".repeat(asked.matches('*').count()).as_bytes()).unwrap();
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
        let mut connection = Connection::to(&format!("unix://{}", socket.display())).unwrap();
        connection.response_timeout = Duration::from_millis(50);
        let ping = redis::cmd("PING");
        let answer: String = connection.send(&Request::Command(&ping), Duration::from_secs(10)).await.unwrap();
        assert_eq!(answer, "PONG");
        assert_eq!(connection.link().number, 2);
        server.join().unwrap();
    }

    /// Lets the first connection wait for the answer to its greeting, and answers all until a PING on the second.
    fn greet_the_second(listener: &UnixListener) {
        let (_first, _) = listener.accept().unwrap();
        let (mut second, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        let mut asked = String::new();
        while !asked.contains("PING") {
            let length = second.read(&mut buffer).unwrap();
            asked = String::from_utf8_lossy(&buffer[..length]).into_owned();
            second.write_all("+OK\r\n".repeat(asked.matches('*').count()).as_bytes()).unwrap();
        }
    }

    #[tokio::test]
    async fn a_request_that_is_left_unattended_keeps_no_other_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || greet_the_second(&listener));
        let connection = Connection::to(&format!("unix://{}", socket.display())).unwrap();
        let ping = redis::cmd("PING");
        let request = Request::Command(&ping);
        let mut unattended = std::pin::pin!(connection.attempt::<String>(&request));
        tokio::time::timeout(Duration::ZERO, &mut unattended).await.unwrap_err();
        let other = connection.attempt::<String>(&request);
        assert_eq!(tokio::time::timeout(Duration::from_secs(30), other).await.unwrap().unwrap(), "OK");
        server.join().unwrap();
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (url, shown) in [
            ("redis://user:s3cret@host:7000/2", "redis://host:7000/2"),
            ("redis://:s3cret@host", "redis://host:6379/0"),
            ("unix:///run/redis.sock?user=u&pass=s3cret", "unix:///run/redis.sock"),
        ] {
            assert_eq!(Connection::to(url).unwrap().server(), shown);
        }
    }

    #[test]
    fn an_address_that_makes_no_sense_is_refused_without_quoting_it() {
        for url in ["", "host:6379", "http://u:s3cret@host", "redis://:s3cret@host/x", "redis://:s3cret@host:port"] {
            let message = Connection::to(url).err().unwrap().to_string();
            assert!(message.starts_with("not the address of a Redis: ") && !message.contains("s3cret"), "{message}");
        }
    }
}
