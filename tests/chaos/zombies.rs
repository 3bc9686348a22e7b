//! Workers that come back after their lease was given to another: stopped with SIGSTOP, continued
//! with SIGCONT when somebody else has their job. What they want to write then must be refused, and
//! be seen to be.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ddrs_common::queue::QueueClient;
use redis::Commands;

use super::process::Signal;
use super::{Fsync, Lab, Scene, Worker, chaos_sweep, wait_for};
use crate::HalfSpace;

/// How many at a time.
const AT_ONCE: usize = 3;

/// A zombie that has said nothing for so long has nothing to say.
const MUTE: Duration = Duration::from_secs(20);

const OUTLIVED: &str = "zombies that outlived their lease";
const BURIED: &str = "zombies that had been declared dead";
const REFUSED: &str = "late requests refused";
const RECORDS: &str = "of them records";

pub(super) fn run(lab: &mut Lab) {
    let each = lab.pick(3, 60);
    lab.announce(OUTLIVED, each);
    lab.announce(BURIED, each);
    lab.announce(REFUSED, each);
    lab.announce(RECORDS, lab.pick(1, each / 2));
    while lab.lacks(OUTLIVED) {
        one_run(lab, End::Lapses);
    }
    while lab.lacks(BURIED) || lab.lacks(RECORDS) {
        one_run(lab, End::DeclaredDead);
    }
}

/// How a lease ends while its worker is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It runs out. The worker finds its renewal overdue when it continues, and learns then.
    Lapses,
    /// A coordinator takes the worker for dead and ends its lease. The worker, whose renewal is far
    /// off, continues with its sample and learns when it writes.
    DeclaredDead,
}

fn one_run(lab: &mut Lab, end: End) {
    let lease = if end == End::Lapses { 1 } else { 600 };
    let mut scene = Scene::new(
        &HalfSpace {
            lease,
            ..chaos_sweep()
        },
        Fsync::EverySecond,
    );
    let zombies: Vec<(Worker, Claim)> = (0..AT_ONCE)
        .map(|_| stopped_with_a_job(lab, &mut scene))
        .collect();
    if end == End::DeclaredDead {
        declare_dead(
            &scene,
            zombies.iter().map(|(worker, _)| worker.name.as_str()),
        );
    }
    let successor = scene.worker(&[]);
    for (_, claim) in &zombies {
        wait_for("successor of a zombie", || {
            claim.is_over(&scene).then_some(())
        });
    }
    for (worker, _) in &zombies {
        worker.signal(Signal::CONT);
    }
    let mut woken = 0;
    for (worker, claim) in &zombies {
        let since = Instant::now();
        let spoke = wait_for("word that a zombie had lost its job", || {
            let spoke = scene.log_of(&worker.name).contains("another worker's");
            // One that was stopped before it read of its claim, or after its last record, has
            // nothing to write any more.
            (spoke || (since.elapsed() > MUTE && claim.is_completed(&scene))).then_some(spoke)
        });
        woken += u64::from(spoke);
    }
    lab.count(if end == End::Lapses { OUTLIVED } else { BURIED }, woken);
    let refused: Vec<String> = refusals(&scene);
    for (_, claim) in &zombies {
        let name = format!("under claim {}", claim.fence);
        let told = refused.iter().any(|refusal| refusal.ends_with(&name));
        // A renewal of a job that is complete by now harms nobody, and is answered without being
        // counted.
        assert!(
            told || claim.is_completed(&scene),
            "claim {} was not refused: {refused:?}",
            claim.fence
        );
    }
    let counted = scene.status()["refused"].as_u64().expect("a count");
    assert!(
        counted >= refused.len() as u64,
        "status counts {counted} of {refused:?}"
    );
    lab.count(REFUSED, refused.len() as u64);
    lab.count(
        RECORDS,
        refused
            .iter()
            .filter(|refusal| refusal.starts_with("the record"))
            .count() as u64,
    );
    drop((zombies, successor));
    if end == End::DeclaredDead {
        // The leases of those that were just killed would last for minutes.
        declare_dead(&scene, [""].into_iter());
    }
    scene.work_to_the_end();
    scene.check(lab);
}

/// A claim as it was when its worker was stopped.
struct Claim {
    job: u32,
    fence: String,
}

impl Claim {
    fn of(worker: &str, scene: &Scene) -> Option<Self> {
        let claims: BTreeMap<u32, String> = scene
            .redis
            .connection()
            .hgetall(scene.key("claims"))
            .expect("an answer");
        let (job, claim) = claims.into_iter().find(|(_, claim)| {
            claim.contains(" live ") && claim.ends_with(&format!(" {worker}"))
        })?;
        Some(Self {
            job,
            fence: claim.split(' ').next()?.to_owned(),
        })
    }

    fn is_completed(&self, scene: &Scene) -> bool {
        scene
            .redis
            .connection()
            .getbit(scene.key("completed"), self.job as usize)
            .expect("an answer")
    }

    /// Whether somebody else has the job now, or has completed it.
    fn is_over(&self, scene: &Scene) -> bool {
        let claim: Option<String> = scene
            .redis
            .connection()
            .hget(scene.key("claims"), self.job)
            .expect("an answer");
        claim.is_none_or(|claim| {
            claim.contains(" live ") && !claim.starts_with(&format!("{} ", self.fence))
        })
    }
}

/// A worker that was stopped at some moment of a job of its.
fn stopped_with_a_job(lab: &mut Lab, scene: &mut Scene) -> (Worker, Claim) {
    loop {
        let worker = scene.worker(&[]);
        wait_for("claim", || Claim::of(&worker.name, scene));
        sleep(lab.moment(Duration::from_millis(30)));
        worker.stop();
        // What it had sent is in effect now, before the next look.
        let _ = Claim::of(&worker.name, scene);
        // Without one it was between two jobs.
        if let Some(claim) = Claim::of(&worker.name, scene) {
            return (worker, claim);
        }
        worker.kill();
    }
}

/// What a coordinator does that sees its worker die; an empty name stands for all.
fn declare_dead<'a>(scene: &Scene, workers: impl Iterator<Item = &'a str>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let client = QueueClient::connect(&scene.redis.url())
            .await
            .expect("a connection");
        let queue = client.sweep(&scene.sweep.clone().try_into().expect("a sweep's id"));
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
fn refusals(scene: &Scene) -> Vec<String> {
    let events = scene.stream("events", &mut scene.redis.connection());
    let refused = events
        .into_iter()
        .filter(|event| event["what"] == "refused");
    refused
        .map(|mut event| event.remove("detail").unwrap_or_default())
        .collect()
}
