//! The reference: the state machine of a sweep in memory, as simple as possible.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ddrs_common::domain::JobId;
use ddrs_common::queue::{
    ClaimReply, ClaimToken, Claimed, CompleteReply, FailReply, Fence, Lease, RecordReply,
    ReleaseReply, RenewReply,
};

pub(super) const JOBS: u32 = 4;
pub(super) const JOB_SAMPLES: u64 = 3;
pub(super) const LEASE: Duration = Duration::from_secs(600);

/// The state of the latest claim of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClaimEnd {
    Live,
    Released,
    Failed,
    Lapsed,
    /// The job was given up during this claim.
    Buried,
}

/// The latest claim of a job.
#[derive(Debug, Clone, Copy)]
pub(super) struct LatestClaim {
    pub(super) lease: Lease,
    pub(super) end: ClaimEnd,
    pub(super) worker: &'static str,
    /// The one place that its worker certifies; `None` if it may certify several.
    pub(super) isolated: Option<u64>,
}

#[derive(Debug)]
pub(super) struct ReferenceQueue {
    pub(super) pending: VecDeque<u32>,
    /// The latest claim of each job that has one and is not completed.
    pub(super) claims: BTreeMap<u32, LatestClaim>,
    /// Live jobs whose deadline has passed, earliest first.
    pub(super) overdue: Vec<u32>,
    pub(super) dead: BTreeSet<u32>,
    pub(super) completed: BTreeSet<u32>,
    pub(super) done: BTreeSet<u64>,
    pub(super) crashes: BTreeMap<u32, u32>,
    pub(super) errors: BTreeMap<u32, u32>,
    /// The number of workers that each place of a job lost while it was certified alone.
    pub(super) suspects: BTreeMap<u32, BTreeMap<u64, u32>>,
    pub(super) max_attempts: u32,
    /// Workers that were seen. No time passes, so they are listed until they deregister.
    pub(super) seen: BTreeSet<&'static str>,
    pub(super) fence: u64,
    pub(super) cancelled: bool,
    pub(super) uncollected: Vec<String>,
}

impl Default for ReferenceQueue {
    fn default() -> Self {
        Self {
            pending: (0..JOBS).collect(),
            claims: BTreeMap::new(),
            overdue: Vec::new(),
            dead: BTreeSet::new(),
            completed: BTreeSet::new(),
            done: BTreeSet::new(),
            crashes: BTreeMap::new(),
            errors: BTreeMap::new(),
            suspects: BTreeMap::new(),
            max_attempts: 2,
            seen: BTreeSet::new(),
            fence: 0,
            cancelled: false,
            uncollected: Vec::new(),
        }
    }
}

impl ReferenceQueue {
    pub(super) fn live(&self) -> impl Iterator<Item = &Lease> {
        self.claims
            .values()
            .filter(|claim| claim.end == ClaimEnd::Live)
            .map(|claim| &claim.lease)
    }

    pub(super) fn claim(&mut self, worker: &'static str, token: ClaimToken) -> ClaimReply {
        let again = self.live().find(|lease| lease.token == token).copied();
        if let Some(lease) = again {
            return self.hand_out(lease);
        }
        self.requeue_expired(100);
        self.seen.insert(worker);
        if self.cancelled {
            return ClaimReply::Cancelled;
        }
        let Some(job) = self.next_job(worker) else {
            let in_flight = self.live().next().is_some() || !self.pending.is_empty();
            return if in_flight {
                ClaimReply::Empty
            } else {
                ClaimReply::Finished
            };
        };
        self.fence += 1;
        let lease = Lease {
            job: JobId(job),
            fence: Fence(self.fence),
            token,
        };
        self.claims.insert(
            job,
            LatestClaim {
                lease,
                end: ClaimEnd::Live,
                worker,
                isolated: None,
            },
        );
        self.hand_out(lease)
    }

    /// Returns the first pending job that did not fail on this worker, and moves the jobs before it
    /// to the tail. Returns the first pending job if no other worker exists.
    fn next_job(&mut self, worker: &str) -> Option<u32> {
        let alone = self.seen.iter().all(|seen| *seen == worker);
        let failed_here = |job: &u32| {
            !alone
                && self
                    .claims
                    .get(job)
                    .is_some_and(|last| last.end == ClaimEnd::Failed && last.worker == worker)
        };
        let place = self.pending.iter().position(|job| !failed_here(job))?;
        let found = self.pending.remove(place);
        self.pending.rotate_left(place);
        found
    }

