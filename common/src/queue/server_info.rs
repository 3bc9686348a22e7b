//! What a server says about itself, and whether it can hold a queue.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use super::settings::Settings;
use crate::domain::InvalidValue;

/// A version of the Redis protocol and commands. Valkey names the Redis version that it is
/// compatible with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
}

impl Version {
    /// The oldest that runs the queue's scripts: flags in shebangs and bit ranges came with it.
    pub const OLDEST: Self = Self {
        major: 7,
        minor: 0,
        patch: 0,
    };
}

impl FromStr for Version {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let mut numbers = text.split('.').map(str::parse);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) => Ok(Self {
                major,
                minor,
                patch,
            }),
            _ => Err(InvalidValue(format!("not a version: {text:?}"))),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// How a server's last snapshot ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastSnapshot {
    /// It was written, or there was none.
    Fine,
    /// It was not, which may stop all writes.
    Failed,
}

/// A server's version and the settings that matter to a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// The Redis version.
    pub version: Version,
    /// Whether it is Valkey.
    pub valkey: bool,
    /// The limit of its memory in bytes; none: all there is.
    pub maxmemory: Option<u64>,
    /// What it removes at that limit.
    pub maxmemory_policy: String,
    /// Whether it keeps an append-only file.
    pub aof_enabled: bool,
    /// How the last snapshot ended.
    pub last_snapshot: LastSnapshot,
    /// What INFO does not tell; unknown where the user may not ask.
    pub settings: Option<Settings>,
    /// Whether it is a node of a cluster.
    pub cluster: bool,
}

impl ServerInfo {
    /// Reads the answer to INFO.
    pub(super) fn parse(info: &str) -> Result<Self, InvalidValue> {
        let fields: HashMap<&str, &str> = info
            .lines()
            .filter_map(|line| line.trim_end().split_once(':'))
            .collect();
        let field = |name: &str| {
            fields
                .get(name)
                .copied()
                .ok_or_else(|| InvalidValue(format!("INFO does not say {name}")))
        };
        Ok(Self {
            version: field("redis_version")?.parse()?,
            valkey: fields.contains_key("valkey_version"),
            maxmemory: field("maxmemory")?.parse().ok().filter(|&bytes| bytes > 0),
            maxmemory_policy: field("maxmemory_policy")?.to_owned(),
            aof_enabled: field("aof_enabled")? == "1",
            last_snapshot: match fields.get("rdb_last_bgsave_status") {
                Some(&"err") => LastSnapshot::Failed,
                _ => LastSnapshot::Fine,
            },
            settings: None,
            cluster: field("cluster_enabled")? == "1",
        })
    }

    /// Whether it would remove jobs at the limit of its memory. The volatile-* policies are
    /// harmless: no key of a queue has a time to live.
    #[must_use]
    pub fn evicts(&self) -> bool {
        self.maxmemory_policy.starts_with("allkeys-")
    }

    /// Whether it can hold a queue at all.
    ///
    /// # Errors
    /// What is wrong and what to set.
    pub fn check(&self) -> Result<(), String> {
        if self.version < Version::OLDEST {
            return Err(format!(
                "it is version {}; {} or newer is needed",
                self.version,
                Version::OLDEST
            ));
        }
        if self.evicts() {
            return Err(format!(
                "its maxmemory-policy {} would remove jobs when memory runs out; set `maxmemory-policy noeviction` in \
                 its configuration file, or run `redis-cli config set maxmemory-policy noeviction`",
                self.maxmemory_policy
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn info(version: &str, policy: &str) -> String {
        format!(
            "# Server\r\nredis_version:{version}\r\nexecutable:/usr/bin/redis-server\r\n\r\n# Memory\r\nmaxmemory:0\r\n\
             maxmemory_policy:{policy}\r\n# Persistence\r\naof_enabled:1\r\n# Cluster\r\ncluster_enabled:0\r\n"
        )
    }

    #[test]
    fn the_answer_to_info_is_read() {
        let server = ServerInfo::parse(&info("7.0.15", "noeviction")).unwrap();
        assert_eq!(
            server.version,
            Version {
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
    fn an_old_or_forgetful_server_is_told_what_to_change() {
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
