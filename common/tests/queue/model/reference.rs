//! The state machine in memory, as plainly as it can be said.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ddrs_common::domain::JobId;
use ddrs_common::queue::{
    Claim, ClaimToken, Claimed, CompleteReply, FailReply, Fence, Lease, RecordReply, ReleaseReply, RenewReply,
};

pub(super) const JOBS: u32 = 4;
pub(super) const JOB_SAMPLES: u64 = 2;
pub(super) const MAX_ATTEMPTS: u32 = 2;
pub(super) const LEASE: Duration = Duration::from_secs(600);

/// How the latest claim of a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Live,
    Released,
    Failed,
    Lapsed,
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) pending: VecDeque<u32>,
    /// The latest claim of each job that has one and is not completed.
    pub(super) claims: BTreeMap<u32, (Lease, End)>,
    /// Live jobs whose deadline has passed, earliest first.
    pub(super) overdue: Vec<u32>,
    pub(super) dead: BTreeSet<u32>,
    pub(super) completed: BTreeSet<u32>,
    pub(super) done: BTreeSet<u64>,
    pub(super) crashes: BTreeMap<u32, u32>,
    pub(super) errors: BTreeMap<u32, u32>,
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
            fence: 0,
            cancelled: false,
            uncollected: Vec::new(),
        }
    }
}

impl Model {
    pub(super) fn live(&self) -> impl Iterator<Item = &Lease> {
        self.claims.values().filter(|(_, end)| *end == End::Live).map(|(lease, _)| lease)
    }

    pub(super) fn claim(&mut self, token: ClaimToken) -> Claim {
        let again = self.live().find(|lease| lease.token == token).copied();
        if let Some(lease) = again {
            return self.hand_out(lease);
        }
        self.reap(100);
        if self.cancelled {
            return Claim::Cancelled;
        }
        let Some(job) = self.pending.pop_front() else {
            return if self.live().next().is_some() { Claim::Empty } else { Claim::Finished };
        };
        self.fence += 1;
        let lease = Lease { job: JobId(job), fence: Fence(self.fence), token };
        self.claims.insert(job, (lease, End::Live));
        self.hand_out(lease)
    }

    pub(super) fn record(&mut self, lease: &Lease, slot: u64, line: String) -> RecordReply {
        if !self.is(lease, End::Live) {
            return RecordReply::Lost;
        }
        self.extend(lease.job.0);
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
        } else if !self.is(lease, End::Live) {
            CompleteReply::Lost
        } else if self.places(job, true).len() < JOB_SAMPLES as usize {
            CompleteReply::Incomplete { missing: self.places(job, false) }
        } else {
            self.finish(job);
            CompleteReply::Completed
        }
    }

    pub(super) fn renew(&mut self, lease: &Lease) -> RenewReply {
        if !self.is(lease, End::Live) {
            return RenewReply::Lost;
        }
        self.extend(lease.job.0);
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
        let fate = |model: &Self| if model.dead.contains(&job) { FailReply::Dead } else { FailReply::Requeued };
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
            let errors = *errors;
            self.another_attempt(job, errors);
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
        let lapsed: Vec<u32> = self.overdue.drain(..limit.min(self.overdue.len())).collect();
        for &job in &lapsed {
            if self.is_done(job) {
                self.finish(job);
            } else {
                self.end(job, End::Lapsed);
                let crashes = self.crashes.entry(job).or_default();
                *crashes += 1;
                let crashes = *crashes;
                self.another_attempt(job, crashes);
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
            self.pending.push_back(*job);
        }
        dead.len() as u64
    }

    pub(super) fn mark_done(&mut self, slot: u64) {
        self.done.insert(slot);
        let idle: Vec<u32> = self.pending.iter().chain(&self.dead).copied().filter(|&job| self.is_done(job)).collect();
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
        self.extend(job);
        let charged = |counts: &BTreeMap<u32, u32>| counts.get(&job).copied().unwrap_or(0);
        Claim::Job(Claimed {
            lease,
            lasts: LEASE,
            attempt: 1 + charged(&self.crashes) + charged(&self.errors),
            first_slot: u64::from(job) * JOB_SAMPLES,
            samples: JOB_SAMPLES,
            done: self.places(job, true),
        })
    }

    fn is(&self, lease: &Lease, end: End) -> bool {
        self.claims.get(&lease.job.0) == Some(&(*lease, end))
    }

    fn extend(&mut self, job: u32) {
        self.overdue.retain(|&overdue| overdue != job);
    }

    fn end(&mut self, job: u32, how: End) {
        self.extend(job);
        if let Some((_, end)) = self.claims.get_mut(&job) {
            *end = how;
        }
    }

    fn another_attempt(&mut self, job: u32, attempts: u32) {
        if attempts < MAX_ATTEMPTS {
            self.pending.push_back(job);
        } else {
            self.dead.insert(job);
        }
    }

    fn finish(&mut self, job: u32) {
        self.extend(job);
        self.pending.retain(|&pending| pending != job);
        self.claims.remove(&job);
        self.crashes.remove(&job);
        self.errors.remove(&job);
        self.dead.remove(&job);
        self.completed.insert(job);
    }

    fn is_done(&self, job: u32) -> bool {
        self.places(job, false).is_empty()
    }

    fn places(&self, job: u32, done: bool) -> Vec<u64> {
        let first = u64::from(job) * JOB_SAMPLES;
        (0..JOB_SAMPLES).filter(|place| self.done.contains(&(first + place)) == done).collect()
    }
}
