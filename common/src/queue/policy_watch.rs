//! A periodic check that a server is still fit to hold queues: its settings can be changed while it
//! runs.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::client::QueueClient;
use super::error::QueueError;

/// Time between two checks.
const EVERY: Duration = Duration::from_secs(60);
/// Longest time for one check, since the caller waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// A watch over the settings of a server.
pub struct PolicyWatch {
    client: QueueClient,
    every: Duration,
    checked: Instant,
    problem: Option<String>,
}

impl PolicyWatch {
    /// Begins to watch a server that was just found fit.
    #[must_use]
    pub fn new(client: &QueueClient) -> Self {
        Self {
            client: client.with_patience(Duration::ZERO),
            every: EVERY,
            checked: Instant::now(),
            problem: None,
        }
    }

    /// Returns the same watch with another time between checks.
    #[must_use]
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// Checks the server if a check is due, and returns a message for the operator if its fitness
    /// has changed since the last one. A server that does not answer is not reported here, but by
    /// the requests that need it.
    pub async fn policy_changes(&mut self) -> Option<String> {
        if self.checked.elapsed() < self.every {
            return None;
        }
        self.checked = Instant::now();
        let problem = self.check().await?;
        if problem == self.problem {
            return None;
        }
        self.problem.clone_from(&problem);
        Some(problem.unwrap_or_else(|| self.fit_again()))
    }

    /// Returns the problem with the server, if there is one; `None` if the check failed.
    async fn check(&self) -> Option<Option<String>> {
        match timeout(PATIENCE, self.client.check()).await {
            Ok(Err(error @ QueueError::Unsuitable { .. })) => Some(Some(error.to_string())),
            Ok(Ok(())) => Some(None),
            Ok(Err(_)) | Err(_) => None,
        }
    }

    fn fit_again(&self) -> String {
        format!("{} is fit to hold queues again", self.client.server())
    }
}
