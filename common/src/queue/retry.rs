//! Classifies failed requests: which may succeed when they are repeated, and after which pause.

use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;
use redis::{ErrorKind, RedisError, ServerErrorKind};
use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Time before the first warning: a server that was away for a moment is not worth one.
const QUIET: Duration = Duration::from_secs(2);
/// Time between two warnings about the same request.
const WARN_AGAIN: Duration = Duration::from_secs(60);
/// Largest number of redirections that one request follows without a pause.
const REDIRECTIONS: u32 = 5;

/// Codes of errors that end by themselves: the server starts, is full, cannot write to its disk,
/// is not the master at the moment, or is moving the slot.
const TRANSIENT: [&str; 13] = [
    "LOADING",
    "BUSY",
    "OOM",
    "MISCONF",
    "READONLY",
    "MASTERDOWN",
    "NOREPLICAS",
    "TRYAGAIN",
    "ASK",
    "MOVED",
    "CLUSTERDOWN",
    "NOSCRIPT",
    "UNBLOCKED",
];

/// Returns true if the same request may succeed later.
pub(super) fn is_transient(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse => true,
        _ => error.code().is_some_and(|code| TRANSIENT.contains(&code)),
    }
}

/// Returns true if the connection must not be used again: it failed, stopped answering, or leads
/// to a server that is no longer the master.
pub(super) fn spoils_connection(error: &RedisError) -> bool {
    use ServerErrorKind::{MasterDown, ReadOnly};
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse => true,
        ErrorKind::Server(kind) => matches!(kind, ReadOnly | MasterDown),
        _ => false,
    }
}

/// Returns true if another node of the cluster serves the slot.
pub(super) fn is_moved(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::Moved)
}

/// Returns true if the server does not accept the user or the password.
pub(super) fn is_unauthenticated(error: &RedisError) -> bool {
    matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
        || error.kind() == ErrorKind::AuthenticationFailed
}

/// Returns true if an access list forbids the request, or a command in its script.
pub(super) fn is_forbidden(error: &RedisError) -> bool {
    let in_script = |text: &str| text.contains("user executing the script can't");
    error.code() == Some("NOPERM") || error.detail().is_some_and(in_script)
}

/// Pauses between attempts: each is longer than the one before by a factor, up to a limit.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    next: Duration,
    factor: u32,
    longest: Duration,
}

impl Backoff {
    /// A backoff that begins with the pause `first`.
    #[must_use]
    pub const fn new(first: Duration, factor: u32, longest: Duration) -> Self {
        Self {
            next: first,
            factor,
            longest,
        }
    }

    /// Returns the pause that is due now, and lengthens the next one.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = self.longest.min(pause * self.factor);
        pause
    }
}

/// The next step after a failed attempt.
pub(super) enum RetryStep {
    /// Repeat at once: the failure named the right node.
    Redirect,
    /// Repeat after this pause.
    Wait(Duration),
    /// Report the failure.
    GiveUp,
}

/// The state of one request that is repeated until a deadline.
pub(super) struct Retries<'a> {
    server: &'a str,
    deadline: Instant,
    backoff: Backoff,
    redirections: u32,
    warn_at: Instant,
}

impl<'a> Retries<'a> {
    /// Begins a request to `server` that is repeated for as long as `patience`.
    pub(super) fn new(server: &'a str, patience: Duration) -> Self {
        let now = Instant::now();
        Self {
            server,
            deadline: now + patience,
            backoff: Backoff::new(FIRST_PAUSE, 2, LONGEST_PAUSE),
            redirections: 0,
            warn_at: now + QUIET,
        }
    }

    /// Decides what follows a failed attempt.
    pub(super) fn after(&mut self, cause: &RedisError) -> RetryStep {
        if is_moved(cause) && self.redirections < REDIRECTIONS {
            self.redirections += 1;
            return RetryStep::Redirect;
        }
        let pause = self.backoff.pause();
        if !is_transient(cause) || Instant::now() + pause > self.deadline {
            return RetryStep::GiveUp;
        }
        self.log(cause);
        RetryStep::Wait(jittered(pause))
    }

    fn log(&mut self, cause: &RedisError) {
        tracing::debug!(server = self.server, %cause, "repeating a request");
        if Instant::now() >= self.warn_at {
            tracing::warn!("{} failed to answer; retrying: {cause}", self.server);
            self.warn_at = Instant::now() + WARN_AGAIN;
        }
    }
}

/// Returns at least half the pause, at random, so that workers do not all return at once.
fn jittered(pause: Duration) -> Duration {
    let random = SysRng.try_next_u32().unwrap_or(u32::MAX);
    pause.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_by_its_factor_up_to_the_longest() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, 2, 5 * second);
        let pauses: Vec<u64> = (0..5).map(|_| backoff.pause().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 5, 5]);
    }
}
