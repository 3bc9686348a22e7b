//! Records move from Redis to `records.jsonl`: appended, synced, and only then trimmed from Redis.
//!
//! Whatever is killed in between, a record is in one of the two places, and one that is in both is
//! written once.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ddrs_common::domain::Record;
use ddrs_common::host;
use ddrs_common::plan::Plan;
use ddrs_common::queue::{CollectorLock, DoneBits, SweepProgress, SweepQueue, SweepState};
use ddrs_common::record_file::{self, OpenedRecordFile, RecordFile, RecordFileError, Repair};
use ddrs_common::spec::Sweep;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::tables;

/// How many records are moved at once.
const BATCH: usize = 1000;
/// How often it is said again that the disk is full.
const FULL_AGAIN: Duration = Duration::from_secs(60);
/// How long a collector that fell silent keeps others from taking its place.
const TURN: Duration = Duration::from_secs(30);
/// How long a collector that was told to stop, or failed, still waits for Redis.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);

/// A sweep's records on disk, and which of its slots they fill.
pub struct Collector {
    file: RecordFile,
    /// This folder on this machine: whoever comes back here is the same collector.
    owner: String,
    slots: HashSet<u64>,
    sweep: Sweep,
    plan: Plan,
    variants: Vec<String>,
    tally: Tally,
    /// When it was said last that the disk is full, while it is.
    full: Option<Instant>,
}

/// What the records so far come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records, failed ones too.
    pub records: u64,
    /// Samples that could not be certified at all.
    pub failed: u64,
    /// Samples without a majority class.
    pub abstained: u64,
    /// Certified samples whose class is their label.
    pub correct: u64,
}

impl Tally {
    fn count(&mut self, record: &Record) {
        use ddrs_common::domain::Outcome::{Abstained, Certified};
        self.records += 1;
        match record
            .result
            .as_ref()
            .map(|certification| certification.outcome)
        {
            Err(_) => self.failed += 1,
            Ok(Abstained) => self.abstained += 1,
            Ok(Certified { class, .. }) => self.correct += u64::from(class == record.label),
        }
    }
}

impl Collector {
    /// Opens the file, repairing a torn last line, and takes stock of it.
    ///
    /// # Errors
    /// When the file cannot be read, belongs to a program that still runs, or has records of
    /// another sweep.
    pub fn open(path: &Path, sweep: &Sweep, plan: &Plan) -> Result<Self> {
        let OpenedRecordFile {
            file,
            records,
            repair,
        } = RecordFile::open(path)?;
        if let Some(Repair::Removed(bytes)) = repair {
            warn!(
                "{}: the last line was torn; its {bytes} bytes are cut off, and the sample is certified again",
                path.display()
            );
        }
        let variants = sweep
            .variants()
            .iter()
            .map(|variant| variant.name.to_string())
            .collect();
        let (sweep, plan, owner) = (sweep.clone(), plan.clone(), owner(path)?);
        let (slots, tally) = (HashSet::new(), Tally::default());
        let mut collector = Self {
            file,
            owner,
            slots,
            sweep,
            plan,
            variants,
            tally,
            full: None,
        };
        for record in records {
            let slot = collector.slot(&record).with_context(|| {
                format!(
                    "{}: {} {} is no sample of this sweep",
                    path.display(),
                    record.variant,
                    record.index
                )
            })?;
            if collector.slots.insert(slot) {
                collector.tally.count(&record);
            }
        }
        Ok(collector)
    }

    /// What the records come to.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Takes over the collecting of a sweep, once: this folder's records are marked as done in
    /// Redis, those that Redis holds are moved, and samples that Redis thinks are done though their
    /// record is nowhere are opened again.
    ///
    /// # Errors
    /// When someone else collects this sweep, or did so into another folder; or Redis or the file
    /// fails.
    pub async fn begin(&mut self, queue: &SweepQueue) -> Result<()> {
        let begun = self.take_over(queue).await;
        if begun.is_err() {
            // Whoever should collect need not wait for this turn to end.
            self.end(queue).await.ok();
        }
        begun
    }

