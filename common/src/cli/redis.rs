//! The options for the connection to Redis: its address, credentials and TLS certificates.

use std::path::PathBuf;

use clap::Args;

use crate::queue::ServerSettings;

/// The address of a Redis, and the credentials for it.
#[derive(Debug, Clone, Args)]
pub struct RedisArgs {
    /// Address of Redis: redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH
    #[arg(
        long = "redis",
        value_name = "URL",
        env = "DDRS_REDIS",
        hide_env_values = true
    )]
    pub url: String,
    /// Redis credentials.
    #[command(flatten)]
    pub credentials: RedisCredentialArgs,
}

impl RedisArgs {
    /// Returns everything that is needed to connect.
    #[must_use]
    pub fn settings(&self) -> ServerSettings {
        self.credentials.settings(&self.url)
    }
}

/// Redis credentials. The password is in DDRS_REDIS_PASSWORD or in a file, never among the
/// arguments.
#[derive(Debug, Clone, Default, Args)]
pub struct RedisCredentialArgs {
    /// User of Redis's access control list [default: `default`]
    #[arg(long, value_name = "USER", env = "DDRS_REDIS_USER")]
    pub redis_user: Option<String>,
    /// File whose first line is the password; or set DDRS_REDIS_PASSWORD
    #[arg(long, value_name = "FILE", env = "DDRS_REDIS_PASSWORD_FILE")]
    pub redis_password_file: Option<PathBuf>,
    /// Certificate authority of the server's certificate, PEM [default: the system's]
    #[arg(long, value_name = "FILE", env = "DDRS_REDIS_CA")]
    pub redis_ca: Option<PathBuf>,
    /// This program's client certificate, PEM
    #[arg(long, value_name = "FILE", env = "DDRS_REDIS_CERT")]
    pub redis_cert: Option<PathBuf>,
    /// Key of the client certificate, PEM
    #[arg(long, value_name = "FILE", env = "DDRS_REDIS_KEY")]
    pub redis_key: Option<PathBuf>,
}

impl RedisCredentialArgs {
    /// Returns everything that is needed to connect to the Redis at `url`.
    #[must_use]
    pub fn settings(&self, url: &str) -> ServerSettings {
        ServerSettings {
            url: url.to_owned(),
            user: self.redis_user.clone(),
            password: std::env::var("DDRS_REDIS_PASSWORD").ok(),
            password_file: self.redis_password_file.clone(),
            ca: self.redis_ca.clone(),
            cert: self.redis_cert.clone(),
            key: self.redis_key.clone(),
        }
    }
}
