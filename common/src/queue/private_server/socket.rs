//! The socket of a private server: its place, and requests that need no client.
//!
//! The system limits a socket's path to 107 bytes. Where the folder's own path is too long, the
//! socket lies in a short temporary folder and the folder has a link to it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::queue::ClaimToken;

/// Longest path of a socket. Redis truncates longer ones silently, below the system's limit.
const MAX_PATH: usize = 103;
const NAME: &str = "redis.sock";
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Removes what an earlier server left, and returns the place for the socket. Only for the holder
/// of the lock.
pub(super) fn prepare(dir: &Path) -> io::Result<PathBuf> {
    remove(dir);
    let socket = dir.join(NAME);
    if socket.as_os_str().len() <= MAX_PATH {
        return Ok(socket);
    }
    // A new name with 128 random bits, accessible to this user only: no other user can have put a
    // socket there.
    let short = Path::new("/tmp").join(format!("ddrs-{}", ClaimToken::random()));
    DirBuilder::new().mode(0o700).create(&short)?;
    let target = short.join(NAME);
    symlink(&target, &socket)?;
    Ok(target)
}

/// Returns the place of the socket of a server that runs already.
pub(super) fn existing(dir: &Path) -> PathBuf {
    let socket = dir.join(NAME);
    fs::read_link(&socket).unwrap_or(socket)
}

/// Removes the socket of a server that has ended.
pub(super) fn remove(dir: &Path) {
    let socket = dir.join(NAME);
    if let Ok(target) = fs::read_link(&socket) {
        fs::remove_file(&target).ok();
        target.parent().map(fs::remove_dir);
    }
    fs::remove_file(&socket).ok();
}

/// Returns the address of a socket. Characters with a meaning in addresses are written as %XX.
pub(super) fn url(socket: &Path) -> String {
    let bytes = socket.as_os_str().as_bytes();
    bytes
        .iter()
        .fold(String::from("unix://"), |url, &byte| url + &escaped(byte))
}

fn escaped(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"/._-~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// Returns true if a server answers that has loaded its data.
pub(super) async fn is_ready(socket: &Path) -> bool {
    ask(socket, "PING")
        .await
        .is_ok_and(|answer| answer == "+PONG")
}

/// Sends one word and returns the line that the server answers; an empty one when the connection is
/// closed.
pub(super) async fn ask(socket: &Path, word: &str) -> io::Result<String> {
    timeout(ANSWER_TIMEOUT, exchange(socket, word))
        .await
        .unwrap_or_else(|elapsed| Err(elapsed.into()))
}

async fn exchange(socket: &Path, word: &str) -> io::Result<String> {
    let mut stream = BufReader::new(UnixStream::connect(socket).await?);
    stream.write_all(format!("{word}\r\n").as_bytes()).await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    Ok(line.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_odd_folder_names() {
        assert_eq!(
            url(Path::new("/a b/é?#%/redis.sock")),
            "unix:///a%20b/%C3%A9%3F%23%25/redis.sock"
        );
    }
}
