//! Moves records from Redis to `records.jsonl`: appended, synced, and only then trimmed from Redis.
//!
//! Whatever process is killed in between, a record is in one of the two places, and a record that
//! is in both is written once.

mod counts;
mod owner;

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ddrs_common::domain::Record;
use ddrs_common::grid::GridLoss;
use ddrs_common::plan::Plan;
use ddrs_common::queue::{
    CollectorLock, CollectorQueue, DoneBits, StreamId, SweepProgress, SweepQueue, SweepState,
};
use ddrs_common::record_file::{self, RecordFile, RecordFileError, Repair};
use ddrs_common::spec::Sweep;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::tables::{self, RecordRules};
pub(crate) use counts::RecordCounts;
use owner::owner;

/// Number of records that are moved at once.
const BATCH: usize = 1000;
/// Time between two warnings that the disk is full.
const WARN_AGAIN: Duration = Duration::from_secs(60);
/// Time for which a silent collector keeps others from taking its place.
const TURN: Duration = Duration::from_secs(30);
/// Time for which a collector that was asked to stop, or failed, still waits for Redis.
pub(crate) const END_TIMEOUT: Duration = Duration::from_secs(1);

/// The records of a sweep on disk, and the slots that they fill.
pub(crate) struct Collector {
    file: RecordFile,
    /// This folder on this machine. A collector that is started again there has the same name.
    owner: String,
    slots: HashSet<u64>,
    rules: RecordRules,
    plan: Plan,
    counts: RecordCounts,
    /// The time of the last warning that the disk is full, while it is.
    full: Option<Instant>,
}

impl Collector {
    /// Opens the file, repairs a torn last line, and counts the records.
    ///
    /// # Errors
    /// When the file cannot be read, is used by a running program, or has records of another sweep.
    pub(crate) fn open(path: &Path, sweep: &Sweep, plan: &Plan, loss: GridLoss) -> Result<Self> {
        let opened = RecordFile::open(path)?;
        if let Some(Repair::Removed(bytes)) = opened.repair {
            warn!(
                "{}: removed {bytes} bytes of a torn last line; its sample is certified again",
                path.display()
            );
        }
        let mut collector = Self {
            file: opened.file,
            owner: owner(path)?,
            slots: HashSet::new(),
            rules: RecordRules::new(sweep, plan, loss),
            plan: plan.clone(),
            counts: RecordCounts::default(),
            full: None,
        };
        for (&line, record) in opened.numbers.iter().zip(&opened.lines) {
            collector.add_stored(path, line, record)?;
        }
        Ok(collector)
    }

    fn add_stored(&mut self, path: &Path, line: usize, record: &Record) -> Result<()> {
        let checked = self.rules.check(record);
        let slot = checked.map_err(|error| tables::refusal(path, line, record, &error))?;
        self.add(slot, record);
        Ok(())
    }

    /// Counts a record, unless its slot has one already.
    fn add(&mut self, slot: u64, record: &Record) {
        if self.slots.insert(slot) {
            self.counts.add(record);
        }
    }

    /// Returns the counts of the records so far.
    pub(crate) fn counts(&self) -> RecordCounts {
        self.counts
    }

    /// Takes over the collection of a sweep. Marks the records of this folder as done in Redis,
    /// moves those that Redis holds, and reopens samples that Redis marks as done although their
    /// record is in neither place.
    ///
    /// # Errors
    /// When another collector works on this sweep, or has collected into another folder; or Redis
    /// or the file fails.
    pub(crate) async fn begin(&mut self, queue: &SweepQueue) -> Result<()> {
        let begun = self.take_over(queue).await;
        if begun.is_err() {
            // The next collector need not wait for this turn to end.
            self.end(queue).await.ok();
        }
        begun
    }

    async fn take_over(&mut self, queue: &SweepQueue) -> Result<()> {
        let done = take_turn(queue, &self.owner, &self.slots).await?;
        let mut slots: Vec<u64> = self.slots.iter().copied().collect();
        slots.sort_unstable();
        self.queue(queue).mark_done(&slots).await?;
        self.collect_if_room(queue).await?;
        if self.full.is_some() {
            // The records that wait in Redis are not lost. Compared again when the sweep seems to
            // be over.
            return Ok(());
        }
        self.reopen_lost(queue, &done).await?;
        self.requeue_orphans(queue).await
    }

