//! The check that no password is among a program's arguments.

use std::ffi::OsString;

use redis::IntoConnectionInfo;

use super::error::QueueError;

/// Refuses a program's arguments if one of them is an address with a password.
///
/// # Errors
/// [`QueueError::PasswordShown`], which says where a password may be instead.
pub fn refuse_passwords(mut arguments: impl Iterator<Item = OsString>) -> Result<(), QueueError> {
    if arguments.any(|argument| shows_password(&argument.to_string_lossy())) {
        return Err(QueueError::PasswordShown);
    }
    Ok(())
}

fn shows_password(argument: &str) -> bool {
    let value = argument.strip_prefix("--redis=").unwrap_or(argument);
    let Some((_, address)) = value.split_once("://") else {
        return false;
    };
    match value.into_connection_info() {
        Ok(info) => info.redis_settings().password().is_some(),
        Err(_) => may_hold_password(address),
    }
}

/// Returns true if a text that is not a valid address may hold a password all the same: an error
/// that quotes it would show the password.
fn may_hold_password(address: &str) -> bool {
    let login = address.rsplit_once('@').map_or("", |(login, _)| login);
    login.contains(':') || address.contains("pass=")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_password_among_the_arguments_is_refused_without_quoting_it() {
        let refused = |argument: &str| refuse_passwords([argument.into()].into_iter());
        for argument in [
            "redis://:s3cret@host",
            "--redis=rediss://u:s3cret@host",
            "unix:///run/redis.sock?pass=s3cret",
            "redis://:s3cret@host:7404x",
            "readis://u:s3c@ret@host",
        ] {
            let message = refused(argument).unwrap_err().to_string();
            assert!(
                message.contains("DDRS_REDIS") && !message.contains("s3cret"),
                "{message}"
            );
        }
        for argument in [
            "redis://host:1",
            "--redis",
            "sweep.toml",
            "redis://user@host",
            "redis://host:7404x",
        ] {
            assert!(refused(argument).is_ok(), "{argument}");
        }
    }
}