    pub(super) fn record(&mut self, lease: &Lease, slot: u64, line: String) -> RecordReply {
        if !self.is(lease, ClaimEnd::Live) {
            return RecordReply::Lost;
        }
        self.extend_and_see(lease.job.0);
        if !self.done.insert(slot) {
            return RecordReply::Duplicate;
        }
        self.uncollected.push(line);
        RecordReply::Stored
    }

    pub(super) fn complete(&mut self, lease: &Lease) -> CompleteReply {
        let job = lease.job.0;
        if self.completed.contains(&job) {
            CompleteReply::AlreadyCompleted
        } else if self.is(lease, ClaimEnd::Buried) {
            CompleteReply::GivenUp
        } else if !self.is(lease, ClaimEnd::Live) {
            CompleteReply::Lost
        } else if self.is_done(job) {
            self.complete_job(job);
            CompleteReply::Completed
        } else {
            match self.assign_samples(job) {
                missing if missing.is_empty() => {
                    self.end_claim(job, ClaimEnd::Buried);
                    self.dead.insert(job);
                    CompleteReply::GivenUp
                }
                todo => CompleteReply::Continue { todo },
            }
        }
    }

    pub(super) fn renew(&mut self, lease: &Lease) -> RenewReply {
        if !self.is(lease, ClaimEnd::Live) {
            return RenewReply::Lost;
        }
        self.extend_and_see(lease.job.0);
        RenewReply::Renewed
    }

    pub(super) fn release(&mut self, lease: &Lease) -> ReleaseReply {
        let job = lease.job.0;
        if self.completed.contains(&job) {
            ReleaseReply::Completed
        } else if self.is(lease, ClaimEnd::Released) {
            ReleaseReply::Released
        } else if !self.is(lease, ClaimEnd::Live) {
            ReleaseReply::Lost
        } else if self.is_done(job) {
            self.complete_job(job);
            ReleaseReply::Completed
        } else {
            self.end_claim(job, ClaimEnd::Released);
            self.pending.push_front(job);
            ReleaseReply::Released
        }
    }

    pub(super) fn fail(&mut self, lease: &Lease) -> FailReply {
        let job = lease.job.0;
        if self.completed.contains(&job) {
            FailReply::Completed
        } else if self.is(lease, ClaimEnd::Failed) {
            self.after_failure(job)
        } else if !self.is(lease, ClaimEnd::Live) {
            FailReply::Lost
        } else if self.is_done(job) {
            self.complete_job(job);
            FailReply::Completed
        } else {
            self.end_claim(job, ClaimEnd::Failed);
            let errors = self.errors.entry(job).or_default();
            *errors += 1;
            if *errors < self.max_attempts {
                self.pending.push_back(job);
            } else {
                self.dead.insert(job);
            }
            self.after_failure(job)
        }
    }

    fn after_failure(&self, job: u32) -> FailReply {
        if self.dead.contains(&job) {
            FailReply::Dead
        } else {
            FailReply::Requeued
        }
    }

    pub(super) fn expire_lease(&mut self, job: u32) {
        if self.live().any(|lease| lease.job.0 == job) {
            self.extend_lease(job);
            self.overdue.push(job);
        }
    }

    pub(super) fn requeue_expired(&mut self, limit: usize) -> u64 {
        let expired: Vec<u32> = self
            .overdue
            .drain(..limit.min(self.overdue.len()))
            .collect();
        for &job in &expired {
            if self.is_done(job) {
                self.complete_job(job);
            } else {
                self.end_claim(job, ClaimEnd::Lapsed);
                *self.crashes.entry(job).or_default() += 1;
                let place = self.claims[&job]
                    .isolated
                    .filter(|place| self.places(job, false).contains(place));
                if let Some(place) = place {
                    *self
                        .suspects
                        .entry(job)
                        .or_default()
                        .entry(place)
                        .or_default() += 1;
                }
                if self.next_isolated(job).is_some() {
                    self.pending.push_back(job);
                } else {
                    self.dead.insert(job);
                }
            }
        }
        expired.len() as u64
    }

