//! The transitions as Lua scripts. Each checks before it writes, and is harmless when repeated.
//!
//! Redis refuses a script with a shebang as a whole when it is over `maxmemory`, unless the script
//! is flagged `allow-oom`. Scripts that bring in data do not have the flag. Scripts that end work
//! or free memory have it, so that leases outlive a full server and collecting empties it.

use std::sync::LazyLock;

use redis::Script;

/// A script, and its name in errors.
pub(super) struct Transition {
    pub(super) name: &'static str,
    pub(super) script: LazyLock<Script>,
}

macro_rules! transition {
    ($name:literal, $flags:literal) => {
        Transition {
            name: $name,
            script: LazyLock::new(|| {
                Script::new(concat!(
                    "#!lua flags=",
                    $flags,
                    "\n",
                    include_str!("lua/prelude.lua"),
                    include_str!(concat!("lua/", $name, ".lua"))
                ))
            }),
        }
    };
}

pub(super) static SUBMIT: Transition = transition!("submit", "");
pub(super) static ENQUEUE_JOBS: Transition = transition!("enqueue_jobs", "");
pub(super) static MARK_DONE: Transition = transition!("mark_done", "allow-oom");
pub(super) static COMPLETE_DONE_JOBS: Transition = transition!("complete_done_jobs", "allow-oom");
pub(super) static REOPEN: Transition = transition!("reopen", "allow-oom");
pub(super) static REQUEUE_ORPHANS: Transition = transition!("requeue_orphans", "allow-oom");

pub(super) static CLAIM: Transition = transition!("claim", "");
pub(super) static RECORD: Transition = transition!("record", "");
pub(super) static RENEW: Transition = transition!("renew", "allow-oom");
pub(super) static COMPLETE: Transition = transition!("complete", "allow-oom");
pub(super) static RELEASE: Transition = transition!("release", "allow-oom");
pub(super) static FAIL: Transition = transition!("fail", "allow-oom");
pub(super) static EXPIRE_LEASES: Transition = transition!("expire_leases", "allow-oom");
pub(super) static DEREGISTER: Transition = transition!("deregister", "allow-oom");
pub(super) static IS_FINISHED: Transition = transition!("is_finished", "allow-oom");
pub(super) static REQUEUE_EXPIRED: Transition = transition!("requeue_expired", "allow-oom");

pub(super) static RETRY: Transition = transition!("retry", "allow-oom");
pub(super) static CANCEL: Transition = transition!("cancel", "allow-oom");
pub(super) static LOCK: Transition = transition!("lock", "allow-oom");
pub(super) static UNLOCK: Transition = transition!("unlock", "allow-oom");
pub(super) static TRIM: Transition = transition!("trim", "allow-oom");

pub(super) static PROGRESS: Transition = transition!("progress", "no-writes");
pub(super) static WORKERS: Transition = transition!("workers", "no-writes");
pub(super) static INSPECT: Transition = transition!("inspect", "no-writes");
