//! `run`: claim a job, certify its samples, record each, complete the job, again.
//!
//! Two threads. This one talks to Redis: it claims, renews, records and releases, and the device
//! cannot starve it. The other ([`Compute`]) owns the networks and the device. Between them go one
//! order at a time and a stream of events.

mod assignment;
mod compute;
pub(crate) mod fleet;
mod known;
mod rests;
mod roots;
mod serve;
pub(crate) mod stop;

pub(crate) use assignment::Assignment;
pub(crate) use compute::Compute;
pub(crate) use roots::Roots;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ddrs_common::domain::SweepId;
use ddrs_common::host;
use ddrs_common::queue::{
    Claim, ClaimToken, Claimed, PolicyWatch, QueueClient, QueueError, SweepQueue, WorkerQueue,
};
use ddrs_common::sweep_message::SweepMessage;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use crate::cli::WorkerRunArgs;
use ddrs_common::cli::BadInput;
use ddrs_worker::engine::EngineOptions;
use known::{Known, Served};
use rests::Rests;
use serve::{JobEnd, hand_back};

/// How long to wait when nothing can be claimed.
const IDLE: Duration = Duration::from_millis(200);
/// How long a Redis that is full, restarting or out of reach is waited for.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How long one sweep is asked before the next one is: only that one may be out of reach.
const ONE_SWEEP: Duration = Duration::from_secs(2);
/// How long a sweep is left alone that does not answer, while others may. It costs each time what
/// asking it takes.
const WHEN_SILENT: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// How long a sweep is left alone after one of its jobs failed here, and so on while they keep
/// failing: a file server that is away for a moment must not use up all attempts. Short of what
/// lets `status` call a worker lost.
const WHEN_FAILING: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// How long a worker that a coordinator started looks for a Redis that is not there.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// How long a claim in progress may still take once the worker is told to stop.
const LAST_CLAIM: Duration = Duration::from_secs(1);
/// After so many jobs in a row that fail here first the fault is this machine's, not the jobs'.
const FAILURES_IN_A_ROW: u32 = 3;
/// How long Redis is told that this worker ends, before it ends all the same.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Ends when the worker is told to stop, with the reason.
type Stop = Pin<Box<dyn Future<Output = &'static str>>>;

/// A worker between its start and its end.
struct Worker {
    queue: QueueClient,
    watch: PolicyWatch,
    compute: Compute,
    name: String,
    roots: Roots,
    only: Vec<SweepId>,
    exit_when_idle: bool,
    sweeps: Known,
    /// Whose turn it is among the sweeps, so that several share the workers fairly.
    turn: usize,
    failures: u32,
    /// Sweeps that do not answer.
    silent: Rests,
    /// Since when none answers, if so.
    all_silent: Option<Instant>,
    /// Sweeps whose jobs fail here.
    failing: Rests,
    /// Claims that were not answered. Made again with the same token, one that was applied gives
    /// its job.
    tokens: HashMap<SweepId, ClaimToken>,
}

/// What asking around for a job came to.
enum Asked {
    Job(Arc<Assignment>, WorkerQueue, Box<Claimed>),
    /// None now; some may come back.
    Wait,
    /// None, and none in flight.
    Nothing,
}

/// Works until told to stop, or with `--exit-when-idle` until nothing is left.
///
/// # Errors
/// [`BadInput`] when every sweep there is was refused; otherwise when Redis cannot be reached, the
/// device cannot be used, or job after job fails.
pub(crate) async fn run(args: WorkerRunArgs) -> Result<()> {
    let mut stop: Stop = Box::pin(stop::stop_requested(args.worker.stop_with_stdin)?);
    let roots = roots::resolve(&args.worker.roots).map_err(BadInput)?;
    let queue = tokio::select! {
        biased;
        reason = &mut stop => {
            info!(reason, "stopping");
            return Ok(());
        }
        queue = connect(&args) => queue?.with_patience(PATIENCE),
    };
    let compute = Compute::start(EngineOptions::from(&args.worker.device)).map_err(BadInput)?;
    let name = args.worker.name.unwrap_or_else(default_name);
    info!(worker = %name, device = compute.device(), "ready");
    let mut worker = Worker {
        watch: PolicyWatch::new(&queue),
        queue,
        compute,
        name,
        roots,
        only: args.worker.sweeps,
        exit_when_idle: args.worker.exit_when_idle,
        sweeps: Known::default(),
        turn: 0,
        failures: 0,
        silent: Rests::of(&WHEN_SILENT),
        all_silent: None,
        failing: Rests::of(&WHEN_FAILING),
        tokens: HashMap::new(),
    };
    let ended = worker.work(&mut stop).await;
    worker.say_goodbye().await;
    ended
}

