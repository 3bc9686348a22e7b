//! Samples that kill their workers: a proxy before Redis that ends, with SIGKILL, every worker that
//! brings the record of one of them. To the queue that is a sample that kills its worker each time,
//! after any amount of work, whatever else the worker had in hand; to the worker it is a death
//! without notice. Nothing of the programs is made for it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{UnixListener, UnixStream};

/// The proxy. It goes on for as long as the test's process lives.
pub struct Poison {
    socket: PathBuf,
    kills: Arc<AtomicU32>,
}

/// What each connection is held to.
#[derive(Clone)]
struct Rule {
    server: PathBuf,
    /// How the records begin that nobody survives.
    deadly: Arc<Vec<Vec<u8>>>,
    kills: Arc<AtomicU32>,
}

impl Poison {
    /// Listens at `socket` before the Redis at `server`. Deadly are the samples named by variant
    /// and index.
    ///
    /// # Panics
    /// When the socket cannot be had.
    #[must_use]
    pub fn before(server: &Path, socket: &Path, samples: &[(&str, u64)]) -> Self {
        let kills = Arc::<AtomicU32>::default();
        let beginning = |(variant, index): &(&str, u64)| {
            format!("\"variant\":\"{variant}\",\"index\":{index},").into()
        };
        let deadly = Arc::new(samples.iter().map(beginning).collect());
        let rule = Rule {
            server: server.to_owned(),
            deadly,
            kills: Arc::clone(&kills),
        };
        let listener =
            std::os::unix::net::UnixListener::bind(socket).expect("a socket of the test's own");
        listener
            .set_nonblocking(true)
            .expect("a listener for tokio");
        thread::spawn(move || serve(listener, &rule));
        Self {
            socket: socket.to_owned(),
            kills,
        }
    }

    /// The address that is given to programs.
    #[must_use]
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// How many workers were killed.
    #[must_use]
    pub fn kills(&self) -> u32 {
        self.kills.load(Ordering::SeqCst)
    }
}

fn serve(listener: std::os::unix::net::UnixListener, rule: &Rule) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let listener = UnixListener::from_std(listener).expect("a listener");
        while let Ok((client, _)) = listener.accept().await {
            // An end on either side ends both; the programs notice by themselves.
            tokio::spawn(pass(client, rule.clone()));
        }
    });
}

/// Passes bytes both ways until a deadly record comes.
async fn pass(client: UnixStream, rule: Rule) -> std::io::Result<()> {
    let pid = client.peer_cred()?.pid();
    let server = UnixStream::connect(&rule.server).await?;
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let answers = tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
    let longest = rule.deadly.iter().map(Vec::len).max().unwrap_or(0);
    // What was read last: a record may come in pieces.
    let (mut seen, mut buffer) = (Vec::new(), vec![0; 65_536]);
    loop {
        let length = from_client.read(&mut buffer).await?;
        if length == 0 {
            answers.abort();
            return Ok(());
        }
        seen.extend_from_slice(&buffer[..length]);
        if rule
            .deadly
            .iter()
            .any(|deadly| seen.windows(deadly.len()).any(|part| part == deadly))
        {
            let pid = pid.expect("the system names the process at the other end");
            rule.kills.fetch_add(1, Ordering::SeqCst);
            Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .status()?;
            answers.abort();
            return Ok(());
        }
        seen.drain(..seen.len().saturating_sub(longest));
        to_server.write_all(&buffer[..length]).await?;
    }
}
