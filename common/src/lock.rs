//! Locks on files that only one program at a time may write.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The time that a lock may outlive its holder. A child process inherits the open files of its
/// parent until its own program begins. If the parent exits or closes a file in between, that file
/// stays locked until then.
const STALE_LOCK_TIME: Duration = Duration::from_secs(1);

/// Takes the lock of `file`, and waits up to one second for it.
///
/// # Errors
/// [`TryLockError::WouldBlock`] when another program holds the lock.
pub fn lock(file: &File) -> Result<(), TryLockError> {
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if began.elapsed() < STALE_LOCK_TIME => {
                sleep(STALE_LOCK_TIME / 50);
            }
            tried => return tried,
        }
    }
}

/// Takes the lock of `file`, which belongs to `path`. On a file system without locks, which some
/// clusters have, logs a warning with `advice` and succeeds.
///
/// # Errors
/// [`TryLockError::WouldBlock`] when another program holds the lock.
pub fn lock_where_supported(file: &File, path: &Path, advice: &str) -> Result<(), TryLockError> {
    match lock(file) {
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
            let path = path.display();
            tracing::warn!("{path}: the file system does not support locks; {advice}");
            Ok(())
        }
        locked => locked,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    fn open(path: &Path) -> File {
        File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap()
    }

    #[test]
    fn a_lock_is_waited_for_if_it_is_released_within_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let holder = open(&path);
        lock(&holder).unwrap();
        assert!(matches!(lock(&open(&path)), Err(TryLockError::WouldBlock)));
        let (waiting, waits) = mpsc::channel();
        let second = open(&path);
        let waiter = thread::spawn(move || {
            waiting.send(()).unwrap();
            lock(&second).map(|()| second)
        });
        waits.recv().unwrap();
        drop(holder);
        assert!(waiter.join().unwrap().is_ok());
    }
}
