//! A connection to a Redis that can hold queues.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, FromRedisValue};
use tokio::time::timeout;

use super::connection::{ANYWHERE, Connection, RedisRequest};
use super::error::QueueError;
use super::keys::{SWEEPS, key};
use super::persistence::{self, MAY_READ, PersistenceSettings};
use super::server::Server;
use super::server_info::ServerInfo;
use super::sweep::SweepQueue;
use crate::domain::SweepId;

/// Default time for which requests are repeated: a restart of a server with a large file to load.
const PATIENCE: Duration = Duration::from_secs(60);

/// Time for which [`QueueClient::sweeps`] waits for one sweep that may not exist.
const LOOK: Duration = Duration::from_secs(1);

/// Number of hash slots of a cluster.
const HASH_SLOTS: u64 = 16384;

/// A connection to a Redis that was checked to be fit to hold queues. Cheap to clone; clones share
/// the connection.
///
/// It belongs to the tokio runtime in which it was made. A thread that must not wait for others
/// makes a separate one.
#[derive(Clone)]
pub struct QueueClient {
    connection: Arc<Connection>,
    patience: Duration,
}

impl QueueClient {
    /// Connects, and checks the server. Waits for a server that is loading its data, but not for
    /// one that does not answer.
    ///
    /// # Errors
    /// When the address is wrong, no server answers, or the server is older than 7.0 or may evict
    /// jobs.
    pub async fn connect<S>(server: S) -> Result<Self, QueueError>
    where
        S: TryInto<Server>,
        QueueError: From<S::Error>,
    {
        let client = Self::reach(server).await?;
        let () = client.query(ANYWHERE, &redis::cmd("PING")).await?;
        client.check().await?;
        Ok(client)
    }

    /// Connects to a server that may be unfit, or unable to do anything for now, in order to
    /// examine it.
    ///
    /// # Errors
    /// When the address is wrong, no server answers, or the server does not accept this user.
    pub async fn reach<S>(server: S) -> Result<Self, QueueError>
    where
        S: TryInto<Server>,
        QueueError: From<S::Error>,
    {
        let connection = Connection::to(server.try_into()?)?;
        connection.greet().await?;
        Ok(Self {
            connection: Arc::new(connection),
            patience: PATIENCE,
        })
    }

    /// Checks that every server is fit to hold queues.
    ///
    /// # Errors
    /// [`QueueError::Unsuitable`] with what to set when one is not.
    pub async fn check(&self) -> Result<(), QueueError> {
        for node in self.nodes().await? {
            node.check()?;
        }
        Ok(())
    }

    /// Returns the same client with another patience, see [`SweepQueue::with_patience`].
    #[must_use]
    pub fn with_patience(&self, patience: Duration) -> Self {
        Self {
            patience,
            ..self.clone()
        }
    }

    /// Returns the server's address, without credentials.
    #[must_use]
    pub fn server(&self) -> &str {
        self.connection.server()
    }

    /// Returns one sweep, which need not exist yet.
    #[must_use]
    pub fn sweep(&self, id: &SweepId) -> SweepQueue {
        SweepQueue::new(Arc::clone(&self.connection), self.patience, id.clone())
    }

    /// Returns the sweeps that this Redis holds, by id. A sweep whose node of a cluster does not
    /// answer is among them: it does not delay the others, and a request to it reports what is
    /// wrong.
    pub async fn sweeps(&self) -> Result<Vec<SweepId>, QueueError> {
        let mut sweeps = Vec::new();
        for id in self.listed().await? {
            if !self.is_missing(&id).await {
                sweeps.push(id);
            }
        }
        Ok(sweeps)
    }

    /// Returns true if the server answers that it holds nothing of a sweep.
    async fn is_missing(&self, id: &SweepId) -> bool {
        let once = self.with_patience(Duration::ZERO);
        let mut exists = redis::cmd("EXISTS");
        exists.arg(key(id, "meta"));
        let answer = timeout(LOOK, once.query(id.as_str(), &exists)).await;
        matches!(answer, Ok(Ok(false)))
    }

