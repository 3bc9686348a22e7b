//! One job from claim to completion.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use ddrs_common::queue::{
    Claimed, CompleteReply, Lease, QueueError, RecordReply, RenewReply, WorkerQueue,
};
use ddrs_common::record_file;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use super::compute::{Event, Order};
use super::{Assignment, Stop, Worker};

/// How long Redis is asked to take a job back before the worker ends all the same.
const RELEASE_PATIENCE: Duration = Duration::from_secs(1);

/// How a job ended.
pub(super) enum JobEnd {
    /// Nothing is left to do: all its samples have records, or are given up.
    Completed,
    /// It came to an error, which was charged to it.
    Failed(String),
    /// Another worker has it.
    Lost,
    /// What Redis holds of the sweep makes no sense, so that nothing can be done to the job.
    Damaged(String),
    /// This worker was told to stop, and handed it back.
    Stopped,
}

impl Worker {
    /// Certifies what is left of a job. Records go to Redis as they come.
    pub(super) async fn serve(
        &mut self,
        assignment: &Arc<Assignment>,
        queue: &WorkerQueue,
        claimed: &Claimed,
        stop: &mut Stop,
    ) -> Result<JobEnd> {
        // First, for it shows that the numbers from Redis are this plan's.
        let job = match assignment.job(claimed) {
            Ok(job) => job,
            Err(error) => {
                hand_back(queue, &claimed.lease).await;
                return Ok(JobEnd::Damaged(format!("{error:#}")));
            }
        };
        let mut left = claimed.todo.clone();
        loop {
            let order = Order {
                assignment: Arc::clone(assignment),
                job: job.clone(),
                places: left,
                worker: self.name.clone(),
                attempt: claimed.attempt,
            };
            let events = self.compute.certify(order);
            let followed = follow(queue, claimed, events, stop).await;
            self.compute.cancel();
            let followed = match followed {
                Err(error) if error.is_of_one_sweep() => {
                    return Ok(JobEnd::Damaged(error.to_string()));
                }
                followed => followed?,
            };
            match followed {
                Followed::Completed => return Ok(JobEnd::Completed),
                Followed::Failed(reason) => {
                    warn!(job = %claimed.lease.job, "failed: {reason}");
                    return Ok(JobEnd::Failed(reason));
                }
                Followed::Lost => {
                    warn!(job = %claimed.lease.job, "the lease is another worker's now; its job is left alone");
                    return Ok(JobEnd::Lost);
                }
                Followed::Stopped(reason) => {
                    info!(reason, job = %claimed.lease.job, "stopping; the job is handed back");
                    hand_back(queue, &claimed.lease).await;
                    return Ok(JobEnd::Stopped);
                }
                Followed::GivenUp => {
                    warn!(job = %claimed.lease.job, "given up: the samples that are left have lost workers too often");
                    return Ok(JobEnd::Completed);
                }
                // A server that crashed has lost its last second, or the job goes on sample by
                // sample.
                Followed::Incomplete(missing) => {
                    left = missing
                        .into_iter()
                        .filter(|&place| place < claimed.samples)
                        .collect();
                }
            }
        }
    }
}

/// Hands a job back uncharged, if Redis takes it soon enough.
pub(super) async fn hand_back(queue: &WorkerQueue, lease: &Lease) {
    match timeout(
        RELEASE_PATIENCE,
        queue.with_patience(RELEASE_PATIENCE).release(lease),
    )
    .await
    {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => warn!("the job comes back when its lease runs out: {error}"),
        Err(_) => warn!("redis does not answer; the job comes back when its lease runs out"),
    }
}

/// What following the compute thread came to.
enum Followed {
    Completed,
    Incomplete(Vec<u64>),
    GivenUp,
    Failed(String),
    Lost,
    Stopped(&'static str),
}

/// A request to Redis in progress: it may be repeated for as long as Redis is full or away, and
/// keeps nothing waiting.
type Request<'a> = Pin<Box<dyn Future<Output = Result<Option<Followed>, QueueError>> + 'a>>;

/// A renewal in progress: a server that hangs keeps neither records nor a stop waiting.
type Renewal<'a> = Pin<Box<dyn Future<Output = Result<RenewReply, QueueError>> + 'a>>;

/// Records samples as they are certified, and ends the job after the last, keeping the lease alive
/// meanwhile.
async fn follow(
    queue: &WorkerQueue,
    claimed: &Claimed,
    mut events: UnboundedReceiver<Event>,
    stop: &mut Stop,
) -> Result<Followed, QueueError> {
    let mut renewals = interval(claimed.lasts / 3);
    renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
    renewals.reset();
    let once = queue.with_patience(Duration::ZERO);
    let mut waiting: VecDeque<Request> = VecDeque::new();
    let mut renewal: Option<Renewal> = None;
    loop {
        tokio::select! {
            biased;
            reason = &mut *stop => return Ok(Followed::Stopped(reason)),
            answer = first(&mut waiting), if !waiting.is_empty() => {
                waiting.pop_front();
                if let Some(ended) = answer? {
                    return Ok(ended);
                }
            }
            event = events.recv(), if !events.is_closed() || !events.is_empty() => {
                let event = event.unwrap_or_else(|| Event::Ended(Err(anyhow::anyhow!("the compute thread is gone"))));
                waiting.push_back(request(queue, claimed, event));
            }
            answer = ongoing(&mut renewal), if renewal.is_some() => {
                renewal = None;
                match answer {
                    Ok(RenewReply::Renewed) => {}
                    Ok(RenewReply::Lost) => return Ok(Followed::Lost),
                    Err(error) => warn!("the lease could not be renewed, and will be tried again: {error}"),
                }
            }
            _ = renewals.tick(), if renewal.is_none() => renewal = Some(Box::pin(once.renew(&claimed.lease))),
        }
    }
}

async fn ongoing(renewal: &mut Option<Renewal<'_>>) -> Result<RenewReply, QueueError> {
    match renewal {
        Some(renewal) => renewal.await,
        None => std::future::pending().await,
    }
}

async fn first(waiting: &mut VecDeque<Request<'_>>) -> Result<Option<Followed>, QueueError> {
    match waiting.front_mut() {
        Some(request) => request.await,
        None => std::future::pending().await,
    }
}

/// What an event means to Redis. Answers how the job ended, if it did.
fn request<'a>(queue: &'a WorkerQueue, claimed: &'a Claimed, event: Event) -> Request<'a> {
    let lease = &claimed.lease;
    Box::pin(async move {
        Ok(match event {
            Event::Sample { place, record } => {
                let slot = claimed.first_slot + place;
                let line = record_file::to_line(&record);
                let stored = match record.result {
                    Ok(_) => queue.record(lease, slot, &line).await?,
                    Err(_) => queue.record_failure(lease, slot, &line).await?,
                };
                (stored == RecordReply::Lost).then_some(Followed::Lost)
            }
            Event::Ended(Ok(())) => Some(match queue.complete(lease).await? {
                CompleteReply::Completed | CompleteReply::AlreadyCompleted => Followed::Completed,
                CompleteReply::Lost => Followed::Lost,
                CompleteReply::GivenUp => Followed::GivenUp,
                CompleteReply::Incomplete { missing } => Followed::Incomplete(missing),
            }),
            Event::Ended(Err(error)) => {
                let reason = format!("{error:#}");
                queue.fail(lease, &reason).await?;
                Some(Followed::Failed(reason))
            }
        })
    })
}
