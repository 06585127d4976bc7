//! Certificates and keys for both ends, read from PEM files and checked at once.

use std::fmt;
use std::path::{Path, PathBuf};

use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig};

use super::CONNECT_WITHIN;

/// Begins every certificate in PEM.
const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// What a client trusts and shows. Nothing of it given: the system's roots, and no certificate.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// Who signed the server's certificate, in PEM; the system's roots where there is none.
    pub ca: Option<Vec<u8>>,
    /// Its own certificate and key in PEM, where the server asks for one.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name in the server's certificate, where it is not the address's host.
    pub server_name: Option<String>,
}

/// What a server shows and asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// Its certificate, and those between it and the root, in PEM.
    pub certificate: Vec<u8>,
    /// The certificate's key, in PEM.
    pub key: Vec<u8>,
    /// Who signs the certificates that clients must show, in PEM; without it they show none.
    pub client_ca: Option<Vec<u8>>,
}

/// Why files are of no use for TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("{} holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    /// One is given without the other.
    #[error("a certificate and its key belong together")]
    Half,
    /// It cannot be parsed, or certificate and key do not fit.
    #[error("certificate and key cannot be used together")]
    Unfit(#[source] tonic::transport::Error),
}

impl ClientTls {
    /// Reads the files that are given.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(
        ca: Option<&Path>,
        identity: (Option<&Path>, Option<&Path>),
        server_name: Option<&str>,
    ) -> Result<Self, TlsError> {
        let identity = match identity {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate_of(certificate)?, read(key)?)),
            (Some(_), None) | (None, Some(_)) => return Err(TlsError::Half),
        };
        let loaded = Self {
            ca: ca.map(certificate_of).transpose()?,
            identity,
            server_name: server_name.map(str::to_owned),
        };
        Endpoint::from_static("https://localhost")
            .tls_config(loaded.config())
            .map_err(TlsError::Unfit)?;
        Ok(loaded)
    }

    pub(super) fn config(&self) -> ClientTlsConfig {
        let mut config = ClientTlsConfig::new().timeout(CONNECT_WITHIN);
        config = match &self.ca {
            Some(ca) => config.ca_certificate(Certificate::from_pem(ca)),
            None => config.with_native_roots(),
        };
        if let Some((certificate, key)) = &self.identity {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        match &self.server_name {
            Some(name) => config.domain_name(name),
            None => config,
        }
    }
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(
        certificate: &Path,
        key: &Path,
        client_ca: Option<&Path>,
    ) -> Result<Self, TlsError> {
        let loaded = Self {
            certificate: certificate_of(certificate)?,
            key: read(key)?,
            client_ca: client_ca.map(certificate_of).transpose()?,
        };
        Server::builder()
            .tls_config(loaded.config())
            .map_err(TlsError::Unfit)?;
        Ok(loaded)
    }

    pub(super) fn config(&self) -> ServerTlsConfig {
        let config = ServerTlsConfig::new()
            .identity(Identity::from_pem(&self.certificate, &self.key))
            .timeout(CONNECT_WITHIN);
        match &self.client_ca {
            Some(ca) => config.client_ca_root(Certificate::from_pem(ca)),
            None => config,
        }
    }
}

/// Without keys.
impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("ca", &self.ca.is_some())
            .field("identity", &self.identity.is_some())
            .field("server_name", &self.server_name)
            .finish()
    }
}

/// Without keys.
impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls")
            .field("client_ca", &self.client_ca.is_some())
            .finish_non_exhaustive()
    }
}

fn certificate_of(path: &Path) -> Result<Vec<u8>, TlsError> {
    let text = read(path)?;
    match text
        .windows(CERTIFICATE.len())
        .any(|part| part == CERTIFICATE)
    {
        true => Ok(text),
        false => Err(TlsError::NoCertificate(path.to_owned())),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}