/// Connects. The parent of a worker that it watches has just spoken to this Redis, so one that is
/// not there is about to come back; to anybody else the address may be wrong, and is told at once.
async fn connect(args: &WorkerRunArgs) -> Result<QueueClient, QueueError> {
    let patience = if args.worker.stop_with_stdin {
        START_PATIENCE
    } else {
        Duration::ZERO
    };
    let deadline = Instant::now() + patience;
    loop {
        match QueueClient::connect(&args.redis.settings()).await {
            Err(QueueError::Connect { .. }) if Instant::now() < deadline => sleep(IDLE).await,
            connected => return connected,
        }
    }
}

impl Worker {
    async fn work(&mut self, stop: &mut Stop) -> Result<()> {
        loop {
            let Some(asked) = self.ask_unless_stopped(stop).await? else {
                return Ok(());
            };
            let pause = match asked {
                Asked::Job(assignment, queue, claimed) => {
                    match self.serve(&assignment, &queue, &claimed, stop).await? {
                        JobEnd::Stopped => return Ok(()),
                        JobEnd::Completed => {
                            self.failures = 0;
                            self.failing.end(queue.sweep());
                            self.sweeps.worked(queue.sweep());
                        }
                        JobEnd::Lost => {}
                        JobEnd::Failed(reason) => {
                            self.failed(&claimed, &reason)?;
                            self.failing.begin(queue.sweep());
                        }
                        JobEnd::Damaged(reason) => self.refuse(queue.sweep(), &reason),
                    }
                    Duration::ZERO
                }
                Asked::Nothing if self.exit_when_idle => {
                    self.sweeps.anything_served().map_err(BadInput)?;
                    info!("nothing left to do");
                    return Ok(());
                }
                Asked::Nothing | Asked::Wait => IDLE,
            };
            tokio::select! {
                biased;
                reason = &mut *stop => {
                    info!(reason, "stopping");
                    return Ok(());
                }
                () = sleep(pause) => {}
            }
        }
    }

    /// None when told to stop. A claim cut short might leave a job leased to nobody, so it gets a
    /// moment to end, and a job that it brings goes back.
    async fn ask_unless_stopped(&mut self, stop: &mut Stop) -> Result<Option<Asked>> {
        let mut ask = std::pin::pin!(self.ask());
        tokio::select! {
            biased;
            reason = &mut *stop => info!(reason, "stopping"),
            asked = &mut ask => return asked.map(Some),
        }
        match timeout(LAST_CLAIM, ask).await {
            Ok(Ok(Asked::Job(_, queue, claimed))) => hand_back(&queue, &claimed.lease).await,
            Ok(_) => {}
            Err(_) => warn!(
                "stopped in the middle of a request: a job that redis may have leased comes back when its lease runs out"
            ),
        }
        Ok(None)
    }

