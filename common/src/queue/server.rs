//! Where a Redis is, and how a program proves to it who it is.
//!
//! Passwords come from files and the environment, never from arguments, which every user of a
//! machine can read. No error, log line or `Debug` shows one.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisError,
    TlsCertificates,
};

use super::error::QueueError;
use crate::bounded;

/// How sections of PEM files that are needed begin, and what they are called.
const CERTIFICATE: (&str, &str) = ("BEGIN CERTIFICATE-----", "certificate");
const KEY: (&str, &str) = ("PRIVATE KEY-----", "private key");

/// Everything a user says about a Redis, not yet understood.
#[derive(Clone, Default)]
pub struct ServerSettings {
    /// `redis://…`, `rediss://…` or `unix://…`.
    pub url: String,
    /// The user of an access list; none: the default one.
    pub user: Option<String>,
    /// That user's password.
    pub password: Option<String>,
    /// A file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// The authorities that a server's certificate may come from, PEM; none: the system's.
    pub ca: Option<PathBuf>,
    /// This program's own certificate, PEM.
    pub cert: Option<PathBuf>,
    /// The key of that certificate, PEM.
    pub key: Option<PathBuf>,
}

/// A Redis that can be connected to. `Display` shows its address without credentials.
#[derive(Clone)]
pub struct Server {
    info: ConnectionInfo,
    shown: String,
}

impl ServerSettings {
    /// The environment variables that say something about a Redis.
    pub const VARIABLES: [&str; 7] = [
        "DDRS_REDIS",
        "DDRS_REDIS_USER",
        "DDRS_REDIS_PASSWORD",
        "DDRS_REDIS_PASSWORD_FILE",
        "DDRS_REDIS_CA",
        "DDRS_REDIS_CERT",
        "DDRS_REDIS_KEY",
    ];

    /// The environment by which another program is told the same.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let values = [
            Some(self.url.clone()),
            self.user.clone(),
            self.password.clone(),
            path(&self.password_file),
            path(&self.ca),
            path(&self.cert),
            path(&self.key),
        ];
        Self::VARIABLES
            .into_iter()
            .zip(values)
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

impl fmt::Debug for ServerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSettings").finish_non_exhaustive()
    }
}

impl Server {
    /// Understands an address. Nothing is connected.
    ///
    /// # Errors
    /// [`QueueError::Address`] when it makes no sense.
    pub fn parse(url: &str) -> Result<Self, QueueError> {
        Self::new(&ServerSettings {
            url: url.to_owned(),
            ..ServerSettings::default()
        })
    }

    /// Understands settings, and reads the files that they name.
    ///
    /// # Errors
    /// [`QueueError::Address`] when the address makes no sense, [`QueueError::Credentials`] naming
    /// the file that cannot be used, or what is missing.
    pub fn new(settings: &ServerSettings) -> Result<Self, QueueError> {
        // The library's errors describe what is missing and never quote the address.
        let bad = |error: RedisError| QueueError::Address {
            reason: error.to_string(),
        };
        let mut info = settings.url.as_str().into_connection_info().map_err(bad)?;
        let mut login = info.redis_settings().clone();
        if let Some(user) = &settings.user {
            login = login.set_username(user);
        }
        if let Some(password) = settings.password()? {
            login = login.set_password(password);
        }
        info = info.set_redis_settings(login);
        if settings.has_certificates() && !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            let reason = "certificates are for a rediss:// address".to_owned();
            return Err(QueueError::Credentials {
                what: "TLS".to_owned(),
                reason,
            });
        }
        if let Some(certificates) = settings.certificates()? {
            let client = Client::build_with_tls(info, certificates).map_err(|error| {
                QueueError::Credentials {
                    what: "TLS".to_owned(),
                    reason: error.to_string(),
                }
            })?;
            info = client.get_connection_info().clone();
        }
        let shown = shown(&info);
        Ok(Self { info, shown })
    }

    /// The same credentials at another node of the same cluster.
    pub(super) fn at(&self, host: &str, port: u16) -> Self {
        let addr = match self.info.addr() {
            ConnectionAddr::TcpTls {
                insecure,
                tls_params,
                ..
            } => ConnectionAddr::TcpTls {
                host: host.to_owned(),
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host.to_owned(), port),
        };
        let info = self.info.clone().set_addr(addr);
        let shown = shown(&info);
        Self { info, shown }
    }

    /// The host, where there is one.
    pub(super) fn host(&self) -> Option<&str> {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => Some(host),
            _ => None,
        }
    }

    /// Whether it is asked for TLS; none where that is no question.
    pub(super) fn speaks_tls(&self) -> Option<bool> {
        match self.info.addr() {
            ConnectionAddr::Tcp(..) => Some(false),
            ConnectionAddr::TcpTls { .. } => Some(true),
            _ => None,
        }
    }

    pub(super) fn client(&self) -> Result<Client, QueueError> {
        Client::open(self.info.clone()).map_err(|error| QueueError::Address {
            reason: error.to_string(),
        })
    }

    /// The address without credentials.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.shown
    }
}