    async fn reopen_lost(&self, queue: &SweepQueue, done: &DoneBits) -> Result<()> {
        let is_lost = |slot: &u64| *slot < self.plan.slots() && !self.slots.contains(slot);
        let lost: Vec<u64> = done.iter().filter(is_lost).collect();
        if !lost.is_empty() {
            let samples = lost.len();
            warn!("the records of {samples} samples are lost; certifying them again");
            self.queue(queue).reopen(&lost).await?;
        }
        Ok(())
    }

    async fn requeue_orphans(&self, queue: &SweepQueue) -> Result<()> {
        let requeued = self.queue(queue).requeue_orphans().await?;
        if requeued > 0 {
            warn!("redis had lost track of {requeued} jobs in a crash; requeued them");
        }
        Ok(())
    }

    /// Returns true if nothing will happen any more. While records are missing, Redis and the file
    /// are compared again first, as in [`Self::begin`]: a server that crashed may have lost track
    /// of jobs.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub(crate) async fn is_over(
        &mut self,
        queue: &SweepQueue,
        progress: &SweepProgress,
    ) -> Result<bool> {
        let is_cancelled = progress.state == SweepState::Cancelled;
        if !progress.ended() || is_cancelled || self.counts.records == self.plan.slots() {
            return Ok(progress.ended());
        }
        self.begin(queue).await?;
        Ok(self.full.is_none() && queue.status().progress().await?.ended())
    }

    /// Moves all records that Redis holds. Returns the number of new ones.
    ///
    /// # Errors
    /// When Redis or the file fails, or another collector has taken over. No record is lost: those
    /// that were not written are still in Redis.
    pub(crate) async fn collect(&mut self, queue: &SweepQueue) -> Result<usize> {
        let collector = self.queue(queue);
        hold(&collector).await?;
        let mut moved = 0;
        loop {
            let batch = collector.records(None, BATCH).await?;
            let Some(&(last, _)) = batch.last() else {
                return Ok(moved);
            };
            check_id(last)?;
            moved += self.store(&batch)?;
            if !collector.trim(&self.owner, last).await? {
                bail!("another collector has taken over this sweep");
            }
        }
    }

    /// Appends the new records of a batch to the file. Returns how many.
    fn store(&mut self, batch: &[(StreamId, String)]) -> Result<usize> {
        let fresh = self.fresh(batch);
        let records: Vec<Record> = fresh.iter().map(|(_, record)| record.clone()).collect();
        self.file
            .append(&records)
            .context("records stay in redis until they can be written")?;
        for (slot, record) in &fresh {
            self.add(*slot, record);
        }
        Ok(fresh.len())
    }

    /// Does the same as [`Self::collect`], but if the disk is full, warns and moves nothing:
    /// records wait in Redis, workers continue, and the next call tries again.
    ///
    /// # Errors
    /// As [`Self::collect`] for everything else.
    pub(crate) async fn collect_if_room(&mut self, queue: &SweepQueue) -> Result<usize> {
        match self.collect(queue).await {
            Err(error) if is_full(&error) => {
                self.warn_full(&error);
                Ok(0)
            }
            Err(error) => Err(error),
            Ok(moved) => {
                if self.full.take().is_some() {
                    info!("the disk has room for records again");
                }
                Ok(moved)
            }
        }
    }

    fn warn_full(&mut self, error: &anyhow::Error) {
        let is_due = |last: Instant| last.elapsed() >= WARN_AGAIN;
        if self.full.is_none_or(is_due) {
            warn!("{error:#}; make room to continue");
            self.full = Some(Instant::now());
        }
    }

    /// Gives up the right to collect.
    ///
    /// # Errors
    /// When Redis fails.
    async fn end(&self, queue: &SweepQueue) -> Result<()> {
        Ok(self.queue(queue).unlock().await?)
    }

    /// Gives up the right to collect after everything was collected. A failure is only logged.
    pub(crate) async fn end_or_warn(&self, queue: &SweepQueue) {
        if let Err(error) = self.end(queue).await {
            warn!(
                "everything is collected, but other collectors must wait until this turn ends: \
                 {error:#}"
            );
        }
    }

    /// Collects the records that exist and gives up the right to collect, within a second, as the
    /// last step before the program ends. Returns true if Redis answered.
    pub(crate) async fn leave(&mut self, queue: &SweepQueue) -> bool {
        match timeout(END_TIMEOUT, self.collect_and_end(queue)).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                warn!(
                    "some records were not collected; run the same command again to collect \
                     the rest: {error:#}"
                );
                true
            }
            Err(_) => {
                warn!(
                    "redis did not answer; run the same command again to collect the records \
                     that it holds"
                );
                false
            }
        }
    }

    async fn collect_and_end(&mut self, queue: &SweepQueue) -> Result<()> {
        self.collect(queue).await?;
        self.end(queue).await
    }

    fn queue(&self, queue: &SweepQueue) -> CollectorQueue {
        queue.collector(&self.owner)
    }

    /// Returns the records of a batch that the file does not have, one per slot.
    fn fresh<I>(&self, batch: &[(I, String)]) -> Vec<(u64, Record)> {
        let mut seen = HashSet::new();
        let mut fresh = Vec::new();
        for (_, line) in batch {
            match self.parse(line) {
                Ok((slot, record)) if !self.slots.contains(&slot) && seen.insert(slot) => {
                    fresh.push((slot, record));
                }
                Ok(_) => {}
                Err(reason) => warn!("dropping a record that redis holds: {reason:#}"),
            }
        }
        fresh
    }

    fn parse(&self, line: &str) -> Result<(u64, Record)> {
        let record = record_file::from_line(line)?;
        let name = || format!("{} {}", record.variant, record.index);
        let slot = self.rules.check(&record).with_context(name)?;
        Ok((slot, record))
    }
}