    /// Returns the sweeps that are listed, by id. A sweep is listed before it is created, and until
    /// after it is deleted, so some of these may not exist.
    pub async fn listed(&self) -> Result<Vec<SweepId>, QueueError> {
        let mut members = redis::cmd("SMEMBERS");
        let listed: Vec<String> = self.query(SWEEPS, members.arg(SWEEPS)).await?;
        let ids = listed.into_iter().map(SweepId::try_from);
        let mut sweeps: Vec<SweepId> = ids.filter_map(Result::ok).collect();
        sweeps.sort();
        Ok(sweeps)
    }

    /// Returns the number of a cluster's 16384 hash slots that no node serves; `None` if the server
    /// is not a cluster. A sweep that falls into one of these cannot be submitted or worked on.
    pub async fn unserved_slots(&self) -> Result<Option<u64>, QueueError> {
        if !self.named_server().await?.cluster {
            return Ok(None);
        }
        let served = self.connection.served_slots(self.patience).await?;
        Ok(Some(HASH_SLOTS.saturating_sub(served)))
    }

    /// Returns the kind of the server and its settings; for a cluster, those of each master.
    pub async fn servers(&self) -> Result<Vec<(String, ServerInfo)>, QueueError> {
        let mut servers = Vec::new();
        for mut node in self.nodes().await? {
            node.info.settings = self.settings(&node.route).await;
            servers.push((node.address, node.info));
        }
        Ok(servers)
    }

    /// Returns the server, or each master of the cluster, without settings.
    async fn nodes(&self) -> Result<Vec<Node>, QueueError> {
        let named = self.named_server().await?;
        if named.cluster {
            return self.masters().await;
        }
        Ok(vec![Node {
            address: self.server().to_owned(),
            route: ANYWHERE.to_owned(),
            info: named,
        }])
    }

    async fn masters(&self) -> Result<Vec<Node>, QueueError> {
        let mut masters = Vec::new();
        for node in self.connection.masters(self.patience).await? {
            let route = self.connection.route_to(&node);
            masters.push(Node {
                address: node.to_string(),
                info: self.info(&route).await?,
                route,
            });
        }
        Ok(masters)
    }

    /// Returns the server that the user named.
    async fn named_server(&self) -> Result<ServerInfo, QueueError> {
        self.info(ANYWHERE).await
    }

    async fn info(&self, route: &str) -> Result<ServerInfo, QueueError> {
        let text: String = self.query(route, &redis::cmd("INFO")).await?;
        ServerInfo::parse(&text).map_err(|problem| QueueError::Answer {
            request: "INFO",
            problem: problem.to_string(),
        })
    }

    /// Returns the settings that CONFIG shows. An access list may forbid CONFIG, so the permission
    /// is asked first. Only hints depend on the answer.
    async fn settings(&self, route: &str) -> Option<PersistenceSettings> {
        if !self.may_read_settings(route).await {
            return None;
        }
        let answer = self.query(route, &persistence::request()).await;
        PersistenceSettings::read(answer.ok()?)
    }

    async fn may_read_settings(&self, route: &str) -> bool {
        let script = MAY_READ.prepare_invoke();
        let request = RedisRequest::Script(&script);
        let allowed = self.connection.send(&request, route, self.patience).await;
        allowed.is_ok_and(|allowed: Vec<u8>| allowed == [1])
    }

    /// Returns the server's clock, in seconds since 1970.
    pub async fn time(&self) -> Result<f64, QueueError> {
        let (seconds, micros): (f64, f64) = self.query(ANYWHERE, &redis::cmd("TIME")).await?;
        Ok(seconds + micros / 1e6)
    }

    /// Sends a command to the node that serves `route`.
    async fn query<T: FromRedisValue>(&self, route: &str, command: &Cmd) -> Result<T, QueueError> {
        let request = RedisRequest::Command(command);
        self.connection.send(&request, route, self.patience).await
    }
}

/// A server, or a master of a cluster, with the route of requests to it.
struct Node {
    address: String,
    route: String,
    info: ServerInfo,
}

impl Node {
    fn check(self) -> Result<(), QueueError> {
        self.info.check().map_err(|reason| QueueError::Unsuitable {
            server: self.address,
            reason,
        })
    }
}
