//! Addresses of servers, as people write them.

use std::fmt;

use tonic::transport::Uri;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    host: String,
    port: u16,
    tls: Option<bool>,
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It begins with something else than `http://` or `https://`.
    #[error("`{0}` is no scheme: it can be `http` or `https`, or none")]
    Scheme(String),
    /// No host, no number behind the colon, a path, a user.
    #[error("is no address like host:port")]
    Malformed,
}

impl Address {
    /// Reads `host:port`, or `host` alone at this port; either may stand behind `http://` or `https://`.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn parse(text: &str, port: u16) -> Result<Self, AddressError> {
        let text = text.trim().trim_end_matches('/');
        let (tls, rest) = match text.split_once("://") {
            None => (None, text),
            Some(("http", rest)) => (Some(false), rest),
            Some(("https", rest)) => (Some(true), rest),
            Some((scheme, _)) => return Err(AddressError::Scheme(scheme.to_owned())),
        };
        if rest.is_empty() || rest.contains(['/', '@', '?', '#']) {
            return Err(AddressError::Malformed);
        }
        let uri: Uri = format!("http://{rest}")
            .parse()
            .map_err(|_| AddressError::Malformed)?;
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or(AddressError::Malformed)?;
        let port = match uri.port_u16() {
            Some(port) => port,
            // `host:` or `host:99999`
            None if !rest.ends_with(host) => return Err(AddressError::Malformed),
            None => port,
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            tls,
        })
    }

    /// Name or number of the machine; an IPv6 number stands in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is reached by TLS, where the text says so.
    pub fn tls(&self) -> Option<bool> {
        self.tls
    }

    /// With a scheme, for the transport.
    pub(super) fn uri(&self, is_tls: bool) -> String {
        let scheme = if is_tls { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

/// `host:port`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