    async fn take_over(&mut self, queue: &SweepQueue) -> Result<()> {
        let done = take_turn(queue, &self.owner, &self.slots).await?;
        let mut slots: Vec<u64> = self.slots.iter().copied().collect();
        slots.sort_unstable();
        queue.collector(&self.owner).mark_done(&slots).await?;
        self.collect_if_room(queue).await?;
        if self.full.is_some() {
            // What waits in Redis is not lost. Compared again when the sweep seems to be over.
            return Ok(());
        }
        let lost: Vec<u64> = done
            .iter()
            .filter(|slot| *slot < self.plan.slots() && !self.slots.contains(slot))
            .collect();
        if !lost.is_empty() {
            warn!(
                "the records of {} samples are lost; they are certified again",
                lost.len()
            );
            queue.collector(&self.owner).reopen(&lost).await?;
        }
        let forgotten = queue.collector(&self.owner).requeue_orphans().await?;
        if forgotten > 0 {
            warn!(
                "redis had lost track of {forgotten} jobs in a crash; they are back in its queue"
            );
        }
        Ok(())
    }

    /// Whether nothing will happen any more. While records are missing, that is believed only after
    /// Redis and the file were compared again as [`Self::begin`] does: a server that crashed may
    /// have lost track of jobs.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn is_over(&mut self, queue: &SweepQueue, state: &SweepProgress) -> Result<bool> {
        let explained =
            self.tally.records == self.plan.slots() || state.state == SweepState::Cancelled;
        if !state.ended() || explained {
            return Ok(state.ended());
        }
        self.begin(queue).await?;
        Ok(self.full.is_none() && queue.status().progress().await?.ended())
    }

    /// Moves all records that Redis holds; returns how many were new.
    ///
    /// # Errors
    /// When Redis or the file fails, or someone else has taken over. Nothing is lost: what was not
    /// written is still in Redis.
    pub async fn collect(&mut self, queue: &SweepQueue) -> Result<usize> {
        hold(queue, &self.owner).await?;
        let mut moved = 0;
        loop {
            let batch = queue.collector(&self.owner).results(None, BATCH).await?;
            let Some(&(last, _)) = batch.last() else {
                return Ok(moved);
            };
            if last.next() <= last {
                bail!(
                    "result {last} of this sweep in redis has the largest id there is, and none can follow it: remove it with \
                     XDEL, then set the stream's last id to that of the last entry left, or 0-0, with XSETID"
                );
            }
            let fresh = self.fresh(&batch);
            let records: Vec<Record> = fresh.iter().map(|(_, record)| record.clone()).collect();
            self.file
                .append(&records)
                .context("records stay in redis until they can be written")?;
            for (slot, record) in &fresh {
                self.slots.insert(*slot);
                self.tally.count(record);
            }
            moved += fresh.len();
            if !queue.collector(&self.owner).trim(&self.owner, last).await? {
                bail!("someone else collects this sweep now");
            }
        }
    }

    /// [`Self::collect`], but where the disk is full, says so and moves nothing: records wait in
    /// Redis, workers go on, and the next call tries again.
    ///
    /// # Errors
    /// As [`Self::collect`] for everything else.
    pub async fn collect_if_room(&mut self, queue: &SweepQueue) -> Result<usize> {
        match self.collect(queue).await {
            Err(error) if is_full(&error) => {
                if self.full.is_none_or(|said| said.elapsed() >= FULL_AGAIN) {
                    warn!("{error:#}; make room, and it goes on");
                    self.full = Some(Instant::now());
                }
                Ok(0)
            }
            moved => {
                if moved.is_ok() && self.full.take().is_some() {
                    info!("there is room for records again");
                }
                moved
            }
        }
    }

    /// Ends this collector's turn.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn end(&self, queue: &SweepQueue) -> Result<()> {
        Ok(queue.collector(&self.owner).unlock().await?)
    }

    /// Collects what there is and ends this turn, as the last thing that is done here, and within a
    /// second. Says whether Redis answered.
    pub async fn leave(&mut self, queue: &SweepQueue) -> bool {
        let last = async {
            self.collect(queue).await?;
            self.end(queue).await
        };
        match timeout(LAST_WORDS, last).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                warn!(
                    "not all records are collected; the rest is when the same command goes on: {error:#}"
                );
                true
            }
            Err(_) => {
                warn!(
                    "redis does not answer; what it holds is collected when the same command goes on"
                );
                false
            }
        }
    }

    /// The records of a batch that have none in the file yet, one a slot.
    fn fresh<I>(&self, batch: &[(I, String)]) -> Vec<(u64, Record)> {
        let mut seen = HashSet::new();
        let mut fresh = Vec::new();
        for (_, line) in batch {
            let record = match record_file::from_line(line) {
                Ok(record) => record,
                Err(error) => {
                    warn!("a result in redis is dropped: {error}");
                    continue;
                }
            };
            if let Err(reason) = tables::check_record(&record, &self.sweep, &self.plan) {
                warn!(variant = %record.variant, index = %record.index, "a result in redis is dropped: {reason:#}");
                continue;
            }
            match self.slot(&record) {
                Some(slot) if !self.slots.contains(&slot) && seen.insert(slot) => {
                    fresh.push((slot, record))
                }
                Some(_) => {}
                None => {
                    warn!(variant = %record.variant, index = %record.index, "no sample of this sweep; dropped")
                }
            }
        }
        fresh
    }

    fn slot(&self, record: &Record) -> Option<u64> {
        let variant = self
            .variants
            .iter()
            .position(|name| name == record.variant.as_str())?;
        Some(self.plan.slot(variant, self.plan.position(record.index)?))
    }
}

