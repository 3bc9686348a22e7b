//! Records move from Redis to `records.jsonl`: appended, synced, and only then trimmed from Redis.
//!
//! Whatever is killed in between, a record is in one of the two places, and one that is in both is written once.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result};
use ddrs_common::domain::Record;
use ddrs_common::plan::Plan;
use ddrs_common::queue::SweepQueue;
use ddrs_common::record_file::{self, RecordFile};
use ddrs_common::spec::Sweep;
use tracing::warn;

/// How many records are moved at once.
const BATCH: usize = 1000;

/// A sweep's records on disk, and which of its slots they fill.
pub struct Collector {
    file: RecordFile,
    slots: HashSet<u64>,
    plan: Plan,
    variants: Vec<String>,
    tally: Tally,
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
        match record.result.as_ref().map(|certification| certification.outcome) {
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
    /// When the file cannot be read, belongs to a program that still runs, or has records of another sweep.
    pub fn open(path: &Path, sweep: &Sweep, plan: &Plan) -> Result<Self> {
        let (file, records) = RecordFile::open(path)?;
        let variants = sweep.variants().iter().map(|variant| variant.name.to_string()).collect();
        let mut collector = Self { file, slots: HashSet::new(), plan: plan.clone(), variants, tally: Tally::default() };
        for record in records {
            let slot = collector.slot(&record).with_context(|| {
                format!("{}: {} {} is no sample of this sweep", path.display(), record.variant, record.index)
            })?;
            if collector.slots.insert(slot) {
                collector.tally.count(&record);
            }
        }
        Ok(collector)
    }

    /// The slots that have a record on disk.
    #[must_use]
    pub fn slots(&self) -> Vec<u64> {
        let mut slots: Vec<u64> = self.slots.iter().copied().collect();
        slots.sort_unstable();
        slots
    }

    /// What the records come to.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Moves all records that Redis holds; returns those that were new.
    ///
    /// # Errors
    /// When Redis or the file fails. Nothing is lost: what was not written is still in Redis.
    pub async fn collect(&mut self, queue: &SweepQueue) -> Result<Vec<Record>> {
        let mut moved = Vec::new();
        loop {
            let batch = queue.results(None, BATCH).await?;
            let Some((last, _)) = batch.last() else { return Ok(moved) };
            let mut fresh = Vec::new();
            for (id, line) in &batch {
                let Ok(record) = record_file::from_line(line) else {
                    warn!(%id, "a result in redis is no record; dropped");
                    continue;
                };
                match self.slot(&record) {
                    Some(slot) if self.slots.insert(slot) => fresh.push(record),
                    Some(_) => {}
                    None => warn!(%id, variant = %record.variant, index = %record.index, "no sample of this sweep; dropped"),
                }
            }
            if let Err(error) = self.file.append(&fresh) {
                for record in &fresh {
                    self.slot(record).map(|slot| self.slots.remove(&slot));
                }
                return Err(error).context("records stay in redis until they can be written");
            }
            queue.trim(last).await?;
            fresh.iter().for_each(|record| self.tally.count(record));
            moved.extend(fresh);
        }
    }

    fn slot(&self, record: &Record) -> Option<u64> {
        let variant = self.variants.iter().position(|name| name == record.variant.as_str())?;
        Some(self.plan.slot(variant, self.plan.position(record.index)?))
    }
}
