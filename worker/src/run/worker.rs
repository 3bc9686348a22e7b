//! The worker's loop: ask one sweep after the other for a job, and serve it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ddrs_common::cli::BadInput;
use ddrs_common::domain::SweepId;
use ddrs_common::queue::{
    Backoff, ClaimReply, ClaimToken, Claimed, PolicyWatch, QueueClient, QueueError, SweepQueue,
};
use ddrs_common::sweep_message::SweepMessage;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use super::StopRequest;
use super::backoff::SweepBackoff;
use super::device_thread::DeviceHandle;
use super::job::{JobEnd, LeasedJob};
use super::open_sweep::OpenSweep;
use super::roots::Roots;
use super::sweep_cache::{CachedSweep, SweepCache};

/// Pause when nothing can be claimed.
pub(super) const IDLE: Duration = Duration::from_millis(200);
/// Time for which requests to a Redis that is full, restarting or out of reach are repeated.
pub(super) const PATIENCE: Duration = Duration::from_secs(3600);
/// Time for which one sweep is asked before the next one is: only that one may be out of reach.
const ONE_SWEEP: Duration = Duration::from_secs(2);
/// Pauses of a sweep that does not answer, while others may. Each request to it costs its patience.
const WHEN_SILENT: Backoff = Backoff::new(Duration::from_millis(500), 2, Duration::from_secs(5));
/// Pauses of a sweep whose jobs fail here: a file server that is away for a moment must not use up
/// all attempts. Shorter than the silence after which `status` calls a worker lost.
const WHEN_FAILING: Backoff = Backoff::new(Duration::from_secs(1), 4, Duration::from_secs(4));
/// Time that a claim in progress has left once the worker is asked to stop.
const LAST_CLAIM: Duration = Duration::from_secs(1);
/// Number of jobs in a row that fail here first, after which the fault is this machine's, not the
/// jobs'.
const FAILURES_IN_A_ROW: u32 = 3;
/// Longest time for telling a sweep that this worker ends.
const END_TIMEOUT: Duration = Duration::from_millis(500);

/// The options of a worker.
pub(super) struct WorkerOptions {
    pub(super) name: String,
    pub(super) roots: Roots,
    /// The sweeps to work on; empty for all.
    pub(super) only: Vec<SweepId>,
    pub(super) exit_when_idle: bool,
}

/// A worker between its start and its end.
pub(super) struct Worker {
    client: QueueClient,
    watch: PolicyWatch,
    device: DeviceHandle,
    options: WorkerOptions,
    sweeps: SweepCache,
    /// The place of the sweep that is asked first, so that several sweeps share workers fairly.
    turn: usize,
    /// Jobs in a row that failed here first.
    failures: u32,
    /// Sweeps that do not answer.
    silent: SweepBackoff,
    /// The time since which no sweep answers, if so.
    all_silent: Option<Instant>,
    /// Sweeps whose jobs fail here.
    failing: SweepBackoff,
    /// Claims that were not answered. A claim that was applied returns its job when it is repeated
    /// with the same token.
    tokens: HashMap<SweepId, ClaimToken>,
}

/// The result of a request for a job.
enum Offer {
    Job(Box<LeasedJob>),
    /// No job now; some may return.
    Wait,
    /// No job, and none at other workers.
    Nothing,
}

/// The next step of the loop.
enum Next {
    Ask,
    Pause,
    Stop,
}

impl Worker {
    pub(super) fn new(client: QueueClient, device: DeviceHandle, options: WorkerOptions) -> Self {
        Self {
            watch: PolicyWatch::new(&client),
            client,
            device,
            options,
            sweeps: SweepCache::default(),
            turn: 0,
            failures: 0,
            silent: SweepBackoff::new(WHEN_SILENT),
            all_silent: None,
            failing: SweepBackoff::new(WHEN_FAILING),
            tokens: HashMap::new(),
        }
    }

