//! Stops workers with SIGSTOP until their lease has ended and another worker has their job, then
//! continues them with SIGCONT. Redis must refuse and report the late writes of these stale
//! workers.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ddrs_common::queue::QueueClient;
use redis::Commands;

use super::process::Signal;
use super::{ChaosContext, Fsync, TestSweep, TestWorker, chaos_sweep, wait_for};
use crate::HalfSpaceSweep;

/// The number of stale workers at a time.
const AT_ONCE: usize = 3;

/// A stale worker that has logged nothing for this time has nothing left to write.
const SILENCE_LIMIT: Duration = Duration::from_secs(20);

const EXPIRED: &str = "stale workers whose lease expired";
const DECLARED_DEAD: &str = "stale workers that had been declared dead";
const REFUSED: &str = "late requests refused";
const RECORDS: &str = "of them records";

pub(super) fn run(context: &mut ChaosContext) {
    let each = context.pick(3, 60);
    context.announce(EXPIRED, each);
    context.announce(DECLARED_DEAD, each);
    context.announce(REFUSED, each);
    context.announce(RECORDS, context.pick(1, each / 2));
    while context.lacks(EXPIRED) {
        one_run(context, LeaseEnd::Expires);
    }
    while context.lacks(DECLARED_DEAD) || context.lacks(RECORDS) {
        one_run(context, LeaseEnd::DeclaredDead);
    }
}

/// The event that ends a lease while its worker is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LeaseEnd {
    /// The lease expires. The worker finds its renewal overdue when it continues, and learns from
    /// the answer that it lost the lease.
    Expires,
    /// A coordinator declares the worker dead and ends its lease. The next renewal is minutes away,
    /// so the worker continues with its sample and learns of the loss when it writes.
    DeclaredDead,
}

fn one_run(context: &mut ChaosContext, end: LeaseEnd) {
    let lease = if end == LeaseEnd::Expires { 1 } else { 600 };
    let mut sweep = TestSweep::new(
        &HalfSpaceSweep {
            lease,
            ..chaos_sweep()
        },
        Fsync::EverySecond,
    );
    let stale: Vec<(TestWorker, StoppedClaim)> = (0..AT_ONCE)
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
    let mut informed = 0;
    for (worker, claim) in &stale {
        let since = Instant::now();
        let informed_now = wait_for("log line of a stale worker that lost its job", || {
            let logged = sweep.log_of(&worker.name).contains("another worker's");
            // A worker has nothing left to write if it was stopped before it read the answer to its
            // claim, or after its last record.
            let silent = since.elapsed() > SILENCE_LIMIT && claim.is_completed(&sweep);
            (logged || silent).then_some(logged)
        });
        informed += u64::from(informed_now);
    }
    context.count(
        if end == LeaseEnd::Expires {
            EXPIRED
        } else {
            DECLARED_DEAD
        },
        informed,
    );
    let refused: Vec<String> = refusals(&sweep);
    for (_, claim) in &stale {
        let name = format!("under claim {}", claim.fence);
        let reported = refused.iter().any(|refusal| refusal.ends_with(&name));
        // The renewal of a job that has been completed is harmless. It is answered and not counted
        // as refused.
        assert!(
            reported || claim.is_completed(&sweep),
            "claim {} was not refused: {refused:?}",
            claim.fence
        );
    }
    let counted = sweep.status()["refused"].as_u64().expect("a count");
    assert!(
        counted >= refused.len() as u64,
        "status counts {counted} refusals, the history has {refused:?}"
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
        // The leases of the workers that were just killed would last for minutes.
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

    /// Returns true if another worker has the job or has completed it.
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

/// Starts a worker and stops it at a random moment of one of its jobs.
fn stopped_with_a_job(
    context: &mut ChaosContext,
    sweep: &mut TestSweep,
) -> (TestWorker, StoppedClaim) {
    loop {
        let worker = sweep.worker(&[]);
        wait_for("claim", || StoppedClaim::of(&worker.name, sweep));
        sleep(context.moment(Duration::from_millis(30)));
        worker.stop();
        // Redis has applied all requests of the stopped worker once it answers this one.
        let _ = StoppedClaim::of(&worker.name, sweep);
        // A worker without a claim was stopped between two jobs.
        if let Some(claim) = StoppedClaim::of(&worker.name, sweep) {
            return (worker, claim);
        }
        worker.kill();
    }
}

/// Ends the leases of workers as a coordinator does when its worker dies. An empty name stands for
/// all workers.
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

/// Returns the refusals in the history of the sweep, which `why` shows.
fn refusals(sweep: &TestSweep) -> Vec<String> {
    let events = sweep.stream("events", &mut sweep.redis.connection());
    let refused = events
        .into_iter()
        .filter(|event| event["what"] == "refused");
    refused
        .map(|mut event| event.remove("detail").unwrap_or_default())
        .collect()
}
