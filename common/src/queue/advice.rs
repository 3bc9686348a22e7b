//! What to look at when a Redis refuses, for errors whose own words do not say it.

use redis::{ErrorKind, RedisError};

use super::server::Server;

const LOGIN: &str = "; the user comes from --redis-user or DDRS_REDIS_USER, the password from DDRS_REDIS_PASSWORD or a \
                     --redis-password-file";
const FORBIDDEN: &str =
    "; the access list that comes with ddrs, deploy/redis/users.acl, allows what is needed";
const NO_TLS: &str =
    "; perhaps this port does not speak TLS: if so, write redis:// instead of rediss://";
const TLS: &str = "; perhaps this port speaks TLS only: if so, write rediss:// instead of redis://";

/// Advice about a request that failed; empty where the failure explains itself.
pub(super) fn on_request(cause: &RedisError) -> &'static str {
    match cause.code() {
        _ if is_login(cause) => LOGIN,
        _ if is_forbidden(cause) => FORBIDDEN,
        Some("OOM") => "; raise its `maxmemory`, then do the same again",
        Some("READONLY") => "; name its master, or promote it",
        Some("LOADING") => "; try again when it has loaded its data",
        Some("CLUSTERDOWN") => {
            "; `redis-cli --cluster check HOST:PORT` shows the slots that no node serves"
        }
        _ => "",
    }
}

/// Advice about a connection that did not come about.
pub(super) fn on_connection(server: &Server, cause: &RedisError) -> &'static str {
    let refused = cause.is_connection_refusal();
    match server.speaks_tls() {
        // A server without TLS waits for the end of what it takes for a command, or calls it an
        // unknown one.
        Some(true) if !refused && (cause.is_timeout() || is_no_handshake(cause)) => NO_TLS,
        Some(false) if !refused && !cause.is_timeout() && cause.is_connection_dropped() => TLS,
        _ => on_request(cause),
    }
}

/// Whether the server does not know who asks.
pub(super) fn is_login(cause: &RedisError) -> bool {
    matches!(cause.code(), Some("NOAUTH" | "WRONGPASS"))
        || cause.kind() == ErrorKind::AuthenticationFailed
}

/// Whether an access list forbids it, to the user or to a script of theirs.
pub(super) fn is_forbidden(cause: &RedisError) -> bool {
    cause.code() == Some("NOPERM")
        || cause
            .detail()
            .is_some_and(|text| text.contains("user executing the script can't"))
}

fn is_no_handshake(cause: &RedisError) -> bool {
    let text = cause.to_string();
    text.contains("InvalidContentType") || text.contains("UnexpectedEof") || text.contains("eof")
}
