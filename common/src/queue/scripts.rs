//! The transitions as Lua: each one script, checked before it writes, harmless when repeated.
//!
//! A script with a shebang is refused as a whole when Redis is over `maxmemory`, unless it is
//! flagged `allow-oom`. Those that bring in data are not; those that end work or free memory are,
//! so that leases outlive a full server and collecting empties it.

use std::sync::LazyLock;

use redis::Script;

/// A script and what errors call it.
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
pub(super) static PLAN: Transition = transition!("plan", "");
pub(super) static MARK_DONE: Transition = transition!("mark_done", "allow-oom");
pub(super) static SETTLE: Transition = transition!("settle", "allow-oom");
pub(super) static REOPEN: Transition = transition!("reopen", "allow-oom");
pub(super) static MEND: Transition = transition!("mend", "allow-oom");

pub(super) static CLAIM: Transition = transition!("claim", "");
pub(super) static RECORD: Transition = transition!("record", "");
pub(super) static RENEW: Transition = transition!("renew", "allow-oom");
pub(super) static COMPLETE: Transition = transition!("complete", "allow-oom");
pub(super) static RELEASE: Transition = transition!("release", "allow-oom");
pub(super) static FAIL: Transition = transition!("fail", "allow-oom");
pub(super) static LAPSE: Transition = transition!("lapse", "allow-oom");
pub(super) static LEAVE: Transition = transition!("leave", "allow-oom");
pub(super) static OVER: Transition = transition!("over", "allow-oom");
pub(super) static REAP: Transition = transition!("reap", "allow-oom");

pub(super) static RETRY: Transition = transition!("retry", "allow-oom");
pub(super) static CANCEL: Transition = transition!("cancel", "allow-oom");
pub(super) static LOCK: Transition = transition!("lock", "allow-oom");
pub(super) static UNLOCK: Transition = transition!("unlock", "allow-oom");
pub(super) static TRIM: Transition = transition!("trim", "allow-oom");

pub(super) static PROGRESS: Transition = transition!("progress", "no-writes");
pub(super) static WORKERS: Transition = transition!("workers", "no-writes");
pub(super) static INSPECT: Transition = transition!("inspect", "no-writes");
