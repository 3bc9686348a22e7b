//! Workers killed with SIGKILL: while they start, right after a claim, in the middle of a job,
//! right after a record.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::RngExt;
use redis::Commands;

use super::{Fsync, Lab, Scene, Worker, chaos_sweep};

/// How many run at a time.
const AT_ONCE: usize = 3;
const POLL: Duration = Duration::from_millis(1);
/// From its start to its first claim a worker takes about this long.
const START: Duration = Duration::from_millis(400);
/// A job takes about this long.
const JOB: Duration = Duration::from_millis(60);

pub(super) fn run(lab: &mut Lab) {
    let per_run = lab.pick(15, 25);
    lab.announce("workers killed", lab.pick(30, 1000));
    for moment in [
        Moment::Starting,
        Moment::Claimed,
        Moment::Working,
        Moment::Recorded,
    ] {
        lab.announce(moment.fault(), lab.pick(1, 100));
    }
    // Half of these runs are enough on a machine that is not too fast for its victims.
    for _ in 0..lab.pick(10, 160) {
        if lab.lacks_any() {
            one_run(lab, per_run);
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
    worker: Worker,
    moment: Moment,
    /// What is left of it once the moment has come.
    delay: Duration,
    due: Option<Instant>,
}

fn one_run(lab: &mut Lab, kills: usize) {
    let mut scene = Scene::new(&chaos_sweep(), Fsync::EverySecond);
    let mut connection = scene.redis.connection();
    let mut doomed: Vec<Doomed> = Vec::new();
    let mut killed = 0;
    loop {
        while doomed.len() < AT_ONCE.min(kills - killed) {
            doomed.push(Doomed::draw(lab, &mut scene));
        }
        let seen = Seen::now(&mut connection, &scene);
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
            lab.count("workers killed", 1);
            if worked != matches!(moment, Moment::Starting) {
                lab.count(moment.fault(), 1);
            }
        }
        sleep(POLL);
    }
    drop(doomed);
    scene.work_to_the_end();
    scene.check(lab);
}

impl Doomed {
    fn draw(lab: &mut Lab, scene: &mut Scene) -> Self {
        let moments = [
            Moment::Starting,
            Moment::Claimed,
            Moment::Working,
            Moment::Recorded,
        ];
        let moment = moments[lab.rng.random_range(0..moments.len())];
        let delay = match moment {
            Moment::Starting => lab.moment(START),
            Moment::Claimed | Moment::Recorded => Duration::ZERO,
            Moment::Working => lab.moment(JOB),
        };
        Self {
            worker: scene.worker(&[]),
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
    fn now(connection: &mut redis::Connection, scene: &Scene) -> Self {
        let claims: Vec<String> = connection.hvals(scene.key("claims")).expect("an answer");
        let live = claims.iter().filter(|claim| claim.contains(" live "));
        let claimed = live
            .filter_map(|claim| claim.rsplit(' ').next().map(str::to_owned))
            .collect();
        let results = scene.stream("results", connection);
        let worker = |fields: &BTreeMap<String, String>| {
            let record: serde_json::Value =
                serde_json::from_str(&fields["record"]).expect("a record");
            record["worker"].as_str().expect("a worker").to_owned()
        };
        let finished = results.len() as u64 == scene.samples();
        Self {
            claimed,
            recorded: results.iter().map(worker).collect(),
            finished,
        }
    }
}
