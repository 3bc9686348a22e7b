//! Settings that decide what a crash or a full disk costs, and that INFO does not show.

use std::collections::HashMap;
use std::sync::LazyLock;

use redis::{Cmd, Script};

/// The settings of a server's append-only file and snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistenceSettings {
    /// When the append-only file is synced.
    pub appendfsync: String,
    /// When snapshots are made; empty for never.
    pub save: String,
    /// True if a failed snapshot stops all writes.
    pub stops_writes: bool,
}

/// Returns 1 if the user may read these settings. A CONFIG that is forbidden would leave a line in
/// the server's log of refusals.
pub(super) static MAY_READ: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "#!lua flags=no-writes,allow-oom,allow-stale\n\
         return { redis.acl_check_cmd('CONFIG', 'GET', 'appendfsync') and 1 or 0 }",
    )
});

/// Returns the command that reads these settings.
pub(super) fn request() -> Cmd {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg("appendfsync").arg("save");
    command.arg("stop-writes-on-bgsave-error");
    command
}

impl PersistenceSettings {
    /// Reads the answer; `None` when it lacks a setting.
    pub(super) fn read(mut answer: HashMap<String, String>) -> Option<Self> {
        Some(Self {
            appendfsync: answer.remove("appendfsync")?,
            save: answer.remove("save")?,
            stops_writes: answer.remove("stop-writes-on-bgsave-error")? == "yes",
        })
    }
}