impl TryFrom<&str> for Server {
    type Error = QueueError;

    fn try_from(url: &str) -> Result<Self, QueueError> {
        Self::parse(url)
    }
}

impl TryFrom<&String> for Server {
    type Error = QueueError;

    fn try_from(url: &String) -> Result<Self, QueueError> {
        Self::parse(url)
    }
}

impl TryFrom<&ServerSettings> for Server {
    type Error = QueueError;

    fn try_from(settings: &ServerSettings) -> Result<Self, QueueError> {
        Self::new(settings)
    }
}

impl ServerSettings {
    fn password(&self) -> Result<Option<String>, QueueError> {
        match (&self.password, &self.password_file) {
            (Some(_), Some(file)) => Err(QueueError::Credentials {
                what: file.display().to_string(),
                reason: "a password file is named and DDRS_REDIS_PASSWORD is set; give one of them"
                    .to_owned(),
            }),
            (None, Some(file)) => {
                let text = String::from_utf8(read(file)?);
                let text = text.map_err(|_| QueueError::Credentials {
                    what: file.display().to_string(),
                    reason: "the password is no UTF-8 text".to_owned(),
                })?;
                Ok(Some(text.lines().next().unwrap_or_default().to_owned()))
            }
            (password, None) => Ok(password.clone()),
        }
    }

    fn has_certificates(&self) -> bool {
        self.ca.is_some() || self.cert.is_some() || self.key.is_some()
    }

    fn certificates(&self) -> Result<Option<TlsCertificates>, QueueError> {
        let client_tls = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                let (client_cert, client_key) = (read_pem(cert, CERTIFICATE)?, read_pem(key, KEY)?);
                Some(ClientTlsConfig {
                    client_cert,
                    client_key,
                })
            }
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => {
                let reason = "a certificate and its key go together; name both".to_owned();
                return Err(QueueError::Credentials {
                    what: one.display().to_string(),
                    reason,
                });
            }
        };
        let root_cert = self
            .ca
            .as_deref()
            .map(|file| read_pem(file, CERTIFICATE))
            .transpose()?;
        let any = client_tls.is_some() || root_cert.is_some();
        Ok(any.then_some(TlsCertificates {
            client_tls,
            root_cert,
        }))
    }
}

/// Reads a PEM file that must have such a section: one without is taken for an empty one by those
/// who parse it.
fn read_pem(file: &Path, (section, what): (&str, &str)) -> Result<Vec<u8>, QueueError> {
    let bytes = read(file)?;
    let begins = |line: &[u8]| {
        line.starts_with(b"-----BEGIN ") && line.trim_ascii_end().ends_with(section.as_bytes())
    };
    if !bytes.split(|&byte| byte == b'\n').any(begins) {
        let reason = format!("holds no {what} in PEM");
        return Err(QueueError::Credentials {
            what: file.display().to_string(),
            reason,
        });
    }
    Ok(bytes)
}

fn read(file: &Path) -> Result<Vec<u8>, QueueError> {
    bounded::read(file, 1 << 20).map_err(|error| QueueError::Credentials {
        what: file.display().to_string(),
        reason: error.to_string(),
    })
}

fn shown(info: &ConnectionInfo) -> String {
    let db = info.redis_settings().db();
    match info.addr() {
        ConnectionAddr::Unix(path) => format!("unix://{}", path.display()),
        ConnectionAddr::Tcp(..) => format!("redis://{}/{db}", info.addr()),
        _ => format!("rediss://{}/{db}", info.addr()),
    }
}

