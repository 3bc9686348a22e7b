//! A Redis that can hold queues.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::connection::{Connection, Request};
use super::error::QueueError;
use super::keys::{SWEEPS, key};
use super::server::Server;
use super::server_info::ServerInfo;
use super::settings::{self, MAY_READ, Settings};
use super::sweep::SweepQueue;
use crate::domain::SweepId;

/// How long requests are repeated unless told otherwise: a restart of the server with a large file to load.
const PATIENCE: Duration = Duration::from_secs(60);

/// The route of commands without keys.
const ANYWHERE: &str = "";

/// A connection to a Redis that was found fit to hold queues. Cheap to clone; clones share the connection.
///
/// It belongs to the tokio runtime that it was made in. A thread that must not wait for others makes its own.
#[derive(Clone)]
pub struct QueueClient {
    connection: Arc<Connection>,
    patience: Duration,
}

impl QueueClient {
    /// Connects, and checks the server. Waits for one that is loading its data, but not for one that is not there.
    ///
    /// # Errors
    /// When the address makes no sense, nobody answers there, or the server is older than 7.0 or may evict jobs.
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

    /// Connects to a server that may be unfit, or unable to do anything for now, to find out why.
    ///
    /// # Errors
    /// When the address makes no sense, nobody answers there, or not to this user.
    pub async fn reach<S>(server: S) -> Result<Self, QueueError>
    where
        S: TryInto<Server>,
        QueueError: From<S::Error>,
    {
        let connection = Connection::to(server.try_into()?)?;
        connection.greet().await?;
        Ok(Self { connection: Arc::new(connection), patience: PATIENCE })
    }

    /// Whether every server is fit to hold queues.
    ///
    /// # Errors
    /// [`QueueError::Unsuitable`] with what to set when one is not.
    pub async fn check(&self) -> Result<(), QueueError> {
        for (server, _, info) in self.look().await? {
            info.check().map_err(|reason| QueueError::Unsuitable { server, reason })?;
        }
        Ok(())
    }

    /// The same client with another patience, see [`SweepQueue::with_patience`].
    #[must_use]
    pub fn with_patience(&self, patience: Duration) -> Self {
        Self { patience, ..self.clone() }
    }

    /// The server's address, without credentials.
    #[must_use]
    pub fn server(&self) -> &str {
        self.connection.server()
    }

    /// One sweep, which need not exist yet.
    #[must_use]
    pub fn sweep(&self, id: &SweepId) -> SweepQueue {
        SweepQueue::new(Arc::clone(&self.connection), self.patience, id.clone())
    }

    /// The sweeps that this Redis holds, in the order of their ids.
    pub async fn sweeps(&self) -> Result<Vec<SweepId>, QueueError> {
        let listed: Vec<String> = self.query(SWEEPS, redis::cmd("SMEMBERS").arg(SWEEPS)).await?;
        let mut sweeps = Vec::new();
        for id in listed.into_iter().filter_map(|text| SweepId::try_from(text).ok()) {
            // Listed before it is created, and until after it is deleted.
            if self.query(id.as_str(), redis::cmd("EXISTS").arg(key(&id, "meta"))).await? {
                sweeps.push(id);
            }
        }
        sweeps.sort();
        Ok(sweeps)
    }

    /// What kind of server this is and how it is set; of a cluster, each of its masters.
    pub async fn servers(&self) -> Result<Vec<(String, ServerInfo)>, QueueError> {
        let mut servers = Vec::new();
        for (server, route, info) in self.look().await? {
            servers.push((server, ServerInfo { settings: self.settings(&route).await, ..info }));
        }
        Ok(servers)
    }

    /// The same without settings, each with the route to it.
    async fn look(&self) -> Result<Vec<(String, String, ServerInfo)>, QueueError> {
        let info = |answer: String| {
            ServerInfo::parse(&answer)
                .map_err(|problem| QueueError::Answer { request: "INFO", problem: problem.to_string() })
        };
        let first = info(self.query(ANYWHERE, &redis::cmd("INFO")).await?)?;
        if !first.cluster {
            return Ok(vec![(self.server().to_owned(), ANYWHERE.to_owned(), first)]);
        }
        let mut servers = Vec::new();
        for node in self.connection.masters(self.patience).await? {
            let route = self.connection.route_to(&node);
            let answer = self.query(&route, &redis::cmd("INFO")).await?;
            servers.push((route.clone(), route, info(answer)?));
        }
        Ok(servers)
    }

    /// An access list may forbid CONFIG, which is asked first; nothing depends on the answer but advice.
    async fn settings(&self, route: &str) -> Option<Settings> {
        let may = MAY_READ.prepare_invoke();
        let may: Vec<u8> = self.connection.send(&Request::Script(&may), route, self.patience).await.ok()?;
        if may != [1] {
            return None;
        }
        Settings::read(self.query::<HashMap<String, String>>(route, &settings::request()).await.ok()?)
    }

    /// The server's clock, in seconds since 1970.
    pub async fn time(&self) -> Result<f64, QueueError> {
        let (seconds, micros): (f64, f64) = self.query(ANYWHERE, &redis::cmd("TIME")).await?;
        Ok(seconds + micros / 1e6)
    }

    /// Sends a command with the keys that `route` stands for.
    pub(super) async fn query<T: redis::FromRedisValue>(
        &self,
        route: &str,
        command: &redis::Cmd,
    ) -> Result<T, QueueError> {
        self.connection.send(&Request::Command(command), route, self.patience).await
    }
}
