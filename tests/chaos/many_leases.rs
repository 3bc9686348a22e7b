//! Lets 100,000 leases expire at once in a queue of 200,000 jobs. No call may occupy Redis for so
//! long that other clients lose their connection.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ddrs_common::domain::SweepId;
use ddrs_common::queue::{ClaimReply, ClaimToken, QueueClient, Submission, SweepQueue};
use redis::Commands;

use super::{ChaosContext, Fsync, RedisServer, wait_for};
use crate::TestDir;

const EXPIRED: &str = "leases that expired at once";
const PENDING: &str = "jobs pending at once";

/// Makes Redis log every call that takes at least one millisecond.
const SLOWLOG: [&str; 4] = [
    "--slowlog-log-slower-than",
    "1000",
    "--slowlog-max-len",
    "1000000",
];

/// Leases jobs, lets all leases expire at once, requeues the jobs, and checks the place of each
/// job. Times are printed; no assertion depends on them.
pub(super) fn run(context: &mut ChaosContext) {
    let leased = context.pick(10_000, 100_000);
    let jobs = 2 * leased;
    context.announce(EXPIRED, u64::from(leased));
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

    let mut timed = StepTimer::new(&redis);
    runtime.block_on(submit(&queue, jobs));
    timed.show("submitting the jobs");
    let progress = runtime
        .block_on(queue.status().progress())
        .expect("progress");
    timed.show("reading the progress");
    context.count(PENDING, progress.pending);
    runtime.block_on(claim(&queue, 1));
    timed.show("one claim");
    runtime.block_on(claim_at_once(&queue, leased - 1));
    timed.show("all claims");

    let expired = runtime
        .block_on(queue.admin().expire_leases(None))
        .expect("expired leases");
    timed.show("expiring the leases");
    runtime.block_on(claim(&queue, 1));
    timed.show("a claim that also requeues");
    let requeued = runtime
        .block_on(queue.admin().requeue_expired(u64::from(jobs)))
        .expect("requeued jobs");
    timed.show("requeueing the rest");
    check(&queue, &mut redis.connection(), jobs);
    let crashes = runtime
        .block_on(queue.status().progress())
        .expect("progress")
        .crashes;
    assert!(
        requeued > 0 && expired == u64::from(leased) && crashes == expired,
        "{expired} leases expired, but {crashes} crashes were charged"
    );
    context.count(EXPIRED, crashes);
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
    assert!(matches!(claimed, ClaimReply::Job(_)), "{claimed:?}");
}

/// Claims `count` jobs, each for another worker, through 50 concurrent clients.
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

/// Checks that each job is in one place: one job is leased, and all others are pending.
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
        "no job may be lost or present twice"
    );
}

/// Measures each step: its duration, its longest call, and the longest wait of another client.
struct StepTimer {
    connection: redis::Connection,
    probe: LatencyProbe,
    since: Instant,
}

impl StepTimer {
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

    /// Prints the times since the previous step and starts the next one.
    fn show(&mut self, step: &str) {
        let took = self.since.elapsed();
        let waited = self.probe.longest();
        let longest = longest_call(&mut self.connection);
        eprintln!(
            "{step}: {took:.1?}; longest call {longest:.1?}; longest wait of a probe {waited:.1?}"
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

/// Returns the duration of the longest call in the slow log, or zero if the log is empty.
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

/// A client that sends PING repeatedly and expects an answer each time.
struct LatencyProbe {
    shared: Arc<ProbeState>,
    thread: Option<JoinHandle<()>>,
}

/// The state that a probe shares with its thread.
#[derive(Default)]
struct ProbeState {
    /// The longest wait, in microseconds.
    longest: AtomicU64,
    answers: AtomicU64,
    stop: AtomicBool,
}

impl ProbeState {
    fn ping(&self, connection: &mut redis::Connection) {
        while !self.stop.load(Ordering::Relaxed) {
            let asked = Instant::now();
            redis::cmd("PING").exec(connection).expect("an answer");
            let waited = asked.elapsed().as_micros() as u64;
            self.longest.fetch_max(waited, Ordering::Relaxed);
            self.answers.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl LatencyProbe {
    fn start(mut connection: redis::Connection) -> Self {
        let shared = Arc::new(ProbeState::default());
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || of_thread.ping(&mut connection));
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Returns the longest wait since the previous call, including the one in progress.
    fn longest(&self) -> Duration {
        let answers = self.shared.answers.load(Ordering::Relaxed);
        wait_for("answer to the probe", || {
            (self.shared.answers.load(Ordering::Relaxed) > answers).then_some(())
        });
        Duration::from_micros(self.shared.longest.swap(0, Ordering::Relaxed))
    }
}

impl Drop for LatencyProbe {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(
            std::thread::panicking() || !matches!(ended, Some(Err(_))),
            "redis did not answer the probe"
        );
    }
}