    /// Asks one sweep after the other for a job, beginning behind the one that gave the last. What
    /// is wrong with one keeps this worker from none of the others.
    async fn ask(&mut self) -> Result<Asked> {
        if let Some(news) = self.watch.policy_changes().await {
            warn!("{news}");
        }
        let ids = if self.only.is_empty() {
            self.queue.listed().await?
        } else {
            self.only.clone()
        };
        let mut asked = Asked::Nothing;
        for step in 0..ids.len() {
            let id = &ids[(self.turn + step) % ids.len()];
            if self.silent.lasts(id) || self.failing.lasts(id) {
                asked = Asked::Wait;
                continue;
            }
            match self.ask_one(id).await {
                Ok(job @ Asked::Job(..)) => {
                    self.turn = (self.turn + step + 1) % ids.len();
                    self.answered(id);
                    return Ok(job);
                }
                Ok(Asked::Wait) => {
                    self.answered(id);
                    asked = Asked::Wait;
                }
                Ok(Asked::Nothing) => self.answered(id),
                Err(error) if error.is_transient() => {
                    self.unanswered(id, error)?;
                    asked = Asked::Wait;
                }
                Err(error) if error.is_of_one_sweep() => {
                    self.answered(id);
                    self.refuse(id, &error.to_string());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(asked)
    }

    /// Asks a sweep for a job. One that did not answer the last time is asked once only.
    async fn ask_one(&mut self, id: &SweepId) -> Result<Asked, QueueError> {
        let patience = if self.silent.times(id) == 0 {
            ONE_SWEEP
        } else {
            Duration::ZERO
        };
        let queue = self.queue.sweep(id).with_patience(patience);
        let Some(assignment) = self.open(&queue).await? else {
            return Ok(Asked::Nothing);
        };
        let token = *self
            .tokens
            .entry(id.clone())
            .or_insert_with(ClaimToken::random);
        let claimed = queue.worker(&self.name).claim(token).await;
        if !claimed.as_ref().is_err_and(QueueError::is_transient) {
            self.tokens.remove(id);
        }
        match claimed {
            Ok(Claim::Job(claimed)) => Ok(Asked::Job(
                assignment,
                self.queue.sweep(id).worker(&self.name),
                Box::new(claimed),
            )),
            Ok(Claim::Empty) => Ok(Asked::Wait),
            // Deleted since it was listed.
            Ok(Claim::Finished | Claim::Cancelled) | Err(QueueError::NoSweep(_)) => {
                Ok(Asked::Nothing)
            }
            Ok(Claim::Refused { theirs, ours }) => {
                self.refuse(
                    id,
                    &format!("the sweep speaks protocol {theirs}, this worker {ours}"),
                );
                Ok(Asked::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    fn answered(&mut self, id: &SweepId) {
        self.all_silent = None;
        if self.silent.end(id) {
            info!(sweep = %id, "answers again");
        }
    }

    /// Leaves a sweep alone for a moment that does not answer.
    ///
    /// # Errors
    /// The last failure, when no sweep has answered for as long as this worker's patience lasts.
    fn unanswered(&mut self, id: &SweepId, error: QueueError) -> Result<(), QueueError> {
        let since = *self.all_silent.get_or_insert_with(Instant::now);
        if since.elapsed() >= PATIENCE {
            return Err(error);
        }
        if self.silent.begin(id) == 1 {
            warn!(sweep = %id, "does not do what it is asked, and is asked again until it does: {error}");
        }
        Ok(())
    }

    /// Opens a sweep's data and models when it is first seen. What cannot be worked on is refused
    /// before any of its jobs is claimed. A sweep that is over is left alone: its files may be long
    /// gone, and nobody needs them.
    async fn open(&mut self, queue: &SweepQueue) -> Result<Option<Arc<Assignment>>, QueueError> {
        match self.sweeps.get(queue.id()) {
            Some(Served::Open(assignment)) => return Ok(Some(Arc::clone(assignment))),
            Some(Served::Refused(refusal)) if !refusal.is_over() => return Ok(None),
            Some(Served::Refused(_)) | None => {}
        }
        match queue.worker(&self.name).is_finished().await {
            Err(QueueError::NoSweep(_)) | Ok(true) => {
                self.sweeps.forget(queue.id());
                return Ok(None);
            }
            over => over?,
        };
        let Some(text) = queue.spec().await? else {
            return Ok(None);
        };
        let opened = match SweepMessage::from_json(&text) {
            Ok(message) => self.read(message).await,
            Err(error) => Err(error.into()),
        };
        let prepared = match opened {
            Ok(assignment) => self.compute.prepare(&assignment).await.map(|()| assignment),
            Err(error) => Err(error),
        };
        match prepared {
            Ok(assignment) => {
                info!(sweep = %queue.id(), name = assignment.sweep.name, "serving");
                self.sweeps.serve(queue.id(), Arc::clone(&assignment));
                Ok(Some(assignment))
            }
            Err(error) => {
                self.refuse(queue.id(), &format!("{error:#}"));
                Ok(None)
            }
        }
    }

    /// Opens what a message names, apart from this thread: digesting takes as long as the data is
    /// large, or for ever on a file server that hangs, and signals are to be heard meanwhile.
    async fn read(&self, message: SweepMessage) -> Result<Arc<Assignment>> {
        let roots = self.roots.clone();
        tokio::task::spawn_blocking(move || Assignment::open(message, &roots))
            .await
            .context("the data was not opened")?
    }

    fn refuse(&mut self, id: &SweepId, reason: &str) {
        let (pause, new) = self.sweeps.refuse(id, reason);
        if new && self.exit_when_idle {
            error!(sweep = %id, "refused: {reason}");
        } else if new {
            error!(sweep = %id, "refused, to be looked at again in {}s and from time to time: {reason}", pause.as_secs());
        }
    }

    /// Counts a failed job. One that had failed before, here or elsewhere, says nothing about this
    /// machine: it may be the job's own fault, and only jobs at fault should die of their errors.
    fn failed(&mut self, claimed: &Claimed, reason: &str) -> Result<()> {
        self.failures += u32::from(claimed.errors == 0);
        if self.failures >= FAILURES_IN_A_ROW {
            bail!(
                "{} jobs in a row failed here, so the fault may be this machine's; the last: {reason}",
                self.failures
            );
        }
        Ok(())
    }

    /// Tells the sweeps that this worker is no longer there, so that nobody waits for it or lists
    /// it.
    async fn say_goodbye(&self) {
        for id in self.sweeps.served() {
            let queue = self.queue.sweep(id).with_patience(Duration::ZERO);
            let left = timeout(LAST_WORDS, queue.worker(&self.name).deregister())
                .await
                .context("no answer");
            match left {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn!(sweep = %id, "was not told that this worker ends: {error}"),
                Err(error) => return warn!("redis was not told that this worker ends: {error:#}"),
            }
        }
    }
}

/// Host, process and a random number: no two workers share a name, and people find the machine.
fn default_name() -> String {
    let random = ClaimToken::random().to_string();
    format!("{}-{}-{}", host::name(), std::process::id(), &random[..6])
}