    pub(super) fn retry(&mut self) -> u64 {
        self.cancelled = false;
        let dead = std::mem::take(&mut self.dead);
        for job in &dead {
            self.crashes.remove(job);
            self.errors.remove(job);
            self.suspects.remove(job);
            self.pending.push_back(*job);
        }
        dead.len() as u64
    }

    pub(super) fn mark_done(&mut self, slot: u64) {
        self.done.insert(slot);
        let idle: Vec<u32> = self
            .pending
            .iter()
            .chain(&self.dead)
            .copied()
            .filter(|&job| self.is_done(job))
            .collect();
        for job in idle {
            self.complete_job(job);
        }
    }

    pub(super) fn reopen(&mut self, slot: u64) -> u64 {
        let job = (slot / JOB_SAMPLES) as u32;
        if self.completed.remove(&job) {
            self.pending.push_back(job);
        }
        u64::from(self.done.remove(&slot))
    }

    fn hand_out(&mut self, lease: Lease) -> ClaimReply {
        let job = lease.job.0;
        self.extend_and_see(job);
        let todo = self.assign_samples(job);
        let errors = charged(&self.errors, job);
        ClaimReply::Job(Claimed {
            lease,
            lasts: LEASE,
            attempt: 1 + charged(&self.crashes, job) + errors,
            errors,
            first_slot: u64::from(job) * JOB_SAMPLES,
            samples: JOB_SAMPLES,
            done: self.places(job, true),
            todo,
        })
    }

    /// Returns what the holder of a job does next, and stores the place if it is isolated.
    fn assign_samples(&mut self, job: u32) -> Vec<u64> {
        let missing = self.places(job, false);
        let together = charged(&self.crashes, job) == 0 && missing.len() != 1;
        let isolated = if together {
            None
        } else {
            self.next_isolated(job)
        };
        if let Some(claim) = self.claims.get_mut(&job) {
            claim.isolated = isolated;
        }
        if together {
            missing
        } else {
            isolated.into_iter().collect()
        }
    }

    /// Returns the least suspect of the missing places that are worth another attempt.
    fn next_isolated(&self, job: u32) -> Option<u64> {
        let charges = |place: &u64| {
            self.suspects
                .get(&job)
                .and_then(|job| job.get(place))
                .copied()
                .unwrap_or(0)
        };
        let charged_to_places: u32 = self.suspects.get(&job).map_or(0, |job| job.values().sum());
        let together = u32::from(charged(&self.crashes, job) > charged_to_places);
        let has_attempts =
            |place: &u64| charges(place) == 0 || charges(place) + together < self.max_attempts;
        self.places(job, false)
            .into_iter()
            .filter(has_attempts)
            .min_by_key(charges)
    }

    fn is(&self, lease: &Lease, end: ClaimEnd) -> bool {
        self.claims
            .get(&lease.job.0)
            .is_some_and(|claim| (claim.lease, claim.end) == (*lease, end))
    }

    /// Extends the lease of a job and registers its worker.
    fn extend_and_see(&mut self, job: u32) {
        self.extend_lease(job);
        if let Some(claim) = self.claims.get(&job) {
            self.seen.insert(claim.worker);
        }
    }

    fn extend_lease(&mut self, job: u32) {
        self.overdue.retain(|&overdue| overdue != job);
    }

    fn end_claim(&mut self, job: u32, how: ClaimEnd) {
        self.extend_lease(job);
        if let Some(claim) = self.claims.get_mut(&job) {
            claim.end = how;
        }
    }

    fn complete_job(&mut self, job: u32) {
        self.extend_lease(job);
        self.pending.retain(|&pending| pending != job);
        self.claims.remove(&job);
        self.crashes.remove(&job);
        self.errors.remove(&job);
        self.suspects.remove(&job);
        self.dead.remove(&job);
        self.completed.insert(job);
    }

    fn is_done(&self, job: u32) -> bool {
        self.places(job, false).is_empty()
    }

    fn places(&self, job: u32, done: bool) -> Vec<u64> {
        let first = u64::from(job) * JOB_SAMPLES;
        (0..JOB_SAMPLES)
            .filter(|place| self.done.contains(&(first + place)) == done)
            .collect()
    }
}

/// Returns the number of charges of a job.
fn charged(counts: &BTreeMap<u32, u32>, job: u32) -> u32 {
    counts.get(&job).copied().unwrap_or(0)
}
