//! Workers killed with SIGKILL: while they start, right after a claim, in the middle of a job,
//! right after a record.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::RngExt;
use redis::Commands;

use super::{ChaosContext, Fsync, TestSweep, WorkerProcess, chaos_sweep};

/// How many run at a time.
const AT_ONCE: usize = 3;
const POLL: Duration = Duration::from_millis(1);
/// From its start to its first claim a worker takes about this long.
const START: Duration = Duration::from_millis(400);
/// A job takes about this long.
const JOB: Duration = Duration::from_millis(60);

pub(super) fn run(context: &mut ChaosContext) {
    let per_run = context.pick(15, 25);
    context.announce("workers killed", context.pick(30, 1000));
    for moment in [
        Moment::Starting,
        Moment::Claimed,
        Moment::Working,
        Moment::Recorded,
    ] {
        context.announce(moment.fault(), context.pick(1, 100));
    }
    // Half of these runs are enough on a machine that is not too fast for its victims.
    for _ in 0..context.pick(10, 160) {
        if context.lacks_any() {
            one_run(context, per_run);
        }
    }
}

/// When a worker shall die.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// At some time of its start, counted from the beginning.
    Starting,
    /// As soon as its claim is seen.
    Claimed,
    /// Some time after that.
    Working,
    /// As soon as a record of its is seen.
    Recorded,
}

impl Moment {
    fn fault(self) -> &'static str {
        match self {
            Self::Starting => "of them before their first claim",
            Self::Claimed => "of them right after a claim",
            Self::Working => "of them in the middle of a job",
            Self::Recorded => "of them right after a record",
        }
    }
}

/// A worker with a date.
struct Doomed {
    worker: WorkerProcess,
    moment: Moment,
    /// What is left of it once the moment has come.
    delay: Duration,
    due: Option<Instant>,
}

fn one_run(context: &mut ChaosContext, kills: usize) {
    let mut sweep = TestSweep::new(&chaos_sweep(), Fsync::EverySecond);
    let mut connection = sweep.redis.connection();
    let mut doomed: Vec<Doomed> = Vec::new();
    let mut killed = 0;
    loop {
        while doomed.len() < AT_ONCE.min(kills - killed) {
            doomed.push(Doomed::draw(context, &mut sweep));
        }
        let seen = Seen::now(&mut connection, &sweep);
        // A worker without work dies for nothing.
        if killed == kills || seen.finished {
            break;
        }
        for one in &mut doomed {
            one.notice(&seen);
        }
        let (dead, alive) = doomed.into_iter().partition::<Vec<_>, _>(Doomed::is_due);
        doomed = alive;
        for Doomed { worker, moment, .. } in dead {
            let worked = seen.claimed.contains(&worker.name);
            worker.kill();
            killed += 1;
            context.count("workers killed", 1);
            if worked != matches!(moment, Moment::Starting) {
                context.count(moment.fault(), 1);
            }
        }
        sleep(POLL);
    }
    drop(doomed);
    sweep.work_to_the_end();
    sweep.check(context);
}

impl Doomed {
    fn draw(context: &mut ChaosContext, sweep: &mut TestSweep) -> Self {
        let moments = [
            Moment::Starting,
            Moment::Claimed,
            Moment::Working,
            Moment::Recorded,
        ];
        let moment = moments[context.rng.random_range(0..moments.len())];
        let delay = match moment {
            Moment::Starting => context.moment(START),
            Moment::Claimed | Moment::Recorded => Duration::ZERO,
            Moment::Working => context.moment(JOB),
        };
        Self {
            worker: sweep.worker(&[]),
            moment,
            delay,
            due: None,
        }
    }

    fn notice(&mut self, seen: &Seen) {
        let come = match self.moment {
            Moment::Starting => true,
            Moment::Claimed | Moment::Working => seen.claimed.contains(&self.worker.name),
            Moment::Recorded => seen.recorded.contains(&self.worker.name),
        };
        if come {
            self.due.get_or_insert_with(|| Instant::now() + self.delay);
        }
    }

    fn is_due(&self) -> bool {
        self.due.is_some_and(|due| Instant::now() >= due)
    }
}

/// What Redis shows at one moment.
struct Seen {
    /// Workers that hold a job.
    claimed: BTreeSet<String>,
    /// Workers that a record is of.
    recorded: BTreeSet<String>,
    finished: bool,
}

impl Seen {
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
