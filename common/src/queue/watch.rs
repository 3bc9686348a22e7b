//! Whether a server that was fit to hold queues still is: settings can be changed while it runs.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::client::QueueClient;
use super::error::QueueError;

/// How often one looks.
const EVERY: Duration = Duration::from_secs(60);
/// How long an answer is waited for: nothing else waits longer for this.
const PATIENCE: Duration = Duration::from_secs(1);

/// An eye on a server.
pub struct Watch {
    client: QueueClient,
    every: Duration,
    looked: Instant,
    wrong: Option<String>,
}

impl Watch {
    /// Begins to watch a server that was just found fit.
    #[must_use]
    pub fn new(client: &QueueClient) -> Self {
        Self {
            client: client.with_patience(Duration::ZERO),
            every: EVERY,
            looked: Instant::now(),
            wrong: None,
        }
    }

    /// The same, looking as often as this.
    #[must_use]
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// What has changed, once, in words for an operator. Looks once a minute at most; a server that
    /// does not answer is the trouble of those who need it.
    pub async fn news(&mut self) -> Option<String> {
        if self.looked.elapsed() < self.every {
            return None;
        }
        self.looked = Instant::now();
        let wrong = match timeout(PATIENCE, self.client.check()).await {
            Ok(Err(error @ QueueError::Unsuitable { .. })) => Some(error.to_string()),
            Ok(Ok(())) => None,
            Ok(Err(_)) | Err(_) => return None,
        };
        if wrong == self.wrong {
            return None;
        }
        self.wrong.clone_from(&wrong);
        Some(
            wrong
                .unwrap_or_else(|| format!("{} is fit to hold queues again", self.client.server())),
        )
    }
}
