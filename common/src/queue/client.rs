//! A Redis that can hold queues.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::connection::{Connection, Request};
use super::error::QueueError;
use super::keys::{SWEEPS, key};
use super::server::Server;
use super::server_info::ServerInfo;
use super::settings::{self, MAY_READ, Settings};
use super::sweep::SweepQueue;
use crate::domain::SweepId;

/// How long requests are repeated unless told otherwise: a restart of the server with a large file
/// to load.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long one sweep is waited for that may not be there, while others are.
const LOOK: Duration = Duration::from_secs(1);

/// What a cluster cuts its keys into.
const HASH_SLOTS: u64 = 16384;

/// The route of commands without keys.
const ANYWHERE: &str = "";

/// A connection to a Redis that was found fit to hold queues. Cheap to clone; clones share the
/// connection.
///
/// It belongs to the tokio runtime that it was made in. A thread that must not wait for others
/// makes its own.
#[derive(Clone)]
pub struct QueueClient {
    connection: Arc<Connection>,
    patience: Duration,
}

impl QueueClient {
    /// Connects, and checks the server. Waits for one that is loading its data, but not for one
    /// that is not there.
    ///
    /// # Errors
    /// When the address makes no sense, nobody answers there, or the server is older than 7.0 or
    /// may evict jobs.
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
        Ok(Self {
            connection: Arc::new(connection),
            patience: PATIENCE,
        })
    }

    /// Whether every server is fit to hold queues.
    ///
    /// # Errors
    /// [`QueueError::Unsuitable`] with what to set when one is not.
    pub async fn check(&self) -> Result<(), QueueError> {
        for (server, _, info) in self.look().await? {
            info.check()
                .map_err(|reason| QueueError::Unsuitable { server, reason })?;
        }
        Ok(())
    }

    /// The same client with another patience, see [`SweepQueue::with_patience`].
    #[must_use]
    pub fn with_patience(&self, patience: Duration) -> Self {
        Self {
            patience,
            ..self.clone()
        }
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

    /// The sweeps that this Redis holds, in the order of their ids. One whose node of a cluster
    /// does not answer is among them: it keeps nobody from the others, and whoever asks it is told
    /// what is wrong.
    pub async fn sweeps(&self) -> Result<Vec<SweepId>, QueueError> {
        let mut sweeps = Vec::new();
        let once = self.with_patience(Duration::ZERO);
        for id in self.listed().await? {
            let mut exists = redis::cmd("EXISTS");
            exists.arg(key(&id, "meta"));
            if !matches!(
                timeout(LOOK, once.query(id.as_str(), &exists)).await,
                Ok(Ok(false))
            ) {
                sweeps.push(id);
            }
        }
        Ok(sweeps)
    }

    /// The sweeps that are listed, in the order of their ids. Listed is a sweep before it is
    /// created, and until after it is deleted, so that some of these may not be there.
    pub async fn listed(&self) -> Result<Vec<SweepId>, QueueError> {
        let listed: Vec<String> = self
            .query(SWEEPS, redis::cmd("SMEMBERS").arg(SWEEPS))
            .await?;
        let mut sweeps: Vec<SweepId> = listed
            .into_iter()
            .filter_map(|text| SweepId::try_from(text).ok())
            .collect();
        sweeps.sort();
        Ok(sweeps)
    }

    /// How many of a cluster's 16384 hash slots no node serves; none if this is no cluster. A sweep
    /// that falls into one of these cannot be submitted or worked on, whatever the others do.
    pub async fn unserved_slots(&self) -> Result<Option<u64>, QueueError> {
        let first = self.look_at_first().await?;
        if !first.cluster {
            return Ok(None);
        }
        Ok(Some(HASH_SLOTS.saturating_sub(
            self.connection.served_slots(self.patience).await?,
        )))
    }

    /// What kind of server this is and how it is set; of a cluster, each of its masters.
    pub async fn servers(&self) -> Result<Vec<(String, ServerInfo)>, QueueError> {
        let mut servers = Vec::new();
        for (server, route, info) in self.look().await? {
            servers.push((
                server,
                ServerInfo {
                    settings: self.settings(&route).await,
                    ..info
                },
            ));
        }
        Ok(servers)
    }

    /// The same without settings, each with the route to it.
    async fn look(&self) -> Result<Vec<(String, String, ServerInfo)>, QueueError> {
        let first = self.look_at_first().await?;
        if !first.cluster {
            return Ok(vec![(self.server().to_owned(), ANYWHERE.to_owned(), first)]);
        }
        let mut servers = Vec::new();
        for node in self.connection.masters(self.patience).await? {
            let route = self.connection.route_to(&node);
            let answer: String = self.query(&route, &redis::cmd("INFO")).await?;
            servers.push((route.clone(), route, understood(&answer)?));
        }
        Ok(servers)
    }

    /// The server that the user named.
    async fn look_at_first(&self) -> Result<ServerInfo, QueueError> {
        understood(&self.query::<String>(ANYWHERE, &redis::cmd("INFO")).await?)
    }

    /// An access list may forbid CONFIG, which is asked first; nothing depends on the answer but
    /// advice.
    async fn settings(&self, route: &str) -> Option<Settings> {
        let may = MAY_READ.prepare_invoke();
        let may: Vec<u8> = self
            .connection
            .send(&Request::Script(&may), route, self.patience)
            .await
            .ok()?;
        if may != [1] {
            return None;
        }
        Settings::read(
            self.query::<HashMap<String, String>>(route, &settings::request())
                .await
                .ok()?,
        )
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
        self.connection
            .send(&Request::Command(command), route, self.patience)
            .await
    }
}

fn understood(info: &str) -> Result<ServerInfo, QueueError> {
    ServerInfo::parse(info).map_err(|problem| QueueError::Answer {
        request: "INFO",
        problem: problem.to_string(),
    })
}
