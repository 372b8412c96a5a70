//! Makes connections to servers of Redis: who we are there, and how the line is protected.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo, RedisConnectionInfo, RedisError, RedisResult, TlsCertificates,
};

use tokio::io::AsyncReadExt as _;

use crate::domain::secret::Secret;

use super::settings::{InvalidRedisSettings, RedisLogin, RedisNode, RedisTls};

/// No chain of certificates is larger; a wrong path may be.
const FILE_LIMIT_BYTES: u64 = 1024 * 1024;

/// Commands queued for the socket at most; more wait within their budget.
const QUEUE: usize = 1024;

/// How this process comes to servers that know it under one login.
pub(super) struct Access {
    login: RedisConnectionInfo,
    tls: Option<RedisTls>,
}

impl Access {
    /// Access under a login.
    pub(super) fn new(login: &RedisLogin, tls: Option<RedisTls>) -> Self {
        let mut info = RedisConnectionInfo::default();
        if let Some(username) = &login.username {
            info = info.set_username(username);
        }
        if let Some(password) = &login.password {
            info = info.set_password(password.expose());
        }
        Self::as_user(info, tls)
    }

    /// The server that a URL names, and access to it. TLS is what the scheme says.
    pub(super) fn by_url(
        url: &Secret<String>,
        tls: Option<RedisTls>,
    ) -> Result<(RedisNode, Self), InvalidRedisSettings> {
        // The error of the library may repeat the address with its password.
        let unreadable = || InvalidRedisSettings("expected redis:// or rediss:// and an address".to_owned());
        let info = url.expose().as_str().into_connection_info().map_err(|_error| unreadable())?;
        let node = |host: &str, port: u16| RedisNode { host: host.to_owned(), port };
        let (node, tls) = if let ConnectionAddr::Tcp(host, port) = info.addr() {
            (node(host, *port), None)
        } else if let ConnectionAddr::TcpTls { host, port, insecure: false, .. } = info.addr() {
            (node(host, *port), Some(tls.unwrap_or_default()))
        } else {
            // `#insecure`, or a socket.
            return Err(unreadable());
        };
        Ok((node, Self::as_user(info.redis_settings().clone(), tls)))
    }

    fn as_user(login: RedisConnectionInfo, tls: Option<RedisTls>) -> Self {
        // The ACL user may not name its client library.
        Self { login: login.set_skip_set_lib_name(), tls }
    }

    /// Says what is wrong with the certificates, if they can be read now.
    pub(super) fn check(&self) -> Result<(), InvalidRedisSettings> {
        let nowhere = RedisNode { host: "localhost".to_owned(), port: 0 };
        let certificates = self.tls.as_ref().map(read_certificates_now).transpose();
        certificates
            .and_then(|certificates| self.client(&nowhere, certificates))
            .map(drop)
            .map_err(|error| InvalidRedisSettings(format!("its certificates: {error}")))
    }

    /// A new connection. Its deadlines are the caller's.
    pub(super) async fn connect(&self, node: &RedisNode) -> RedisResult<MultiplexedConnection> {
        let certificates = match &self.tls {
            None => None,
            Some(tls) => Some(read_certificates(tls).await?),
        };
        // One timer for a decision instead of two.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE);
        self.client(node, certificates)?.get_multiplexed_async_connection_with_config(&config).await
    }

    fn client(&self, node: &RedisNode, certificates: Option<TlsCertificates>) -> RedisResult<Client> {
        let address = match certificates {
            None => ConnectionAddr::Tcp(node.host.clone(), node.port),
            Some(_) => ConnectionAddr::TcpTls {
                host: node.host.clone(),
                port: node.port,
                insecure: false,
                tls_params: None,
            },
        };
        let info: ConnectionInfo = address.into_connection_info()?;
        // Without this, the kernel holds back a command until the one before it is acknowledged.
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let info = info.set_redis_settings(self.login.clone()).set_tcp_settings(tcp);
        match certificates {
            None => Client::open(info),
            Some(certificates) => Client::build_with_tls(info, certificates),
        }
    }
}

async fn read_certificates(tls: &RedisTls) -> RedisResult<TlsCertificates> {
    let root_cert = match &tls.ca_file {
        None => None,
        Some(path) => Some(read(path).await?),
    };
    let client_tls = match &tls.identity {
        None => None,
        Some(identity) => {
            let client_cert = read(&identity.certificate_file).await?;
            Some(ClientTlsConfig { client_cert, client_key: read(&identity.key_file).await? })
        }
    };
    Ok(TlsCertificates { client_tls, root_cert })
}

async fn read(path: &Path) -> RedisResult<Vec<u8>> {
    let mut content = Vec::new();
    let result = async {
        let file = tokio::fs::File::open(path).await?;
        file.take(FILE_LIMIT_BYTES).read_to_end(&mut content).await
    };
    usable(path, result.await.map(|_size| content))
}

/// The same at the start, where nobody waits yet.
fn read_certificates_now(tls: &RedisTls) -> RedisResult<TlsCertificates> {
    let read = |path: &PathBuf| {
        let mut content = Vec::new();
        let result = std::fs::File::open(path).and_then(|file| {
            io::Read::read_to_end(&mut io::Read::take(file, FILE_LIMIT_BYTES), &mut content)
        });
        usable(path, result.map(|_size| content))
    };
    let root_cert = tls.ca_file.as_ref().map(read).transpose()?;
    let client_tls = match &tls.identity {
        None => None,
        Some(identity) => Some(ClientTlsConfig {
            client_cert: read(&identity.certificate_file)?,
            client_key: read(&identity.key_file)?,
        }),
    };
    Ok(TlsCertificates { client_tls, root_cert })
}

fn usable(path: &Path, content: io::Result<Vec<u8>>) -> RedisResult<Vec<u8>> {
    let unusable = |why: &dyn fmt::Display| {
        let detail = format!("{}: {why}", path.display());
        RedisError::from((ErrorKind::InvalidClientConfig, "a file cannot be used", detail))
    };
    match content {
        Ok(content) if content.is_empty() => Err(unusable(&"it is empty")),
        Ok(content) => Ok(content),
        Err(error) => Err(unusable(&error.kind())),
    }
}
