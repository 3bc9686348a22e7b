//! Fuzzes the answers of a Redis server that is broken, of another version, or hostile.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ddrs_common::domain::{JobId, SweepId};
use ddrs_common::queue::{ClaimToken, Fence, Lease, QueueClient, QueueError, SweepQueue};
use proptest::prelude::*;

use crate::fuzz;

/// The answer to every command that is not part of connecting.
type Answer = Arc<Mutex<Vec<u8>>>;

/// Reads one command, which is an array of texts.
fn command(stream: &mut BufReader<UnixStream>) -> Option<Vec<String>> {
    let mut number = |mark: char| {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        line.trim_end().strip_prefix(mark)?.parse::<usize>().ok()
    };
    let count = number('*')?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let mut bytes = vec![0; line.trim_end().strip_prefix('$')?.parse::<usize>().ok()? + 2];
        stream.read_exact(&mut bytes).ok()?;
        bytes.truncate(bytes.len() - 2);
        words.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    Some(words)
}

fn serve(stream: UnixStream, answer: &Answer) {
    let mut out = stream.try_clone().unwrap();
    let mut stream = BufReader::new(stream);
    while let Some(words) = command(&mut stream) {
        let bytes = match words[0].as_str() {
            "CLIENT" | "HELLO" | "SELECT" => b"+OK\r\n".to_vec(),
            "PING" => b"+PONG\r\n".to_vec(),
            _ => answer.lock().unwrap().clone(),
        };
        if out.write_all(&bytes).is_err() {
            return;
        }
    }
}

/// Returns a strategy for answers in the protocol of Redis: words that the scripts return, numbers
/// of any size, null, errors, and arrays of these.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    let words = concat!(
        "job|empty|finished|cancelled|refused|stored|lost|active|pending|leased|dead|held|record|",
        "5-1|[0-9]{1,20}|-[0-9]{1,5}|\\PC{0,8}",
    );
    let numbers = prop_oneof![0..10_i64, any::<i64>()];
    let leaf = prop_oneof![
        3 => words.prop_map(|word| format!("${}\r\n{word}\r\n", word.len()).into_bytes()),
        3 => numbers.prop_map(|number| format!(":{number}\r\n").into_bytes()),
        1 => Just(b"$-1\r\n".to_vec()),
        1 => Just(b"+OK\r\n".to_vec()),
    ];
    let tree = leaf.prop_recursive(3, 40, 12, |inner| {
        prop::collection::vec(inner, 0..12).prop_map(|parts| {
            [format!("*{}\r\n", parts.len()).into_bytes(), parts.concat()].concat()
        })
    });
    let error = "[A-Z]{2,8} \\PC{0,20}".prop_map(|text| format!("-{text}\r\n").into_bytes());
    prop_oneof![8 => tree, 1 => error]
}

/// Calls every function of a sweep queue that sends a request.
async fn ask_all(queue: &SweepQueue) -> Vec<Result<(), QueueError>> {
    let lease = Lease {
        job: JobId(1),
        fence: Fence(1),
        token: ClaimToken::random(),
    };
    vec![
        queue
            .worker("w")
            .claim(lease.token)
            .await
            .map(|claim| drop(format!("{claim:?}"))),
        queue.worker("w").record(&lease, 1, "{}").await.map(|_| ()),
        queue.worker("w").complete(&lease).await.map(|_| ()),
        queue.worker("w").renew(&lease).await.map(|_| ()),
        queue.worker("w").release(&lease).await.map(|_| ()),
        queue.worker("w").fail(&lease, "x").await.map(|_| ()),
        queue.admin().requeue_expired(1).await.map(|_| ()),
        queue.status().progress().await.map(|progress| {
            let _ = progress.ended();
        }),
        queue.status().workers().await.map(|_| ()),
        queue.status().done_bits().await.map(|bits| {
            let _ = bits.iter().count();
        }),
        queue.spec().await.map(|_| ()),
        queue.status().dead_jobs().await.map(|_| ()),
        queue.status().job(JobId(1)).await.map(|_| ()),
        queue.status().job_events(JobId(1)).await.map(|_| ()),
        queue.collector("me").records(None, 10).await.map(|_| ()),
        queue
            .collector("o")
            .lock(Duration::from_secs(1))
            .await
            .map(|_| ()),
    ]
}

#[test]
fn no_answer_of_a_redis_makes_a_program_panic() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    let reply = Answer::default();
    let served = Arc::clone(&reply);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let served = Arc::clone(&served);
            std::thread::spawn(move || serve(stream, &served));
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let url = format!("unix://{}", socket.display());
    let client = runtime
        .block_on(QueueClient::reach(&url))
        .unwrap()
        .with_patience(Duration::ZERO);
    let sweep: SweepId = "0123456789abcdef".parse().unwrap();
    fuzz(&answer(), |answer| {
        *reply.lock().unwrap() = answer;
        let (answers, info) = runtime.block_on(async {
            let answers = ask_all(&client.sweep(&sweep)).await;
            (
                answers,
                client
                    .servers()
                    .await
                    .map(|servers| servers.iter().all(|(_, info)| info.check().is_ok())),
            )
        });
        for error in answers
            .into_iter()
            .filter_map(Result::err)
            .chain(info.err())
        {
            prop_assert!(!error.to_string().is_empty());
        }
        Ok(())
    });
}
