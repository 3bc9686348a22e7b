//! Kills workers with SIGKILL: while they start, right after a claim, during a job, and right after
//! a record.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::RngExt;
use redis::Commands;

use super::{ChaosContext, Fsync, TestSweep, TestWorker, chaos_sweep};

/// The number of workers at a time.
const AT_ONCE: usize = 3;
const POLL: Duration = Duration::from_millis(1);
/// The approximate time from the start of a worker to its first claim.
const START: Duration = Duration::from_millis(400);
/// The approximate duration of a job.
const JOB: Duration = Duration::from_millis(60);

pub(super) fn run(context: &mut ChaosContext) {
    let per_run = context.pick(15, 25);
    context.announce("workers killed", context.pick(30, 1000));
    for moment in [
        KillMoment::Starting,
        KillMoment::Claimed,
        KillMoment::Working,
        KillMoment::Recorded,
    ] {
        context.announce(moment.fault(), context.pick(1, 100));
    }
    // Half of these runs suffice on most machines. On a fast machine more workers finish before
    // they are killed.
    for _ in 0..context.pick(10, 160) {
        if context.lacks_any() {
            one_run(context, per_run);
        }
    }
}

/// The moment at which a worker is killed.
#[derive(Debug, Clone, Copy)]
enum KillMoment {
    /// At a random time after its start.
    Starting,
    /// As soon as Redis shows its claim.
    Claimed,
    /// At a random time after its claim.
    Working,
    /// As soon as Redis shows one of its records.
    Recorded,
}

impl KillMoment {
    fn fault(self) -> &'static str {
        match self {
            Self::Starting => "of them before their first claim",
            Self::Claimed => "of them right after a claim",
            Self::Working => "of them during a job",
            Self::Recorded => "of them right after a record",
        }
    }
}

/// A worker with the moment at which to kill it.
struct PlannedKill {
    worker: TestWorker,
    moment: KillMoment,
    /// The time from the moment to the kill.
    delay: Duration,
    due: Option<Instant>,
}

fn one_run(context: &mut ChaosContext, kills: usize) {
    let mut sweep = TestSweep::new(&chaos_sweep(), Fsync::EverySecond);
    let mut connection = sweep.redis.connection();
    let mut planned: Vec<PlannedKill> = Vec::new();
    let mut killed = 0;
    loop {
        while planned.len() < AT_ONCE.min(kills - killed) {
            planned.push(PlannedKill::draw(context, &mut sweep));
        }
        let seen = SweepSnapshot::now(&mut connection, &sweep);
        // Killing a worker after the end of the sweep would prove nothing.
        if killed == kills || seen.finished {
            break;
        }
        for kill in &mut planned {
            kill.update(&seen);
        }
        let (dead, alive) = planned
            .into_iter()
            .partition::<Vec<_>, _>(PlannedKill::is_due);
        planned = alive;
        for PlannedKill { worker, moment, .. } in dead {
            let worked = seen.claimed.contains(&worker.name);
            worker.kill();
            killed += 1;
            context.count("workers killed", 1);
            if worked != matches!(moment, KillMoment::Starting) {
                context.count(moment.fault(), 1);
            }
        }
        sleep(POLL);
    }
    drop(planned);
    sweep.work_to_the_end();
    sweep.check(context);
}

impl PlannedKill {
    fn draw(context: &mut ChaosContext, sweep: &mut TestSweep) -> Self {
        let moments = [
            KillMoment::Starting,
            KillMoment::Claimed,
            KillMoment::Working,
            KillMoment::Recorded,
        ];
        let moment = moments[context.rng.random_range(0..moments.len())];
        let delay = match moment {
            KillMoment::Starting => context.moment(START),
            KillMoment::Claimed | KillMoment::Recorded => Duration::ZERO,
            KillMoment::Working => context.moment(JOB),
        };
        Self {
            worker: sweep.worker(&[]),
            moment,
            delay,
            due: None,
        }
    }

    fn update(&mut self, seen: &SweepSnapshot) {
        let reached = match self.moment {
            KillMoment::Starting => true,
            KillMoment::Claimed | KillMoment::Working => seen.claimed.contains(&self.worker.name),
            KillMoment::Recorded => seen.recorded.contains(&self.worker.name),
        };
        if reached {
            self.due.get_or_insert_with(|| Instant::now() + self.delay);
        }
    }

    fn is_due(&self) -> bool {
        self.due.is_some_and(|due| Instant::now() >= due)
    }
}

/// The claims and records in Redis at one moment.
struct SweepSnapshot {
    /// Workers that hold a job.
    claimed: BTreeSet<String>,
    /// Workers that have stored a record.
    recorded: BTreeSet<String>,
    finished: bool,
}

impl SweepSnapshot {
    fn now(connection: &mut redis::Connection, sweep: &TestSweep) -> Self {
        let claims: Vec<String> = connection.hvals(sweep.key("claims")).expect("an answer");
        let live = claims.iter().filter(|claim| claim.contains(" live "));
        let claimed = live
            .filter_map(|claim| claim.rsplit(' ').next().map(str::to_owned))
            .collect();
        let results = sweep.stream("results", connection);
        let worker = |fields: &BTreeMap<String, String>| {
            let record: serde_json::Value =
                serde_json::from_str(&fields["record"]).expect("a record");
            record["worker"].as_str().expect("a worker").to_owned()
        };
        let finished = results.len() as u64 == sweep.samples();
        Self {
            claimed,
            recorded: results.iter().map(worker).collect(),
            finished,
        }
    }
}
