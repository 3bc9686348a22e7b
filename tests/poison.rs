//! A proxy in front of Redis that simulates poison samples. It kills every worker that sends the
//! record of such a sample with SIGKILL. For the queue, this equals a sample that crashes its
//! worker on each attempt, at any point of its work. The programs contain no code for this
//! simulation.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{UnixListener, UnixStream};

/// A running proxy. It runs until the process of the test ends.
pub struct Poison {
    socket: PathBuf,
    kills: Arc<AtomicU32>,
}

/// The server and the samples for which a connection kills its worker.
#[derive(Clone)]
struct PoisonRule {
    server: PathBuf,
    /// The beginnings of the records that kill their worker.
    fatal: Arc<Vec<Vec<u8>>>,
    kills: Arc<AtomicU32>,
}

impl Poison {
    /// Listens at `socket` and forwards to the Redis at `server`. `samples` are the variants and
    /// indices of the poison samples.
    ///
    /// # Panics
    /// Panics if the socket cannot be opened.
    #[must_use]
    pub fn before(server: &Path, socket: &Path, samples: &[(&str, u64)]) -> Self {
        let kills = Arc::<AtomicU32>::default();
        let beginning = |(variant, index): &(&str, u64)| {
            format!("\"variant\":\"{variant}\",\"index\":{index},").into()
        };
        let fatal = Arc::new(samples.iter().map(beginning).collect());
        let rule = PoisonRule {
            server: server.to_owned(),
            fatal,
            kills: Arc::clone(&kills),
        };
        let listener = std::os::unix::net::UnixListener::bind(socket).expect("a socket");
        listener
            .set_nonblocking(true)
            .expect("a listener for tokio");
        thread::spawn(move || serve(listener, &rule));
        Self {
            socket: socket.to_owned(),
            kills,
        }
    }

    /// Returns the address of the proxy.
    #[must_use]
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Returns the number of workers that were killed.
    #[must_use]
    pub fn kills(&self) -> u32 {
        self.kills.load(Ordering::SeqCst)
    }
}

fn serve(listener: std::os::unix::net::UnixListener, rule: &PoisonRule) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let listener = UnixListener::from_std(listener).expect("a listener");
        while let Ok((client, _)) = listener.accept().await {
            // An error of either connection closes both. The programs detect the closed connection.
            tokio::spawn(pass(client, rule.clone()));
        }
    });
}

/// Forwards bytes in both directions until the client sends a fatal record.
async fn pass(client: UnixStream, rule: PoisonRule) -> std::io::Result<()> {
    let pid = client.peer_cred()?.pid();
    let server = UnixStream::connect(&rule.server).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
    let longest = rule.fatal.iter().map(Vec::len).max().unwrap_or(0);
    // The last bytes are kept, because a record may arrive in several reads.
    let mut recent = Vec::new();
    let mut buffer = vec![0; 65_536];
    loop {
        let length = from_client.read(&mut buffer).await?;
        if length == 0 {
            answers.abort();
            return Ok(());
        }
        recent.extend_from_slice(&buffer[..length]);
        if rule
            .fatal
            .iter()
            .any(|fatal| recent.windows(fatal.len()).any(|part| part == fatal))
        {
            let pid = pid.expect("the system names the process at the other end");
            rule.kills.fetch_add(1, Ordering::SeqCst);
            Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .status()?;
            answers.abort();
            return Ok(());
        }
        recent.drain(..recent.len().saturating_sub(longest));
        to_server.write_all(&buffer[..length]).await?;
    }
}
