//! Locks of files that one program at a time may write.

use std::fs::{File, TryLockError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a lock may be held by nobody. A process that is being started has, until its program
/// begins, all that its parent has open; where the parent ends or closes a file meanwhile, that
/// file stays locked for as long.
const MOMENT: Duration = Duration::from_secs(1);

/// Takes the lock of `file`, after at most a moment.
///
/// # Errors
/// [`TryLockError::WouldBlock`] when another program keeps it; what the file system says.
pub fn lock(file: &File) -> Result<(), TryLockError> {
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if began.elapsed() < MOMENT => sleep(MOMENT / 50),
            tried => return tried,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn a_lock_that_is_given_back_in_a_moment_is_waited_for_and_another_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            File::options()
                .create(true)
                .append(true)
                .open(folder.path().join("lock"))
                .unwrap()
        };
        let holder = open();
        lock(&holder).unwrap();
        assert!(matches!(lock(&open()), Err(TryLockError::WouldBlock)));
        let (waiting, waits) = mpsc::channel();
        let second = open();
        let waiter = thread::spawn(move || {
            waiting.send(()).unwrap();
            lock(&second).map(|()| second)
        });
        waits.recv().unwrap();
        drop(holder);
        assert!(waiter.join().unwrap().is_ok());
    }
}
