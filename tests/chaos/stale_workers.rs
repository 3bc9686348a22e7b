//! Workers that come back after their lease was given to another: stopped with SIGSTOP, continued
//! with SIGCONT when somebody else has their job. What they want to write then must be refused, and
//! be seen to be.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ddrs_common::queue::QueueClient;
use redis::Commands;

use super::process::Signal;
use super::{ChaosContext, Fsync, TestSweep, WorkerProcess, chaos_sweep, wait_for};
use crate::HalfSpaceSweep;

/// How many at a time.
const AT_ONCE: usize = 3;

/// A stale worker that has said nothing for so long has nothing to say.
const MUTE: Duration = Duration::from_secs(20);

const OUTLIVED: &str = "stale that outlived their lease";
const DECLARED_DEAD: &str = "stale that had been declared dead";
const REFUSED: &str = "late requests refused";
const RECORDS: &str = "of them records";

pub(super) fn run(context: &mut ChaosContext) {
    let each = context.pick(3, 60);
    context.announce(OUTLIVED, each);
    context.announce(DECLARED_DEAD, each);
    context.announce(REFUSED, each);
    context.announce(RECORDS, context.pick(1, each / 2));
    while context.lacks(OUTLIVED) {
        one_run(context, LeaseEnd::Lapses);
    }
    while context.lacks(DECLARED_DEAD) || context.lacks(RECORDS) {
        one_run(context, LeaseEnd::DeclaredDead);
    }
}

/// How a lease ends while its worker is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LeaseEnd {
    /// It runs out. The worker finds its renewal overdue when it continues, and learns then.
    Lapses,
    /// A coordinator takes the worker for dead and ends its lease. The worker, whose renewal is far
    /// off, continues with its sample and learns when it writes.
    DeclaredDead,
}

fn one_run(context: &mut ChaosContext, end: LeaseEnd) {
    let lease = if end == LeaseEnd::Lapses { 1 } else { 600 };
    let mut sweep = TestSweep::new(
        &HalfSpaceSweep {
            lease,
            ..chaos_sweep()
        },
        Fsync::EverySecond,
    );
    let stale: Vec<(WorkerProcess, StoppedClaim)> = (0..AT_ONCE)
        .map(|_| stopped_with_a_job(context, &mut sweep))
        .collect();
    if end == LeaseEnd::DeclaredDead {
        declare_dead(&sweep, stale.iter().map(|(worker, _)| worker.name.as_str()));
    }
    let successor = sweep.worker(&[]);
    for (_, claim) in &stale {
        wait_for("successor of a stale worker", || {
            claim.is_over(&sweep).then_some(())
        });
    }
    for (worker, _) in &stale {
        worker.signal(Signal::CONT);
    }
    let mut woken = 0;
    for (worker, claim) in &stale {
        let since = Instant::now();
        let spoke = wait_for("word that a stale worker had lost its job", || {
            let spoke = sweep.log_of(&worker.name).contains("another worker's");
            // One that was stopped before it read of its claim, or after its last record, has
            // nothing to write any more.
            (spoke || (since.elapsed() > MUTE && claim.is_completed(&sweep))).then_some(spoke)
        });
        woken += u64::from(spoke);
    }
    context.count(
        if end == LeaseEnd::Lapses {
            OUTLIVED
        } else {
            DECLARED_DEAD
        },
        woken,
    );
    let refused: Vec<String> = refusals(&sweep);
    for (_, claim) in &stale {
        let name = format!("under claim {}", claim.fence);
        let told = refused.iter().any(|refusal| refusal.ends_with(&name));
        // A renewal of a job that is complete by now harms nobody, and is answered without being
        // counted.
        assert!(
            told || claim.is_completed(&sweep),
            "claim {} was not refused: {refused:?}",
            claim.fence
        );
    }
    let counted = sweep.status()["refused"].as_u64().expect("a count");
    assert!(
        counted >= refused.len() as u64,
        "status counts {counted} of {refused:?}"
    );
    context.count(REFUSED, refused.len() as u64);
    context.count(
        RECORDS,
        refused
            .iter()
            .filter(|refusal| refusal.starts_with("the record"))
            .count() as u64,
    );
    drop((stale, successor));
    if end == LeaseEnd::DeclaredDead {
        // The leases of those that were just killed would last for minutes.
        declare_dead(&sweep, [""].into_iter());
    }
    sweep.work_to_the_end();
    sweep.check(context);
}

/// A claim as it was when its worker was stopped.
struct StoppedClaim {
    job: u32,
    fence: String,
}

impl StoppedClaim {
    fn of(worker: &str, sweep: &TestSweep) -> Option<Self> {
        let claims: BTreeMap<u32, String> = sweep
            .redis
            .connection()
            .hgetall(sweep.key("claims"))
            .expect("an answer");
        let (job, claim) = claims.into_iter().find(|(_, claim)| {
            claim.contains(" live ") && claim.ends_with(&format!(" {worker}"))
        })?;
        Some(Self {
            job,
            fence: claim.split(' ').next()?.to_owned(),
        })
    }

    fn is_completed(&self, sweep: &TestSweep) -> bool {
        sweep
            .redis
            .connection()
            .getbit(sweep.key("completed"), self.job as usize)
            .expect("an answer")
    }

    /// Whether somebody else has the job now, or has completed it.
    fn is_over(&self, sweep: &TestSweep) -> bool {
        let claim: Option<String> = sweep
            .redis
            .connection()
            .hget(sweep.key("claims"), self.job)
            .expect("an answer");
        claim.is_none_or(|claim| {
            claim.contains(" live ") && !claim.starts_with(&format!("{} ", self.fence))
        })
    }
}

/// A worker that was stopped at some moment of a job of its.
fn stopped_with_a_job(
    context: &mut ChaosContext,
    sweep: &mut TestSweep,
) -> (WorkerProcess, StoppedClaim) {
    loop {
        let worker = sweep.worker(&[]);
        wait_for("claim", || StoppedClaim::of(&worker.name, sweep));
        sleep(context.moment(Duration::from_millis(30)));
        worker.stop();
        // What it had sent is in effect now, before the next look.
        let _ = StoppedClaim::of(&worker.name, sweep);
        // Without one it was between two jobs.
        if let Some(claim) = StoppedClaim::of(&worker.name, sweep) {
            return (worker, claim);
        }
        worker.kill();
    }
}

/// What a coordinator does that sees its worker die; an empty name stands for all.
fn declare_dead<'a>(sweep: &TestSweep, workers: impl Iterator<Item = &'a str>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let client = QueueClient::connect(&sweep.redis.url())
            .await
            .expect("a connection");
        let queue = client.sweep(&sweep.id.clone().try_into().expect("a sweep's id"));
        for worker in workers {
            queue
                .admin()
                .expire_leases(Some(worker).filter(|name| !name.is_empty()))
                .await
                .expect("an answer");
        }
    });
}

/// The refusals that `why` tells of.
fn refusals(sweep: &TestSweep) -> Vec<String> {
    let events = sweep.stream("events", &mut sweep.redis.connection());
    let refused = events
        .into_iter()
        .filter(|event| event["what"] == "refused");
    refused
        .map(|mut event| event.remove("detail").unwrap_or_default())
        .collect()
}
