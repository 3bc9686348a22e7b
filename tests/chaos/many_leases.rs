//! A queue far larger than its workers: a hundred thousand leases lapse at once, and twice as many
//! jobs wait. Nothing may take Redis so long that the others stop.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ddrs_common::domain::SweepId;
use ddrs_common::queue::{Claim, ClaimToken, QueueClient, Submission, SweepQueue};
use redis::Commands;

use super::{ChaosContext, Fsync, RedisServer, wait_for};
use crate::TestDir;

const LAPSED: &str = "leases that lapsed at once";
const PENDING: &str = "jobs pending at once";

/// Remember every call that takes a millisecond or more.
const SLOWLOG: [&str; 4] = [
    "--slowlog-log-slower-than",
    "1000",
    "--slowlog-max-len",
    "1000000",
];

/// Leases jobs, loses all their workers at once, reaps them, and looks what became of each job.
/// Times are printed, not judged.
pub(super) fn run(context: &mut ChaosContext) {
    let leased = context.pick(10_000, 100_000);
    let jobs = 2 * leased;
    context.announce(LAPSED, u64::from(leased));
    context.announce(PENDING, u64::from(jobs));
    let dir = TestDir::new();
    let redis = RedisServer::start(&dir.path("redis"), Fsync::EverySecond, &SLOWLOG);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a thread");
    let queue = runtime
        .block_on(QueueClient::connect(&redis.url()))
        .expect("a queue");
    let queue = queue.sweep(&SweepId::from_digest(&[0xc0; 32]));

    let mut timed = Timed::new(&redis);
    runtime.block_on(submit(&queue, jobs));
    timed.show("submitting");
    let progress = runtime
        .block_on(queue.status().progress())
        .expect("progress");
    timed.show("a look at the progress");
    context.count(PENDING, progress.pending);
    runtime.block_on(claim(&queue, 1));
    timed.show("one claim");
    runtime.block_on(claim_at_once(&queue, leased - 1));
    timed.show("all claims");

    let lapsed = runtime
        .block_on(queue.admin().expire_leases(None))
        .expect("lapsed leases");
    timed.show("letting the leases lapse");
    runtime.block_on(claim(&queue, 1));
    timed.show("a claim that also reaps");
    let reaped = runtime
        .block_on(queue.admin().requeue_expired(u64::from(jobs)))
        .expect("reaped jobs");
    timed.show("reaping the rest");
    check(&queue, &mut redis.connection(), jobs);
    let crashes = runtime
        .block_on(queue.status().progress())
        .expect("progress")
        .crashes;
    assert!(
        reaped > 0 && lapsed == u64::from(leased) && crashes == lapsed,
        "{lapsed} lapsed, {crashes} were charged"
    );
    context.count(LAPSED, crashes);
}

async fn submit(queue: &SweepQueue, jobs: u32) {
    let submission = Submission {
        spec: "a many_leases",
        jobs,
        samples: u64::from(jobs),
        variants: 1,
        job_samples: 1,
        lease: Duration::from_secs(3600),
        max_attempts: 5,
    };
    queue
        .submitter()
        .submit(&submission)
        .await
        .expect("a sweep");
}

async fn claim(queue: &SweepQueue, number: u32) {
    let claimed = queue
        .worker(&format!("worker-{number}"))
        .claim(ClaimToken::random())
        .await
        .expect("an answer");
    assert!(matches!(claimed, Claim::Job(_)), "{claimed:?}");
}

/// Claims jobs for so many workers, some of them at a time.
async fn claim_at_once(queue: &SweepQueue, count: u32) {
    let clients = 50;
    let mut claims = tokio::task::JoinSet::new();
    for client in 0..clients {
        let queue = queue.clone();
        claims.spawn(async move {
            for number in (client..count).step_by(clients as usize) {
                claim(&queue, number).await;
            }
        });
    }
    claims.join_all().await;
}

/// That every job is in one place: one with the last claim, all others pending, none twice.
fn check(queue: &SweepQueue, connection: &mut redis::Connection, jobs: u32) {
    let key = |name: &str| format!("ddrs:{{{}}}:{name}", queue.id());
    let pending: Vec<u32> = connection.lrange(key("pending"), 0, -1).expect("an answer");
    let leased: Vec<u32> = connection.zrange(key("leases"), 0, -1).expect("an answer");
    let tokens: u64 = connection.hlen(key("tokens")).expect("an answer");
    assert_eq!((leased.len(), tokens), (1, 1));
    let all: BTreeSet<u32> = pending.iter().chain(&leased).copied().collect();
    assert_eq!(
        (pending.len() + 1, all.len()),
        (jobs as usize, jobs as usize),
        "no job is lost or there twice"
    );
}

/// Times of steps, of their longest call, and of another client meanwhile.
struct Timed {
    connection: redis::Connection,
    probe: LatencyProbe,
    since: Instant,
}

impl Timed {
    fn new(redis: &RedisServer) -> Self {
        let probe = LatencyProbe::start(redis.connection());
        let mut timed = Self {
            connection: redis.connection(),
            probe,
            since: Instant::now(),
        };
        timed.begin();
        timed
    }

    /// Prints what the step before took.
    fn show(&mut self, step: &str) {
        let took = self.since.elapsed();
        let waited = self.probe.longest();
        let longest = longest_call(&mut self.connection);
        eprintln!(
            "{step}: {took:.1?}; its longest call {longest:.1?}; a probe waited {waited:.1?} at most"
        );
        self.begin();
    }

    fn begin(&mut self) {
        redis::cmd("SLOWLOG")
            .arg("RESET")
            .exec(&mut self.connection)
            .expect("an answer");
        self.probe.longest();
        self.since = Instant::now();
    }
}

/// The longest of the calls that took a millisecond or more.
fn longest_call(connection: &mut redis::Connection) -> Duration {
    let calls: Vec<Vec<redis::Value>> = redis::cmd("SLOWLOG")
        .arg("GET")
        .arg(-1)
        .query(connection)
        .expect("an answer");
    let micros = calls
        .iter()
        .map(|call| redis::from_redis_value_ref(&call[2]).expect("microseconds"));
    Duration::from_micros(micros.max().unwrap_or(0))
}

/// Another client, which asks something small again and again, and must always be answered.
struct LatencyProbe {
    /// Microseconds.
    longest: Arc<AtomicU64>,
    /// How often it was answered.
    answers: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LatencyProbe {
    fn start(mut connection: redis::Connection) -> Self {
        let (longest, answers, stop) =
            <(Arc<AtomicU64>, Arc<AtomicU64>, Arc<AtomicBool>)>::default();
        let (kept, counted, stopped) = (
            Arc::clone(&longest),
            Arc::clone(&answers),
            Arc::clone(&stop),
        );
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let asked = Instant::now();
                redis::cmd("PING").exec(&mut connection).expect("an answer");
                kept.fetch_max(asked.elapsed().as_micros() as u64, Ordering::Relaxed);
                counted.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self {
            longest,
            answers,
            stop,
            thread: Some(thread),
        }
    }

    /// The longest wait since this was asked last, the one in progress included.
    fn longest(&self) -> Duration {
        let answers = self.answers.load(Ordering::Relaxed);
        wait_for("answer to the probe", || {
            (self.answers.load(Ordering::Relaxed) > answers).then_some(())
        });
        Duration::from_micros(self.longest.swap(0, Ordering::Relaxed))
    }
}

impl Drop for LatencyProbe {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(
            std::thread::panicking() || !matches!(ended, Some(Err(_))),
            "redis left the probe without an answer"
        );
    }
}
