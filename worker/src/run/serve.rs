//! One job from claim to completion.

use std::sync::Arc;

use anyhow::Result;
use ddrs_common::queue::{Claimed, CompleteReply, RecordReply, RenewReply, SweepQueue};
use ddrs_common::record_file;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::compute::{Event, Order};
use super::{Assignment, Stop, Worker};

/// How a job ended.
pub(super) enum JobEnd {
    /// All its samples have records.
    Completed,
    /// It came to an error, which was charged to it.
    Failed(String),
    /// Another worker has it.
    Lost,
    /// This worker was told to stop, and handed it back.
    Stopped,
}

impl Worker {
    /// Certifies what is left of a job. Records go to Redis as they come.
    pub(super) async fn serve(
        &mut self,
        assignment: &Arc<Assignment>,
        queue: &SweepQueue,
        claimed: &Claimed,
        stop: &mut Stop,
    ) -> Result<JobEnd> {
        let mut left: Vec<u64> = (0..claimed.samples).filter(|place| !claimed.done.contains(place)).collect();
        loop {
            let order = Order {
                assignment: Arc::clone(assignment),
                job: assignment.job(claimed.lease.job)?,
                places: left,
                worker: self.name.clone(),
                attempt: claimed.attempt,
            };
            let events = self.compute.certify(order);
            let ended = follow(queue, claimed, events, stop).await;
            self.compute.cancel();
            match ended? {
                Followed::Ended => {}
                Followed::Failed(reason) => {
                    warn!(job = %claimed.lease.job, "failed: {reason}");
                    queue.fail(&claimed.lease, &reason).await?;
                    return Ok(JobEnd::Failed(reason));
                }
                Followed::Lost => {
                    warn!(job = %claimed.lease.job, "the lease is another worker's now; its job is left alone");
                    return Ok(JobEnd::Lost);
                }
                Followed::Stopped(reason) => {
                    info!(reason, job = %claimed.lease.job, "stopping; the job is handed back");
                    queue.release(&claimed.lease).await?;
                    return Ok(JobEnd::Stopped);
                }
            }
            match queue.complete(&claimed.lease).await? {
                CompleteReply::Completed | CompleteReply::AlreadyCompleted => return Ok(JobEnd::Completed),
                CompleteReply::Lost => return Ok(JobEnd::Lost),
                // A server that crashed has lost its last second: those samples are certified again.
                CompleteReply::Incomplete { missing } => left = missing,
            }
        }
    }
}

/// What following the compute thread came to.
enum Followed {
    Ended,
    Failed(String),
    Lost,
    Stopped(&'static str),
}

/// Records samples as they are certified, and keeps the lease alive meanwhile.
async fn follow(
    queue: &SweepQueue,
    claimed: &Claimed,
    mut events: UnboundedReceiver<Event>,
    stop: &mut Stop,
) -> Result<Followed> {
    let mut renewals = interval(claimed.lasts / 3);
    renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
    renewals.reset();
    loop {
        tokio::select! {
            biased;
            reason = &mut *stop => return Ok(Followed::Stopped(reason)),
            event = events.recv() => match event {
                Some(Event::Sample { place, record }) => {
                    let line = record_file::to_line(&record);
                    if queue.record(&claimed.lease, claimed.first_slot + place, &line).await? == RecordReply::Lost {
                        return Ok(Followed::Lost);
                    }
                }
                Some(Event::Ended(Ok(()))) => return Ok(Followed::Ended),
                Some(Event::Ended(Err(error))) => return Ok(Followed::Failed(format!("{error:#}"))),
                None => return Ok(Followed::Failed("the compute thread is gone".to_owned())),
            },
            _ = renewals.tick() => if queue.renew(&claimed.lease).await? == RenewReply::Lost {
                return Ok(Followed::Lost);
            },
        }
    }
}