    /// Works until asked to stop, or until nothing is left to do.
    pub(super) async fn work(&mut self, stop: &mut StopRequest) -> Result<()> {
        loop {
            let Some(offer) = self.next_job_or_stop(stop).await? else {
                return Ok(());
            };
            let pause = match self.take(offer, stop).await? {
                Next::Ask => Duration::ZERO,
                Next::Pause => IDLE,
                Next::Stop => return Ok(()),
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

    async fn take(&mut self, offer: Offer, stop: &mut StopRequest) -> Result<Next> {
        match offer {
            Offer::Job(job) => {
                let end = job.serve(&mut self.device, stop).await?;
                self.after(&job, end)
            }
            Offer::Nothing if self.options.exit_when_idle => {
                self.sweeps.check_not_all_refused().map_err(BadInput)?;
                info!("nothing left to do");
                Ok(Next::Stop)
            }
            Offer::Nothing | Offer::Wait => Ok(Next::Pause),
        }
    }

    fn after(&mut self, job: &LeasedJob, end: JobEnd) -> Result<Next> {
        let sweep = job.queue.sweep();
        match end {
            JobEnd::Stopped => return Ok(Next::Stop),
            JobEnd::Completed => self.note_completed(sweep),
            JobEnd::Lost => {}
            JobEnd::Failed(reason) => {
                self.count_failure(&job.claimed, &reason)?;
                self.failing.begin(sweep);
            }
            JobEnd::Damaged(reason) => self.refuse(sweep, &reason),
        }
        Ok(Next::Ask)
    }

    fn note_completed(&mut self, sweep: &SweepId) {
        self.failures = 0;
        self.failing.end(sweep);
        self.sweeps.clear_refusals(sweep);
    }

    /// Asks for a job; `None` when asked to stop. A claim that is cut short might leave a job
    /// leased to no worker, so it gets a moment to end, and a job that it returns is handed back.
    async fn next_job_or_stop(&mut self, stop: &mut StopRequest) -> Result<Option<Offer>> {
        let mut ask = std::pin::pin!(self.next_job());
        tokio::select! {
            biased;
            reason = &mut *stop => info!(reason, "stopping"),
            offer = &mut ask => return offer.map(Some),
        }
        match timeout(LAST_CLAIM, ask).await {
            Ok(Ok(Offer::Job(job))) => job.hand_back().await,
            Ok(_) => {}
            Err(_) => warn!(
                "stopped during a request; if redis leased a job, it returns when its lease expires"
            ),
        }
        Ok(None)
    }

    /// Asks one sweep after the other for a job, beginning behind the one that gave the last. A
    /// problem with one sweep does not keep this worker from the others.
    async fn next_job(&mut self) -> Result<Offer> {
        if let Some(change) = self.watch.policy_changes().await {
            warn!("{change}");
        }
        let ids = self.sweeps_to_ask().await?;
        let mut found = Offer::Nothing;
        for step in 0..ids.len() {
            let place = (self.turn + step) % ids.len();
            match self.claim_unless_paused(&ids[place]).await? {
                job @ Offer::Job(_) => {
                    self.turn = (place + 1) % ids.len();
                    return Ok(job);
                }
                Offer::Wait => found = Offer::Wait,
                Offer::Nothing => {}
            }
        }
        Ok(found)
    }

    async fn sweeps_to_ask(&self) -> Result<Vec<SweepId>, QueueError> {
        if self.options.only.is_empty() {
            self.client.listed().await
        } else {
            Ok(self.options.only.clone())
        }
    }

    /// Asks a sweep, unless its last requests or jobs failed a moment ago.
    async fn claim_unless_paused(&mut self, id: &SweepId) -> Result<Offer, QueueError> {
        if self.silent.is_paused(id) || self.failing.is_paused(id) {
            return Ok(Offer::Wait);
        }
        match self.claim_from(id).await {
            Ok(offer) => {
                self.note_answer(id);
                Ok(offer)
            }
            Err(error) if error.is_transient() => {
                self.note_silence(id, error)?;
                Ok(Offer::Wait)
            }
            Err(error) if error.is_of_one_sweep() => {
                self.note_answer(id);
                self.refuse(id, &error.to_string());
                Ok(Offer::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    /// Asks a sweep for a job, once only if it did not answer the last time.
    async fn claim_from(&mut self, id: &SweepId) -> Result<Offer, QueueError> {
        let patience = if self.silent.has_failed(id) {
            Duration::ZERO
        } else {
            ONE_SWEEP
        };
        let queue = self.client.sweep(id).with_patience(patience);
        let Some(sweep) = self.open(&queue).await? else {
            return Ok(Offer::Nothing);
        };
        match self.claim(&queue).await {
            Ok(ClaimReply::Job(claimed)) => Ok(self.offer(id, sweep, claimed)),
            Ok(ClaimReply::Empty) => Ok(Offer::Wait),
            // Deleted since it was listed.
            Ok(ClaimReply::Finished | ClaimReply::Cancelled) | Err(QueueError::NoSweep(_)) => {
                Ok(Offer::Nothing)
            }
            Ok(ClaimReply::Refused { theirs, ours }) => {
                let reason = format!("the sweep speaks protocol {theirs}, this worker {ours}");
                self.refuse(id, &reason);
                Ok(Offer::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    async fn claim(&mut self, queue: &SweepQueue) -> Result<ClaimReply, QueueError> {
        let token = self.tokens.entry(queue.id().clone());
        let token = *token.or_insert_with(ClaimToken::random);
        let claim = queue.worker(&self.options.name).claim(token).await;
        if !claim.as_ref().is_err_and(QueueError::is_transient) {
            self.tokens.remove(queue.id());
        }
        claim
    }

    fn offer(&self, id: &SweepId, sweep: Arc<OpenSweep>, claimed: Claimed) -> Offer {
        Offer::Job(Box::new(LeasedJob {
            sweep,
            queue: self.client.sweep(id).worker(&self.options.name),
            claimed,
            worker: self.options.name.clone(),
        }))
    }

    fn note_answer(&mut self, id: &SweepId) {
        self.all_silent = None;
        if self.silent.end(id) {
            info!(sweep = %id, "answers again");
        }
    }

    /// Skips a sweep for a moment that does not answer.
    ///
    /// # Errors
    /// The last failure, when no sweep has answered for as long as this worker's patience lasts.
    fn note_silence(&mut self, id: &SweepId, error: QueueError) -> Result<(), QueueError> {
        let since = *self.all_silent.get_or_insert_with(Instant::now);
        if since.elapsed() >= PATIENCE {
            return Err(error);
        }
        if self.silent.begin(id) == 1 {
            warn!(sweep = %id, "failed to answer; retrying: {error}");
        }
        Ok(())
    }

    /// Returns an open sweep. Its data and models are opened when it is first seen, so that a sweep
    /// that cannot be worked on is refused before any of its jobs is claimed. A sweep that has
    /// finished is not opened: its files may be gone.
    async fn open(&mut self, queue: &SweepQueue) -> Result<Option<Arc<OpenSweep>>, QueueError> {
        match self.sweeps.get(queue.id()) {
            Some(CachedSweep::Open(sweep)) => return Ok(Some(Arc::clone(sweep))),
            Some(CachedSweep::Refused(refusal)) if !refusal.is_over() => return Ok(None),
            Some(CachedSweep::Refused(_)) | None => {}
        }
        if self.is_finished(queue).await? {
            self.sweeps.forget(queue.id());
            return Ok(None);
        }
        let Some(text) = queue.spec().await? else {
            return Ok(None);
        };
        match self.prepare(&text).await {
            Ok(sweep) => {
                info!(sweep = %queue.id(), name = sweep.sweep.name, "serving");
                self.sweeps.serve(queue.id(), Arc::clone(&sweep));
                Ok(Some(sweep))
            }
            Err(error) => {
                self.refuse(queue.id(), &format!("{error:#}"));
                Ok(None)
            }
        }
    }

    async fn is_finished(&self, queue: &SweepQueue) -> Result<bool, QueueError> {
        match queue.worker(&self.options.name).is_finished().await {
            Err(QueueError::NoSweep(_)) => Ok(true),
            finished => finished,
        }
    }

    /// Opens the data and the models of a sweep.
    async fn prepare(&self, text: &str) -> Result<Arc<OpenSweep>> {
        let message = SweepMessage::from_json(text)?;
        let sweep = open_on_a_thread(message, self.options.roots.clone()).await?;
        self.device.prepare(&sweep).await?;
        Ok(sweep)
    }

    fn refuse(&mut self, id: &SweepId, reason: &str) {
        let (pause, is_new) = self.sweeps.refuse(id, reason);
        if !is_new {
            return;
        }
        if self.options.exit_when_idle {
            error!(sweep = %id, "refused: {reason}");
        } else {
            let seconds = pause.as_secs();
            error!(
                sweep = %id,
                "refused, to be looked at again in {seconds}s and from time to time: {reason}"
            );
        }
    }

    /// Counts a failed job. A job that failed before, here or elsewhere, is not counted: the fault
    /// may be the job's, and only such jobs should use up their attempts.
    fn count_failure(&mut self, claimed: &Claimed, reason: &str) -> Result<()> {
        self.failures += u32::from(claimed.errors == 0);
        if self.failures >= FAILURES_IN_A_ROW {
            bail!(
                "{} jobs in a row failed here, so the fault may be this machine's; \
                 the last: {reason}",
                self.failures
            );
        }
        Ok(())
    }

    /// Tells the sweeps that this worker ends, so that no other worker waits for it and no list
    /// shows it.
    pub(super) async fn deregister(&self) {
        for id in self.sweeps.served() {
            let queue = self.client.sweep(id).with_patience(Duration::ZERO);
            let worker = queue.worker(&self.options.name);
            match timeout(END_TIMEOUT, worker.deregister()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn!(sweep = %id, "cannot remove this worker's name: {error}"),
                Err(_) => return warn!("cannot remove this worker's name: redis did not answer"),
            }
        }
    }
}

/// Opens what a message names on a separate thread: digests take long for large data, and for ever
/// on a file server that hangs, and signals must be handled meanwhile.
async fn open_on_a_thread(message: SweepMessage, roots: Roots) -> Result<Arc<OpenSweep>> {
    tokio::task::spawn_blocking(move || OpenSweep::open(message, &roots))
        .await
        .context("the thread that opens the data has panicked")?
}