/// Refuses a program's arguments if one of them is an address with a password in it.
///
/// # Errors
/// [`QueueError::PasswordShown`], which says where a password may be instead.
pub fn refuse_passwords(arguments: impl Iterator<Item = OsString>) -> Result<(), QueueError> {
    for argument in arguments {
        let argument = argument.to_string_lossy();
        let value = argument.strip_prefix("--redis=").unwrap_or(&argument);
        let Some((_, address)) = value.split_once("://") else {
            continue;
        };
        let shown = if let Ok(info) = value.into_connection_info() {
            info.redis_settings().password().is_some()
        } else {
            // No address, but what its errors would show may be a password all the same.
            let login = address.rsplit_once('@').map_or("", |(login, _)| login);
            login.contains(':') || address.contains("pass=")
        };
        if shown {
            return Err(QueueError::PasswordShown);
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn settings(url: &str) -> ServerSettings {
        ServerSettings {
            url: url.to_owned(),
            ..ServerSettings::default()
        }
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (url, shown) in [
            ("redis://user:s3cret@host:7000/2", "redis://host:7000/2"),
            ("redis://:s3cret@host", "redis://host:6379/0"),
            ("rediss://:s3cret@host:1", "rediss://host:1/0"),
            (
                "unix:///run/redis.sock?user=u&pass=s3cret",
                "unix:///run/redis.sock",
            ),
        ] {
            assert_eq!(Server::parse(url).unwrap().as_str(), shown);
        }
    }

    #[test]
    fn an_address_that_makes_no_sense_is_refused_without_quoting_it() {
        for url in [
            "",
            "host:6379",
            "http://u:s3cret@host",
            "redis://:s3cret@host/x",
            "redis://:s3cret@host:port",
        ] {
            let message = Server::parse(url).err().unwrap().to_string();
            assert!(
                message.starts_with("not the address of a Redis: ") && !message.contains("s3cret"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_password_is_the_first_line_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "s3cret\n").unwrap();
        let settings = ServerSettings {
            user: Some("ddrs".into()),
            password_file: Some(file),
            ..settings("redis://host")
        };
        let server = Server::new(&settings).unwrap();
        let login = server.info.redis_settings();
        assert_eq!(
            (login.username(), login.password()),
            (Some("ddrs"), Some("s3cret"))
        );
        assert!(!format!("{settings:?}").contains("s3cret"));
    }

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let missing = |path: &str| Some(PathBuf::from(path));
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        std::fs::write(&cert, "-----BEGIN CERTIFICATE-----\n").unwrap();
        std::fs::write(&key, "-----BEGIN EC PRIVATE KEY-----\r\n").unwrap();
        let pair = |cert: &PathBuf, key: &PathBuf| ServerSettings {
            cert: Some(cert.clone()),
            key: Some(key.clone()),
            ..settings("rediss://h")
        };
        for (settings, says) in [
            (
                ServerSettings {
                    password_file: missing("/no/password"),
                    ..settings("redis://h")
                },
                "/no/password",
            ),
            (
                ServerSettings {
                    ca: missing("/no/ca.pem"),
                    ..settings("rediss://h")
                },
                "/no/ca.pem",
            ),
            (
                ServerSettings {
                    cert: missing("/no/cert.pem"),
                    ..settings("rediss://h")
                },
                "its key go together",
            ),
            (
                ServerSettings {
                    ca: missing("/dev/null"),
                    ..settings("redis://h")
                },
                "for a rediss:// address",
            ),
            (
                ServerSettings {
                    ca: missing("/dev/null"),
                    ..settings("rediss://h")
                },
                "/dev/null: holds no certificate",
            ),
            (pair(&key, &key), "key.pem: holds no certificate"),
            (pair(&cert, &cert), "cert.pem: holds no private key"),
        ] {
            let message = Server::new(&settings).err().unwrap().to_string();
            assert!(message.contains(says), "{message}");
        }
    }

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

    #[test]
    fn another_program_is_told_the_same_by_its_environment() {
        let settings = ServerSettings {
            user: Some("ddrs".into()),
            password: Some("s3cret".into()),
            ca: Some("/ca.pem".into()),
            ..settings("rediss://host")
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
