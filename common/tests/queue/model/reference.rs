//! The state machine in memory, as plainly as it can be said.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ddrs_common::domain::JobId;
use ddrs_common::queue::{
    Claim, ClaimToken, Claimed, CompleteReply, FailReply, Fence, Lease, RecordReply, ReleaseReply,
    RenewReply,
};

pub(super) const JOBS: u32 = 4;
pub(super) const JOB_SAMPLES: u64 = 3;
pub(super) const LEASE: Duration = Duration::from_secs(600);

/// How the latest claim of a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Live,
    Released,
    Failed,
    Lapsed,
    /// Its job was given up with it.
    Buried,
}

/// The latest claim of a job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Latest {
    pub(super) lease: Lease,
    pub(super) end: End,
    pub(super) worker: &'static str,
    /// The one place that its worker is at; none: it may be at all.
    pub(super) alone: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) pending: VecDeque<u32>,
    /// The latest claim of each job that has one and is not completed.
    pub(super) claims: BTreeMap<u32, Latest>,
    /// Live jobs whose deadline has passed, earliest first.
    pub(super) overdue: Vec<u32>,
    pub(super) dead: BTreeSet<u32>,
    pub(super) completed: BTreeSet<u32>,
    pub(super) done: BTreeSet<u64>,
    pub(super) crashes: BTreeMap<u32, u32>,
    pub(super) errors: BTreeMap<u32, u32>,
    /// How often each place of a job lost a worker that was at it alone.
    pub(super) suspects: BTreeMap<u32, BTreeMap<u64, u32>>,
    pub(super) max_attempts: u32,
    /// Workers that were heard of. No time passes, so they are there until they leave.
    pub(super) seen: BTreeSet<&'static str>,
    pub(super) fence: u64,
    pub(super) cancelled: bool,
    pub(super) uncollected: Vec<String>,
}

impl Default for Model {
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

impl Model {
    pub(super) fn live(&self) -> impl Iterator<Item = &Lease> {
        self.claims
            .values()
            .filter(|claim| claim.end == End::Live)
            .map(|claim| &claim.lease)
    }

    pub(super) fn claim(&mut self, worker: &'static str, token: ClaimToken) -> Claim {
        let again = self.live().find(|lease| lease.token == token).copied();
        if let Some(lease) = again {
            return self.hand_out(lease);
        }
        self.reap(100);
        self.seen.insert(worker);
        if self.cancelled {
            return Claim::Cancelled;
        }
        let Some(job) = self.next_job(worker) else {
            let in_flight = self.live().next().is_some() || !self.pending.is_empty();
            return if in_flight {
                Claim::Empty
            } else {
                Claim::Finished
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
            Latest {
                lease,
                end: End::Live,
                worker,
                alone: None,
            },
        );
        self.hand_out(lease)
    }

    /// The first pending job that did not fail in this worker's hands; those before it move to the
    /// tail. When nobody else is there, the first.
    fn next_job(&mut self, worker: &str) -> Option<u32> {
        let alone = self.seen.iter().all(|seen| *seen == worker);
        let failed_here = |job: &u32| {
            !alone
                && self
                    .claims
                    .get(job)
                    .is_some_and(|last| last.end == End::Failed && last.worker == worker)
        };
        let place = self.pending.iter().position(|job| !failed_here(job))?;
        let found = self.pending.remove(place);
        self.pending.rotate_left(place);
        found
    }

    pub(super) fn record(&mut self, lease: &Lease, slot: u64, line: String) -> RecordReply {
        if !self.is(lease, End::Live) {
            return RecordReply::Lost;
        }
        self.hear_of(lease.job.0);
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
        } else if self.is(lease, End::Buried) {
            CompleteReply::GivenUp
        } else if !self.is(lease, End::Live) {
            CompleteReply::Lost
        } else if self.is_done(job) {
            self.finish(job);
            CompleteReply::Completed
        } else {
            match self.assign(job) {
                missing if missing.is_empty() => {
                    self.end(job, End::Buried);
                    self.dead.insert(job);
                    CompleteReply::GivenUp
                }
                missing => CompleteReply::Incomplete { missing },
            }
        }
    }

    pub(super) fn renew(&mut self, lease: &Lease) -> RenewReply {
        if !self.is(lease, End::Live) {
            return RenewReply::Lost;
        }
        self.hear_of(lease.job.0);
        RenewReply::Renewed
    }

    pub(super) fn release(&mut self, lease: &Lease) -> ReleaseReply {
        let job = lease.job.0;
        if self.completed.contains(&job) {
            ReleaseReply::Completed
        } else if self.is(lease, End::Released) {
            ReleaseReply::Released
        } else if !self.is(lease, End::Live) {
            ReleaseReply::Lost
        } else if self.is_done(job) {
            self.finish(job);
            ReleaseReply::Completed
        } else {
            self.end(job, End::Released);
            self.pending.push_front(job);
            ReleaseReply::Released
        }
    }

