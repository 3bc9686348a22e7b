//! The settings by which a program connects to a Redis: address, user, password and certificates.
//!
//! Passwords come from files and the environment, never from arguments, which every user of a
//! machine can read. No error, log line or `Debug` shows one.

use std::fmt;
use std::path::{Path, PathBuf};

use redis::{ClientTlsConfig, TlsCertificates};

use super::credential_file::{self, PemSection};
use super::error::QueueError;

/// The settings of a Redis as the user gave them, not checked yet.
#[derive(Clone, Default)]
pub struct ServerSettings {
    /// `redis://…`, `rediss://…` or `unix://…`.
    pub url: String,
    /// The user of an access list; `None` for the default user.
    pub user: Option<String>,
    /// That user's password.
    pub password: Option<String>,
    /// A file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// The authorities that may have signed the server's certificate, PEM; `None` for the
    /// system's.
    pub ca: Option<PathBuf>,
    /// This program's own certificate, PEM.
    pub cert: Option<PathBuf>,
    /// The key of that certificate, PEM.
    pub key: Option<PathBuf>,
}

impl ServerSettings {
    /// The environment variables that hold settings, in the order of the fields.
    pub const VARIABLES: [&str; 7] = [
        "DDRS_REDIS",
        "DDRS_REDIS_USER",
        "DDRS_REDIS_PASSWORD",
        "DDRS_REDIS_PASSWORD_FILE",
        "DDRS_REDIS_CA",
        "DDRS_REDIS_CERT",
        "DDRS_REDIS_KEY",
    ];

    /// Returns the environment that gives another program the same settings.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let values = [
            Some(self.url.clone()),
            self.user.clone(),
            self.password.clone(),
            shown(self.password_file.as_deref()),
            shown(self.ca.as_deref()),
            shown(self.cert.as_deref()),
            shown(self.key.as_deref()),
        ];
        let variables = Self::VARIABLES.into_iter().zip(values);
        variables
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    /// Returns the password, from the settings or from the file.
    pub(super) fn password(&self) -> Result<Option<String>, QueueError> {
        match (&self.password, &self.password_file) {
            (Some(_), Some(file)) => Err(QueueError::credentials(
                file.display(),
                "a password file is named and DDRS_REDIS_PASSWORD is set; give one of them",
            )),
            (None, Some(file)) => read_password(file).map(Some),
            (password, None) => Ok(password.clone()),
        }
    }

    /// Returns true if the settings name a certificate, a key or an authority.
    pub(super) fn has_certificates(&self) -> bool {
        self.ca.is_some() || self.cert.is_some() || self.key.is_some()
    }

    /// Reads the certificates that the settings name.
    pub(super) fn certificates(&self) -> Result<Option<TlsCertificates>, QueueError> {
        if !self.has_certificates() {
            return Ok(None);
        }
        let ca = self.ca.as_deref();
        Ok(Some(TlsCertificates {
            client_tls: self.client_tls()?,
            root_cert: ca
                .map(|file| credential_file::read_pem(file, PemSection::Certificate))
                .transpose()?,
        }))
    }

    fn client_tls(&self) -> Result<Option<ClientTlsConfig>, QueueError> {
        match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Ok(Some(ClientTlsConfig {
                client_cert: credential_file::read_pem(cert, PemSection::Certificate)?,
                client_key: credential_file::read_pem(key, PemSection::PrivateKey)?,
            })),
            (None, None) => Ok(None),
            (Some(file), None) | (None, Some(file)) => Err(QueueError::credentials(
                file.display(),
                "a certificate and its key go together; name both",
            )),
        }
    }
}

impl fmt::Debug for ServerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSettings").finish_non_exhaustive()
    }
}

fn shown(path: Option<&Path>) -> Option<String> {
    path.map(|path| path.display().to_string())
}

fn read_password(file: &Path) -> Result<String, QueueError> {
    let text = String::from_utf8(credential_file::read(file)?)
        .map_err(|_| QueueError::credentials(file.display(), "the password is not UTF-8 text"))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_program_gets_the_same_settings_from_its_environment() {
        let settings = ServerSettings {
            url: "rediss://host".into(),
            user: Some("ddrs".into()),
            password: Some("s3cret".into()),
            ca: Some("/ca.pem".into()),
            ..ServerSettings::default()
        };
        let expected = [
            ("DDRS_REDIS", "rediss://host"),
            ("DDRS_REDIS_USER", "ddrs"),
            ("DDRS_REDIS_PASSWORD", "s3cret"),
            ("DDRS_REDIS_CA", "/ca.pem"),
        ];
        assert_eq!(
            settings.environment(),
            expected.map(|(name, value)| (name, value.to_owned()))
        );
    }
}
