//! Settings of a server that matter to a queue and that INFO does not tell.

use std::collections::HashMap;
use std::sync::LazyLock;

use redis::{Cmd, Script};

/// The parts of a server's configuration that decide what a crash or a full disk costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// When the append-only file is synced.
    pub appendfsync: String,
    /// When snapshots are made; empty for never.
    pub save: String,
    /// Whether nothing may be written after a snapshot that failed.
    pub stops_writes: bool,
}

/// Whether the user may ask for them. Asking all the same would leave a line in the server's log of
/// refusals.
pub(super) static MAY_READ: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "#!lua flags=no-writes,allow-oom,allow-stale\n\
         return { redis.acl_check_cmd('CONFIG', 'GET', 'appendfsync') and 1 or 0 }",
    )
});

/// Asks for them.
pub(super) fn request() -> Cmd {
    redis::cmd("CONFIG")
        .arg("GET")
        .arg("appendfsync")
        .arg("save")
        .arg("stop-writes-on-bgsave-error")
        .to_owned()
}

impl Settings {
    /// Reads the answer; none when it lacks one.
    pub(super) fn read(mut answer: HashMap<String, String>) -> Option<Self> {
        Some(Self {
            appendfsync: answer.remove("appendfsync")?,
            save: answer.remove("save")?,
            stops_writes: answer.remove("stop-writes-on-bgsave-error")? == "yes",
        })
    }
}
