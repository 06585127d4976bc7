//! A controller's settings as they are read: plain values, defaults, no check. The one list of them.

use proto::lease::RawEtcd;
use proto::runtime::channel::{MAX_MESSAGE_BYTES, ServerLimits};
use proto::runtime::settings::{Check, RawLog, RawServerTls};
use schemars::JsonSchema;
use serde::Deserialize;

/// The whole file.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawController {
    /// Interface and port.
    pub listen: String,
    /// How others reach it.
    pub advertise: Option<String>,
    /// UUID.
    pub controller_id: Option<String>,
    /// Where its own records are.
    pub metadata: RawMetadata,
    /// The lease store.
    pub etcd: RawEtcd,
    /// Its certificate.
    pub tls: RawServerTls,
    /// What it allows others.
    pub limits: RawLimits,
    /// How it logs.
    pub log: RawLog,
}

/// `[metadata]`.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawMetadata {
    /// URL of the database.
    pub url: Option<String>,
    /// File with the URL.
    pub url_file: Option<String>,
    /// Schema.
    pub schema: String,
}

/// `[limits]`.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawLimits {
    /// Calls and streams of one connection.
    pub max_streams: i64,
    /// Bytes of one message.
    pub max_message_bytes: i64,
}

impl Default for RawController {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:7420".to_owned(),
            advertise: None,
            controller_id: None,
            metadata: RawMetadata::default(),
            etcd: RawEtcd::default(),
            tls: RawServerTls::default(),
            limits: RawLimits::default(),
            log: RawLog::default(),
        }
    }
}

impl Default for RawMetadata {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            schema: "drover_meta".to_owned(),
        }
    }
}

impl Default for RawLimits {
    fn default() -> Self {
        Self {
            max_streams: ServerLimits::default().max_streams.into(),
            max_message_bytes: i64::try_from(MAX_MESSAGE_BYTES).unwrap_or(i64::MAX),
        }
    }
}

impl RawLimits {
    /// Limits of a connection, and of a message in bytes. Agents send pieces of up to a quarter of the
    /// smallest.
    pub(super) fn check(&self, check: &mut Check) -> (ServerLimits, usize) {
        let least = i64::try_from(MAX_MESSAGE_BYTES).unwrap_or(i64::MAX);
        let name = "limits.max_message_bytes";
        let bytes = check.number(name, self.max_message_bytes, least..=64 << 20);
        let streams = check.number("limits.max_streams", self.max_streams, 1..=65_536);
        let limits = ServerLimits {
            max_streams: u32::try_from(streams).unwrap_or(u32::MAX),
            ..ServerLimits::default()
        };
        (limits, usize::try_from(bytes).unwrap_or(MAX_MESSAGE_BYTES))
    }
}