    pub(super) fn fail(&mut self, lease: &Lease) -> FailReply {
        let job = lease.job.0;
        let fate = |model: &Self| {
            if model.dead.contains(&job) {
                FailReply::Dead
            } else {
                FailReply::Requeued
            }
        };
        if self.completed.contains(&job) {
            FailReply::Completed
        } else if self.is(lease, End::Failed) {
            fate(self)
        } else if !self.is(lease, End::Live) {
            FailReply::Lost
        } else if self.is_done(job) {
            self.finish(job);
            FailReply::Completed
        } else {
            self.end(job, End::Failed);
            let errors = self.errors.entry(job).or_default();
            *errors += 1;
            if *errors < self.max_attempts {
                self.pending.push_back(job);
            } else {
                self.dead.insert(job);
            }
            fate(self)
        }
    }

    pub(super) fn lapse(&mut self, job: u32) {
        if self.live().any(|lease| lease.job.0 == job) {
            self.extend(job);
            self.overdue.push(job);
        }
    }

    pub(super) fn reap(&mut self, limit: usize) -> u64 {
        let lapsed: Vec<u32> = self
            .overdue
            .drain(..limit.min(self.overdue.len()))
            .collect();
        for &job in &lapsed {
            if self.is_done(job) {
                self.finish(job);
            } else {
                self.end(job, End::Lapsed);
                *self.crashes.entry(job).or_default() += 1;
                let place = self.claims[&job]
                    .alone
                    .filter(|place| self.places(job, false).contains(place));
                if let Some(place) = place {
                    *self
                        .suspects
                        .entry(job)
                        .or_default()
                        .entry(place)
                        .or_default() += 1;
                }
                if self.next_alone(job).is_some() {
                    self.pending.push_back(job);
                } else {
                    self.dead.insert(job);
                }
            }
        }
        lapsed.len() as u64
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
            self.finish(job);
        }
    }

    pub(super) fn reopen(&mut self, slot: u64) -> u64 {
        let job = (slot / JOB_SAMPLES) as u32;
        if self.completed.remove(&job) {
            self.pending.push_back(job);
        }
        u64::from(self.done.remove(&slot))
    }

    fn hand_out(&mut self, lease: Lease) -> Claim {
        let job = lease.job.0;
        self.hear_of(job);
        let todo = self.assign(job);
        let errors = charged(&self.errors, job);
        Claim::Job(Claimed {
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

    /// What the holder of a job does next, and that it does so alone.
    fn assign(&mut self, job: u32) -> Vec<u64> {
        let missing = self.places(job, false);
        let together = charged(&self.crashes, job) == 0 && missing.len() != 1;
        let alone = if together { None } else { self.next_alone(job) };
        if let Some(claim) = self.claims.get_mut(&job) {
            claim.alone = alone;
        }
        if together {
            missing
        } else {
            alone.into_iter().collect()
        }
    }

    /// Of the missing places that are worth another attempt, the least suspect.
    fn next_alone(&self, job: u32) -> Option<u64> {
        let blamed = |place: &u64| {
            self.suspects
                .get(&job)
                .and_then(|job| job.get(place))
                .copied()
                .unwrap_or(0)
        };
        let blamed_in_all: u32 = self.suspects.get(&job).map_or(0, |job| job.values().sum());
        let together = u32::from(charged(&self.crashes, job) > blamed_in_all);
        let worth_it =
            |place: &u64| blamed(place) == 0 || blamed(place) + together < self.max_attempts;
        self.places(job, false)
            .into_iter()
            .filter(worth_it)
            .min_by_key(blamed)
    }

    fn is(&self, lease: &Lease, end: End) -> bool {
        self.claims
            .get(&lease.job.0)
            .is_some_and(|claim| (claim.lease, claim.end) == (*lease, end))
    }

    /// A sign of life from the holder of a lease.
    fn hear_of(&mut self, job: u32) {
        self.extend(job);
        if let Some(claim) = self.claims.get(&job) {
            self.seen.insert(claim.worker);
        }
    }

    fn extend(&mut self, job: u32) {
        self.overdue.retain(|&overdue| overdue != job);
    }

    fn end(&mut self, job: u32, how: End) {
        self.extend(job);
        if let Some(claim) = self.claims.get_mut(&job) {
            claim.end = how;
        }
    }

    fn finish(&mut self, job: u32) {
        self.extend(job);
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

/// How often a job was charged.
fn charged(counts: &BTreeMap<u32, u32>, job: u32) -> u32 {
    counts.get(&job).copied().unwrap_or(0)
}