/// Takes the right to collect for a folder that does not exist yet, so that no folder is made for a
/// collector that is refused.
///
/// # Errors
/// As [`Collector::begin`].
pub(crate) async fn reserve(queue: &SweepQueue, records: &Path) -> Result<()> {
    let owner = owner(records)?;
    let taken = take_turn(queue, &owner, &HashSet::new()).await;
    if taken.is_err() {
        queue.collector(&owner).unlock().await.ok();
    }
    taken.map(drop)
}

/// Gives up a right that was reserved for a folder that could not be used.
pub(crate) async fn release_lock(queue: &SweepQueue, records: &Path) {
    if let Ok(owner) = owner(records) {
        queue.collector(&owner).unlock().await.ok();
    }
}

/// Takes the right to collect, and checks that no other folder holds records that are not in
/// `slots`. Returns the slots that are done.
async fn take_turn(queue: &SweepQueue, owner: &str, slots: &HashSet<u64>) -> Result<DoneBits> {
    let collected_into = hold(&queue.collector(owner)).await?;
    // In this order: a record that arrives in between counts as waiting, so that no record is
    // wrongly counted as collected elsewhere.
    let done = queue.status().done_bits().await?;
    let absent = done.iter().filter(|slot| !slots.contains(slot)).count() as u64;
    let waiting = queue.status().progress().await?.uncollected;
    if let Some(into) = collected_into.filter(|into| into != owner) {
        ensure!(
            absent <= waiting,
            "{} records of this sweep were collected into {into}: collect there, \
             or copy its records.jsonl here first",
            absent - waiting
        );
    }
    Ok(done)
}

/// Takes or renews the right to collect. Returns the place into which records were collected
/// before.
async fn hold(collector: &CollectorQueue) -> Result<Option<String>> {
    match collector.lock(TURN).await? {
        CollectorLock::Held { collected_into } => Ok(collected_into),
        CollectorLock::Busy { owner, left } => bail!(
            "{owner} is collecting this sweep; if that collector has died, its turn ends in {} s",
            left.as_secs() + 1
        ),
    }
}

fn check_id(last: StreamId) -> Result<()> {
    ensure!(
        last < last.next(),
        "result {last} of this sweep in redis has the largest possible id, and no other can follow \
         it: remove it with XDEL, then set the stream's last id to that of the last entry left, \
         or 0-0, with XSETID"
    );
    Ok(())
}

fn is_full(error: &anyhow::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    let Some(RecordFileError::Io { cause, .. }) = error.downcast_ref() else {
        return false;
    };
    matches!(cause.kind(), StorageFull | QuotaExceeded)
}
