//! One job from its claim to its end.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use ddrs_common::domain::Record;
use ddrs_common::plan::Job;
use ddrs_common::queue::{
    Claimed, CompleteReply, Lease, QueueError, RecordReply, RenewReply, WorkerQueue,
};
use ddrs_common::record_file;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use super::StopRequest;
use super::device_thread::DeviceHandle;
use super::open_sweep::OpenSweep;
use super::work_item::{WorkEvent, WorkItem};

/// Longest time for handing a job back before the worker ends all the same.
const RELEASE_PATIENCE: Duration = Duration::from_secs(1);

/// A job that this worker holds.
pub(super) struct LeasedJob {
    pub(super) sweep: Arc<OpenSweep>,
    pub(super) queue: WorkerQueue,
    pub(super) claimed: Claimed,
    /// The name of this worker in records.
    pub(super) worker: String,
}

/// The end of a job.
pub(super) enum JobEnd {
    /// Nothing is left to do: all its samples have records, or are given up.
    Completed,
    /// It failed, and was charged for that.
    Failed(String),
    /// Another worker has it.
    Lost,
    /// The state of the sweep in Redis is not valid, so nothing can be done with the job.
    Damaged(String),
    /// The worker was asked to stop, and handed the job back.
    Stopped,
}

impl LeasedJob {
    /// Certifies the samples of the job that are left. Each record goes to Redis as it is made.
    pub(super) async fn serve(
        &self,
        device: &mut DeviceHandle,
        stop: &mut StopRequest,
    ) -> Result<JobEnd> {
        // First, since it checks that the numbers from Redis belong to this plan.
        let job = match self.sweep.job(&self.claimed) {
            Ok(job) => job,
            Err(error) => {
                self.hand_back().await;
                return Ok(JobEnd::Damaged(format!("{error:#}")));
            }
        };
        let mut places = self.claimed.todo.clone();
        loop {
            let events = device.certify(self.work_item(&job, places));
            let followed = self.follow(events, stop).await;
            device.cancel();
            match followed {
                Ok(ItemEnd::Continue(todo)) => places = todo,
                Ok(ItemEnd::Job(end)) => return Ok(self.finish(end).await),
                Err(error) if error.is_of_one_sweep() => {
                    return Ok(JobEnd::Damaged(error.to_string()));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn work_item(&self, job: &Job, places: Vec<u64>) -> WorkItem {
        let is_in_job = |place: &u64| *place < self.claimed.samples;
        WorkItem {
            sweep: Arc::clone(&self.sweep),
            job: job.clone(),
            places: places.into_iter().filter(is_in_job).collect(),
            worker: self.worker.clone(),
            attempt: self.claimed.attempt,
        }
    }

    /// Logs the end of the job, and hands it back if the worker stops.
    async fn finish(&self, end: JobEnd) -> JobEnd {
        let job = self.claimed.lease.job;
        match &end {
            JobEnd::Failed(reason) => warn!(%job, "failed: {reason}"),
            JobEnd::Lost => {
                warn!(%job, "the lease is another worker's now; leaving its job alone");
            }
            JobEnd::Stopped => self.hand_back().await,
            JobEnd::Completed | JobEnd::Damaged(_) => {}
        }
        end
    }

    /// Hands the job back without a charge, if Redis answers soon enough.
    pub(super) async fn hand_back(&self) {
        let queue = self.queue.with_patience(RELEASE_PATIENCE);
        let released = timeout(RELEASE_PATIENCE, queue.release(&self.claimed.lease)).await;
        let reason = match released {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "redis did not answer".to_owned(),
        };
        let job = self.claimed.lease.job;
        warn!(%job, "not handed back, it returns when its lease expires: {reason}");
    }

    /// Records samples as they are certified, and ends the job after the last, while it keeps the
    /// lease alive.
    async fn follow(
        &self,
        mut events: UnboundedReceiver<WorkEvent>,
        stop: &mut StopRequest,
    ) -> Result<ItemEnd, QueueError> {
        let mut renewals = renewals(&self.claimed);
        let mut waiting: VecDeque<PendingRequest> = VecDeque::new();
        let mut renewal: Option<PendingRenewal> = None;
        loop {
            tokio::select! {
                biased;
                reason = &mut *stop => return Ok(ItemEnd::Job(self.stopped(reason))),
                answer = first(&mut waiting), if !waiting.is_empty() => {
                    waiting.pop_front();
                    if let Some(end) = answer? {
                        return Ok(end);
                    }
                }
                event = events.recv(), if !events.is_closed() || !events.is_empty() => {
                    waiting.push_back(self.request(event));
                }
                answer = ongoing(&mut renewal), if renewal.is_some() => {
                    renewal = None;
                    if check_renewal(answer) {
                        return Ok(ItemEnd::Job(JobEnd::Lost));
                    }
                }
                _ = renewals.tick(), if renewal.is_none() => renewal = Some(self.renewal()),
            }
        }
    }

    fn stopped(&self, reason: &'static str) -> JobEnd {
        info!(reason, job = %self.claimed.lease.job, "stopping; handing the job back");
        JobEnd::Stopped
    }

    /// Sends a renewal once. The next tick sends another one.
    fn renewal(&self) -> PendingRenewal<'_> {
        let once = self.queue.with_patience(Duration::ZERO);
        Box::pin(async move { once.renew(&self.claimed.lease).await })
    }

    /// Sends the request that follows from an event.
    fn request(&self, event: Option<WorkEvent>) -> PendingRequest<'_> {
        Box::pin(async move {
            match event {
                Some(WorkEvent::Sample { place, record }) => self.record(place, &record).await,
                Some(WorkEvent::Ended(Ok(()))) => self.complete().await.map(Some),
                Some(WorkEvent::Ended(Err(error))) => self.fail(format!("{error:#}")).await,
                None => self.fail("the device thread has ended".to_owned()).await,
            }
        })
    }

    async fn record(&self, place: u64, record: &Record) -> Result<Option<ItemEnd>, QueueError> {
        let slot = self.claimed.first_slot + place;
        let line = record_file::to_line(record);
        let stored = match record.result {
            Ok(_) => self.queue.record(self.lease(), slot, &line).await?,
            Err(_) => self.queue.record_failure(self.lease(), slot, &line).await?,
        };
        Ok((stored == RecordReply::Lost).then_some(ItemEnd::Job(JobEnd::Lost)))
    }

    async fn complete(&self) -> Result<ItemEnd, QueueError> {
        Ok(match self.queue.complete(self.lease()).await? {
            CompleteReply::Continue { todo } => ItemEnd::Continue(todo),
            CompleteReply::Completed | CompleteReply::AlreadyCompleted => {
                ItemEnd::Job(JobEnd::Completed)
            }
            CompleteReply::GivenUp => ItemEnd::Job(self.given_up()),
            CompleteReply::Lost => ItemEnd::Job(JobEnd::Lost),
        })
    }

    fn given_up(&self) -> JobEnd {
        let job = self.claimed.lease.job;
        warn!(%job, "given up: the samples that are left have lost workers too often");
        JobEnd::Completed
    }

    async fn fail(&self, reason: String) -> Result<Option<ItemEnd>, QueueError> {
        self.queue.fail(self.lease(), &reason).await?;
        Ok(Some(ItemEnd::Job(JobEnd::Failed(reason))))
    }

    fn lease(&self) -> &Lease {
        &self.claimed.lease
    }
}

/// The end of a work item.
enum ItemEnd {
    /// The job has ended.
    Job(JobEnd),
    /// These samples are next: a server that crashed has lost its last second, or the job continues
    /// sample by sample.
    Continue(Vec<u64>),
}

/// A request to Redis in progress. It may be repeated for as long as Redis is full or away, and
/// blocks nothing else.
type PendingRequest<'a> = Pin<Box<dyn Future<Output = Result<Option<ItemEnd>, QueueError>> + 'a>>;

/// A renewal in progress. A server that hangs blocks neither records nor a stop.
type PendingRenewal<'a> = Pin<Box<dyn Future<Output = Result<RenewReply, QueueError>> + 'a>>;

/// Returns the times at which the lease is renewed.
fn renewals(claimed: &Claimed) -> Interval {
    let mut renewals = interval(claimed.lasts / 3);
    renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
    renewals.reset();
    renewals
}

fn check_renewal(renewed: Result<RenewReply, QueueError>) -> bool {
    match renewed {
        Ok(reply) => reply == RenewReply::Lost,
        Err(error) => {
            warn!("cannot renew the lease; retrying: {error}");
            false
        }
    }
}

async fn ongoing(renewal: &mut Option<PendingRenewal<'_>>) -> Result<RenewReply, QueueError> {
    match renewal {
        Some(renewal) => renewal.await,
        None => std::future::pending().await,
    }
}

async fn first(waiting: &mut VecDeque<PendingRequest<'_>>) -> Result<Option<ItemEnd>, QueueError> {
    match waiting.front_mut() {
        Some(request) => request.await,
        None => std::future::pending().await,
    }
}
