//! The options by which both programs are told who they are to Redis.

use std::path::PathBuf;

use clap::Args;

use super::server::ServerSettings;

/// Who one is to Redis. A password is in DDRS_REDIS_PASSWORD or in a file, never among the
/// arguments.
#[derive(Debug, Clone, Default, Args)]
pub struct LoginArgs {
    /// The user of Redis's access list [default: `default`]
    #[arg(long, value_name = "USER", env = "DDRS_REDIS_USER")]
    pub redis_user: Option<String>,
    /// A file whose first line is the password; or set DDRS_REDIS_PASSWORD
    #[arg(long, value_name = "FILE", env = "DDRS_REDIS_PASSWORD_FILE")]
    pub redis_password_file: Option<PathBuf>,
    /// The authority of the server's certificate, PEM [default: the system's]
    #[arg(long, value_name = "FILE", env = "DDRS_REDIS_CA")]
    pub redis_ca: Option<PathBuf>,
    /// This program's own certificate, PEM
    #[arg(long, value_name = "FILE", env = "DDRS_REDIS_CERT")]
    pub redis_cert: Option<PathBuf>,
    /// The key of that certificate, PEM
    #[arg(long, value_name = "FILE", env = "DDRS_REDIS_KEY")]
    pub redis_key: Option<PathBuf>,
}

impl LoginArgs {
    /// The whole of what is said about a Redis.
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