/// Takes the turn to collect into a folder that is yet to be made, so that none is made for a
/// collector that is refused.
///
/// # Errors
/// As [`Collector::begin`].
pub async fn reserve(queue: &SweepQueue, records: &Path) -> Result<()> {
    let owner = owner(records)?;
    let taken = take_turn(queue, &owner, &HashSet::new()).await;
    if taken.is_err() {
        queue.collector(&owner).unlock().await.ok();
    }
    taken.map(drop)
}

/// Ends a turn that was reserved for a folder which then could not be used.
pub async fn give_up(queue: &SweepQueue, records: &Path) {
    if let Ok(owner) = owner(records) {
        queue.collector(&owner).unlock().await.ok();
    }
}

/// Holds the right to collect, and finds that no other folder holds records that are not in
/// `slots`. Returns what is done.
async fn take_turn(queue: &SweepQueue, owner: &str, slots: &HashSet<u64>) -> Result<DoneBits> {
    let elsewhere = hold(queue, owner).await?.filter(|into| into != owner);
    // In this order: a record that comes in between counts as waiting, and no record as elsewhere
    // that is not.
    let done = queue.status().done_bits().await?;
    let absent = done.iter().filter(|slot| !slots.contains(slot)).count() as u64;
    let waiting = queue.status().progress().await?.uncollected;
    if let Some(into) = elsewhere.filter(|_| absent > waiting) {
        bail!(
            "{} records of this sweep were collected into {into}: collect there, or copy its records.jsonl here first",
            absent - waiting
        );
    }
    Ok(done)
}

/// Holds on to the right to collect; says where records were collected to before.
async fn hold(queue: &SweepQueue, owner: &str) -> Result<Option<String>> {
    match queue.collector(owner).lock(TURN).await? {
        CollectorLock::Held { collected_into } => Ok(collected_into),
        CollectorLock::Busy { owner, left } => {
            bail!(
                "{owner} is collecting this sweep; should it have died, its turn ends in {} s",
                left.as_secs() + 1
            )
        }
    }
}

fn is_full(error: &anyhow::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    let Some(RecordFileError::Io { cause, .. }) = error.downcast_ref() else {
        return false;
    };
    matches!(cause.kind(), StorageFull | QuotaExceeded)
}

/// `host:folder` of a records file. The folder need not be there yet: its name is the same before
/// and after.
fn owner(path: &Path) -> Result<String> {
    let folder = path.parent().unwrap_or(path);
    let folder = resolved(folder).with_context(|| folder.display().to_string())?;
    Ok(format!("{}:{}", host::name(), folder.display()))
}

/// A folder's name without links, as far as it is there.
fn resolved(folder: &Path) -> std::io::Result<PathBuf> {
    let folder = std::path::absolute(folder)?;
    let (mut there, mut missing) = (folder.as_path(), Vec::new());
    loop {
        match (there.canonicalize(), there.parent(), there.file_name()) {
            (Err(error), Some(parent), Some(name))
                if error.kind() == std::io::ErrorKind::NotFound =>
            {
                missing.push(name);
                there = parent;
            }
            (resolved, ..) => {
                return Ok(missing
                    .iter()
                    .rev()
                    .fold(resolved?, |path, name| path.join(name)));
            }
        }
    }
}
