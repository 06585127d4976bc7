//! How both ends of a gRPC connection dial and listen: addresses, time limits, pings and TLS.
//!
//! Pings find a peer that is frozen or cut off: nothing else would, since a silent stream looks like a
//! quiet one. What is said over a channel is not known here.

mod address;
mod tls;

use std::time::Duration;

use tonic::transport::{Channel, Endpoint, Server};

pub use address::{Address, AddressError};
pub use tls::{ClientTls, ServerTls, TlsError};

/// Largest message a server takes, in bytes. The builders do not know it: each service and client is
/// told with its `max_decoding_message_size`.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// How long TCP and TLS handshakes may take.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How a frozen peer is noticed: after the sum of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// How often a ping is sent.
    pub every: Duration,
    /// How long its answer may take.
    pub within: Duration,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(5),
            within: Duration::from_secs(5),
        }
    }
}

/// What a server allows its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Pings to each peer.
    pub keep_alive: KeepAlive,
    /// Calls and streams that one connection may have open at the same time.
    pub max_streams: u32,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            keep_alive: KeepAlive::default(),
            max_streams: 256,
        }
    }
}

/// Why a channel or server could not be built, or not be connected.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// Certificates or key do not fit each other, or the address.
    #[error("set up TLS for {address}")]
    Tls {
        /// Of the other end, or of this one where it listens.
        address: String,
        /// The cause.
        #[source]
        source: tonic::transport::Error,
    },
    /// It is no address after all.
    #[error("{address} is no address")]
    Address {
        /// As it was given.
        address: String,
        /// The cause.
        #[source]
        source: tonic::transport::Error,
    },
    /// Nobody listens there, the handshake failed, or it took too long.
    #[error("connect to {address}")]
    Connect {
        /// The other end.
        address: String,
        /// The cause.
        #[source]
        source: tonic::transport::Error,
    },
}

/// How to dial an address. TLS is used where its scheme says so; without a scheme, where `tls` is given.
///
/// # Errors
/// `Tls`, or `Address` for one that the transport does not take.
pub fn endpoint(address: &Address, tls: Option<&ClientTls>) -> Result<Endpoint, ChannelError> {
    let keep_alive = KeepAlive::default();
    let is_tls = address.tls().unwrap_or(tls.is_some());
    let endpoint = Endpoint::from_shared(address.uri(is_tls))
        .map_err(|source| ChannelError::Address {
            address: address.to_string(),
            source,
        })?
        .connect_timeout(CONNECT_WITHIN)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(keep_alive.every)
        .keep_alive_timeout(keep_alive.within)
        .keep_alive_while_idle(true);
    if !is_tls {
        return Ok(endpoint);
    }
    let config = tls.map_or_else(|| ClientTls::default().config(), ClientTls::config);
    endpoint
        .tls_config(config)
        .map_err(|source| ChannelError::Tls {
            address: address.to_string(),
            source,
        })
}

/// Connects now, once.
///
/// # Errors
/// As [`endpoint`], and `Connect`.
pub async fn connect(address: &Address, tls: Option<&ClientTls>) -> Result<Channel, ChannelError> {
    let channel = endpoint(address, tls)?.connect().await;
    channel.map_err(|source| ChannelError::Connect {
        address: address.to_string(),
        source,
    })
}

/// Connects with the first call, and again whenever the connection is gone. Must be called inside a
/// Tokio runtime.
///
/// # Errors
/// As [`endpoint`].
pub fn connect_lazy(address: &Address, tls: Option<&ClientTls>) -> Result<Channel, ChannelError> {
    Ok(endpoint(address, tls)?.connect_lazy())
}

/// A server to add services to, see [`MAX_MESSAGE_BYTES`]. `listen` is for errors only.
///
/// # Errors
/// `Tls`.
pub fn server(
    listen: &str,
    limits: ServerLimits,
    tls: Option<&ServerTls>,
) -> Result<Server, ChannelError> {
    let server = Server::builder()
        .http2_keepalive_interval(Some(limits.keep_alive.every))
        .http2_keepalive_timeout(Some(limits.keep_alive.within))
        .max_concurrent_streams(limits.max_streams)
        .tcp_nodelay(true);
    match tls {
        Some(tls) => server
            .tls_config(tls.config())
            .map_err(|source| ChannelError::Tls {
                address: listen.to_owned(),
                source,
            }),
        None => Ok(server),
    }
}

#[cfg(test)]
mod tests;
