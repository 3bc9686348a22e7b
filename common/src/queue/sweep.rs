//! One sweep in Redis, and the handles through which each role uses it.

use std::sync::Arc;
use std::time::Duration;

use super::admin::AdminQueue;
use super::collector::CollectorQueue;
use super::connection::Connection;
use super::error::QueueError;
use super::status::StatusQueue;
use super::submitter::SubmitterQueue;
use super::sweep_core::SweepCore;
use super::worker::WorkerQueue;
use crate::domain::SweepId;

/// One sweep, which need not exist yet. Cheap to clone; clones share a connection.
#[derive(Clone)]
pub struct SweepQueue {
    core: SweepCore,
}

impl SweepQueue {
    pub(super) fn new(connection: Arc<Connection>, patience: Duration, id: SweepId) -> Self {
        Self {
            core: SweepCore::new(connection, patience, id),
        }
    }

    /// Returns the sweep's id.
    pub fn id(&self) -> &SweepId {
        self.core.id()
    }

    /// Returns the same queue with another patience: the time for which a request is repeated
    /// while the server cannot be reached, starts or is full. The pause between two attempts is
    /// at most a second; one attempt may take 10 s longer.
    #[must_use]
    pub fn with_patience(&self, patience: Duration) -> Self {
        Self {
            core: self.core.with_patience(patience),
        }
    }

    /// Returns the handle that creates the sweep and its jobs.
    #[must_use]
    pub fn submitter(&self) -> SubmitterQueue {
        SubmitterQueue::new(self.core.clone())
    }

    /// Returns the handle of the worker with this name.
    #[must_use]
    pub fn worker(&self, name: &str) -> WorkerQueue {
        WorkerQueue::new(self.core.clone(), name.to_owned())
    }

    /// Returns the handle of the collector `owner`. The name should hold the machine and the
    /// folder, so that a collector that was killed can continue without waiting.
    #[must_use]
    pub fn collector(&self, owner: &str) -> CollectorQueue {
        CollectorQueue::new(self.core.clone(), owner.to_owned())
    }

    /// Returns the handle that reads the state of the sweep, its workers and its jobs.
    #[must_use]
    pub fn status(&self) -> StatusQueue {
        StatusQueue::new(self.core.clone())
    }

    /// Returns the handle that changes the state of jobs from outside: lost workers, dead jobs.
    #[must_use]
    pub fn admin(&self) -> AdminQueue {
        AdminQueue::new(self.core.clone())
    }

    pub(super) fn core(&self) -> &SweepCore {
        &self.core
    }

    /// Returns the specification as it was submitted; `None` if the sweep does not exist.
    pub async fn spec(&self) -> Result<Option<String>, QueueError> {
        let key = self.core.key("spec");
        self.core.query(redis::cmd("GET").arg(key)).await
    }
}
