//! Hints for errors whose own words do not say what to check.

use redis::RedisError;

use super::retry::{is_forbidden, is_unauthenticated};
use super::server::Server;

const CREDENTIALS: &str = concat!(
    "; the user comes from --redis-user or DDRS_REDIS_USER, ",
    "the password from DDRS_REDIS_PASSWORD or a --redis-password-file"
);
const FORBIDDEN: &str =
    "; the access list that comes with ddrs, deploy/redis/users.acl, allows what is needed";
const NO_TLS: &str =
    "; perhaps this port does not speak TLS: if so, write redis:// instead of rediss://";
const TLS: &str = "; perhaps this port speaks TLS only: if so, write rediss:// instead of redis://";

/// Returns the hint for a failed request; empty where the failure explains itself.
pub(super) fn on_request(cause: &RedisError) -> &'static str {
    match cause.code() {
        _ if is_unauthenticated(cause) => CREDENTIALS,
        _ if is_forbidden(cause) => FORBIDDEN,
        code => on_code(code.unwrap_or_default()),
    }
}

fn on_code(code: &str) -> &'static str {
    match code {
        "OOM" => "; raise its `maxmemory`, then do the same again",
        "READONLY" => "; name its master, or promote it",
        "LOADING" => "; try again when it has loaded its data",
        "CLUSTERDOWN" => {
            "; `redis-cli --cluster check HOST:PORT` shows the slots that no node serves"
        }
        _ => "",
    }
}

/// Returns the hint for a connection that could not be opened.
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

fn is_no_handshake(cause: &RedisError) -> bool {
    let text = cause.to_string();
    text.contains("InvalidContentType") || text.contains("UnexpectedEof") || text.contains("eof")
}
