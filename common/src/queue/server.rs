//! The address of a Redis with its credentials, ready to be connected to.

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError,
    TlsCertificates,
};

use super::cluster::NodeAddress;
use super::credentials::ServerSettings;
use super::error::QueueError;

/// A Redis that can be connected to. `Display` shows its address without credentials.
#[derive(Clone)]
pub struct Server {
    info: ConnectionInfo,
    shown: String,
}

impl Server {
    /// Parses an address. Nothing is connected.
    ///
    /// # Errors
    /// [`QueueError::Address`] when it is not the address of a Redis.
    pub fn parse(url: &str) -> Result<Self, QueueError> {
        Self::new(&ServerSettings {
            url: url.to_owned(),
            ..ServerSettings::default()
        })
    }

    /// Checks settings, and reads the files that they name.
    ///
    /// # Errors
    /// [`QueueError::Address`] when the address is wrong, [`QueueError::Credentials`] naming the
    /// file that cannot be used, or what is missing.
    pub fn new(settings: &ServerSettings) -> Result<Self, QueueError> {
        let info = settings.url.as_str().into_connection_info();
        let info = info.map_err(|error| address_error(&error))?;
        let login = with_login(info.redis_settings().clone(), settings)?;
        let info = info.set_redis_settings(login);
        if settings.has_certificates() && !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            let reason = "certificates are for a rediss:// address";
            return Err(QueueError::credentials("TLS", reason));
        }
        match settings.certificates()? {
            Some(certificates) => with_certificates(info, certificates).map(Self::from_info),
            None => Ok(Self::from_info(info)),
        }
    }

    fn from_info(info: ConnectionInfo) -> Self {
        let shown = shown(&info);
        Self { info, shown }
    }

    /// Returns another node of the same cluster, with the same credentials.
    pub(super) fn at(&self, node: &NodeAddress) -> Self {
        let host = node.host.clone();
        let addr = match self.info.addr() {
            ConnectionAddr::TcpTls {
                insecure,
                tls_params,
                ..
            } => ConnectionAddr::TcpTls {
                host,
                port: node.port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host, node.port),
        };
        Self::from_info(self.info.clone().set_addr(addr))
    }

    /// Returns the host; `None` for a socket.
    pub(super) fn host(&self) -> Option<&str> {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => Some(host),
            _ => None,
        }
    }

    /// Returns true if the address asks for TLS; `None` for a socket.
    pub(super) fn speaks_tls(&self) -> Option<bool> {
        match self.info.addr() {
            ConnectionAddr::Tcp(..) => Some(false),
            ConnectionAddr::TcpTls { .. } => Some(true),
            _ => None,
        }
    }

    /// Returns a client of this server. Nothing is connected.
    pub(super) fn client(&self) -> Result<Client, QueueError> {
        Client::open(self.info.clone()).map_err(|error| address_error(&error))
    }

    /// Returns the address without credentials.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.shown
    }
}

/// The library's errors describe what is missing and never quote the address.
fn address_error(error: &RedisError) -> QueueError {
    QueueError::Address {
        reason: error.to_string(),
    }
}

fn with_login(
    mut login: RedisConnectionInfo,
    settings: &ServerSettings,
) -> Result<RedisConnectionInfo, QueueError> {
    if let Some(user) = &settings.user {
        login = login.set_username(user);
    }
    if let Some(password) = settings.password()? {
        login = login.set_password(password);
    }
    Ok(login)
}

fn with_certificates(
    info: ConnectionInfo,
    certificates: TlsCertificates,
) -> Result<ConnectionInfo, QueueError> {
    let client = Client::build_with_tls(info, certificates)
        .map_err(|error| QueueError::credentials("TLS", error))?;
    Ok(client.get_connection_info().clone())
}

fn shown(info: &ConnectionInfo) -> String {
    let db = info.redis_settings().db();
    match info.addr() {
        ConnectionAddr::Unix(path) => format!("unix://{}", path.display()),
        ConnectionAddr::Tcp(..) => format!("redis://{}/{db}", info.addr()),
        _ => format!("rediss://{}/{db}", info.addr()),
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

#[cfg(test)]
mod tests;
