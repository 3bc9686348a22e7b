//! The version of a server and the settings that decide if it can hold a queue.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use super::persistence::PersistenceSettings;
use crate::domain::InvalidValue;

/// A version of the Redis protocol and commands. Valkey names the Redis version that it is
/// compatible with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
}

impl ServerVersion {
    /// The oldest version that runs the queue's scripts: it introduced flags in shebangs and bit
    /// ranges.
    pub const OLDEST: Self = Self {
        major: 7,
        minor: 0,
        patch: 0,
    };
}

impl FromStr for ServerVersion {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let numbers: Result<Vec<u32>, _> = text.split('.').take(3).map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[major, minor, patch]) => Ok(Self {
                major,
                minor,
                patch,
            }),
            _ => Err(InvalidValue(format!("not a version: {text:?}"))),
        }
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// The result of a server's last snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastSnapshot {
    /// It was written, or the server has made no snapshot yet.
    Fine,
    /// It failed, which may stop all writes.
    Failed,
}

/// A server's version and the settings that matter to a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// The Redis version.
    pub version: ServerVersion,
    /// True for Valkey.
    pub valkey: bool,
    /// The limit of its memory in bytes; `None` for no limit.
    pub maxmemory: Option<u64>,
    /// The rule by which it removes keys at that limit.
    pub maxmemory_policy: String,
    /// True if it keeps an append-only file.
    pub aof_enabled: bool,
    /// The result of the last snapshot.
    pub last_snapshot: LastSnapshot,
    /// The settings that INFO does not show; `None` where the user may not read them.
    pub settings: Option<PersistenceSettings>,
    /// True for a node of a cluster.
    pub cluster: bool,
}

impl ServerInfo {
    /// Reads the answer to INFO.
    pub(super) fn parse(info: &str) -> Result<Self, InvalidValue> {
        let fields = InfoFields::of(info);
        Ok(Self {
            version: fields.required("redis_version")?.parse()?,
            valkey: fields.optional("valkey_version").is_some(),
            maxmemory: limit(fields.required("maxmemory")?),
            maxmemory_policy: fields.required("maxmemory_policy")?.to_owned(),
            aof_enabled: fields.required("aof_enabled")? == "1",
            last_snapshot: last_snapshot(fields.optional("rdb_last_bgsave_status")),
            settings: None,
            cluster: fields.required("cluster_enabled")? == "1",
        })
    }

    /// Returns true if the server would remove jobs at the limit of its memory. The volatile-*
    /// policies are harmless: no key of a queue has a time to live.
    #[must_use]
    pub fn evicts(&self) -> bool {
        self.maxmemory_policy.starts_with("allkeys-")
    }

    /// Checks that the server can hold a queue.
    ///
    /// # Errors
    /// The problem, and the setting that solves it.
    pub fn check(&self) -> Result<(), String> {
        if self.version < ServerVersion::OLDEST {
            return Err(format!(
                "it is version {}; {} or newer is needed",
                self.version,
                ServerVersion::OLDEST
            ));
        }
        if self.evicts() {
            return Err(format!(
                "its maxmemory-policy {} would remove jobs when memory runs out; set \
                 `maxmemory-policy noeviction` in its configuration file, or run \
                 `redis-cli config set maxmemory-policy noeviction`",
                self.maxmemory_policy
            ));
        }
        Ok(())
    }
}

/// The fields of an answer to INFO.
struct InfoFields<'a>(HashMap<&'a str, &'a str>);

impl<'a> InfoFields<'a> {
    fn of(info: &'a str) -> Self {
        let lines = info.lines().map(str::trim_end);
        Self(lines.filter_map(|line| line.split_once(':')).collect())
    }

    fn optional(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).copied()
    }

    fn required(&self, name: &str) -> Result<&'a str, InvalidValue> {
        self.optional(name)
            .ok_or_else(|| InvalidValue(format!("INFO does not say {name}")))
    }
}

fn limit(bytes: &str) -> Option<u64> {
    bytes.parse().ok().filter(|&bytes| bytes > 0)
}

fn last_snapshot(status: Option<&str>) -> LastSnapshot {
    if status == Some("err") {
        LastSnapshot::Failed
    } else {
        LastSnapshot::Fine
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn info(version: &str, policy: &str) -> String {
        format!(
            "# Server\r\nredis_version:{version}\r\nexecutable:/usr/bin/redis-server\r\n\r\n\
             # Memory\r\nmaxmemory:0\r\nmaxmemory_policy:{policy}\r\n\
             # Persistence\r\naof_enabled:1\r\n# Cluster\r\ncluster_enabled:0\r\n"
        )
    }

    #[test]
    fn the_answer_to_info_is_read() {
        let server = ServerInfo::parse(&info("7.0.15", "noeviction")).unwrap();
        assert_eq!(
            server.version,
            ServerVersion {
                major: 7,
                minor: 0,
                patch: 15
            }
        );
        assert_eq!(
            (
                server.maxmemory,
                server.aof_enabled,
                server.cluster,
                server.valkey
            ),
            (None, true, false, false)
        );
        assert_eq!(server.check(), Ok(()));
        assert_eq!(server.last_snapshot, LastSnapshot::Fine);
        let failed = info("7.0.15", "noeviction") + "rdb_last_bgsave_status:err\r\n";
        assert!(
            ServerInfo::parse(&failed)
                .is_ok_and(|server| server.last_snapshot == LastSnapshot::Failed)
        );
        let valkey = info("7.2.4", "volatile-lru") + "valkey_version:8.0.1\r\n";
        assert!(
            ServerInfo::parse(&valkey).is_ok_and(|server| server.valkey && server.check().is_ok())
        );
    }

    #[test]
    fn an_old_or_forgetful_server_is_refused_with_the_setting_to_change() {
        for (version, policy, advice) in [
            ("6.2.7", "noeviction", "7.0.0 or newer"),
            ("7.4.0", "allkeys-lfu", "maxmemory-policy noeviction"),
        ] {
            let problem = ServerInfo::parse(&info(version, policy))
                .unwrap()
                .check()
                .unwrap_err();
            assert!(problem.contains(advice), "{problem}");
        }
    }

    #[test]
    fn an_answer_without_a_version_is_no_answer() {
        let problem = ServerInfo::parse("# Server\r\n").unwrap_err();
        assert_eq!(problem.to_string(), "INFO does not say redis_version");
    }
}
