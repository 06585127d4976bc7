//! Parts that the configurations of several servers have in common: logs and TLS.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Environment;
use super::check::Check;
use crate::runtime::channel::{ClientTls, ServerTls, TlsError};
use crate::runtime::telemetry::is_filter;

/// `[log]` as it is read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawLog {
    /// `text` or `json`.
    pub format: String,
    /// A level or a filter.
    pub level: String,
}

impl Default for RawLog {
    fn default() -> Self {
        Self {
            format: "text".to_owned(),
            level: "info".to_owned(),
        }
    }
}

/// How a process logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// `text` or `json`.
    pub format: String,
    /// A level, or a filter such as `warn,drover_agent=debug`.
    pub level: String,
}

impl RawLog {
    /// `at` is the section's name.
    pub fn check(self, at: &str, check: &mut Check) -> LogSettings {
        if !["text", "json"].contains(&self.format.as_str()) {
            check.problem(&format!("{at}.format"), "must be `text` or `json`");
        }
        if !is_filter(&self.level) {
            let words =
                "must be a level such as `info`, or a filter such as `warn,drover_agent=debug`";
            check.problem(&format!("{at}.level"), words);
        }
        LogSettings {
            format: self.format,
            level: self.level,
        }
    }
}

impl LogSettings {
    /// The environment with these settings in it, as [`crate::runtime::telemetry::init`] reads them.
    pub fn over(&self, environment: Environment) -> Environment {
        environment
            .with("DROVER_LOG", self.level.as_str())
            .with("DROVER_LOG_FORMAT", self.format.as_str())
    }
}

/// TLS of a server as it is read: paths of PEM files.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawServerTls {
    /// Certificate.
    pub cert: Option<String>,
    /// Its key.
    pub key: Option<String>,
    /// Who signs the certificates of clients.
    pub client_ca: Option<String>,
}

impl RawServerTls {
    /// None where nothing of it is set. `at` is the section's name.
    pub fn check(self, at: &str, check: &mut Check) -> Option<ServerTls> {
        let name = |key: &str| format!("{at}.{key}");
        let path = |key: &str, text: &Option<String>| {
            text.as_deref().map(|text| check.path(&name(key), text))
        };
        let client_ca = path("client_ca", &self.client_ca);
        let loaded = match (path("cert", &self.cert), path("key", &self.key)) {
            (None, None) if client_ca.is_none() => return None,
            (Some(cert), Some(key)) => ServerTls::load(&cert, &key, client_ca.as_deref()),
            _ => Err(TlsError::Half),
        };
        loaded
            .map_err(|error| check.problem(&name("cert"), error.to_string()))
            .ok()
    }
}

/// TLS of a client as it is read: paths of PEM files.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawClientTls {
    /// Who signed the server's certificate.
    pub ca: Option<String>,
    /// Its own certificate.
    pub cert: Option<String>,
    /// The certificate's key.
    pub key: Option<String>,
    /// The name in the server's certificate.
    pub server_name: Option<String>,
}

impl RawClientTls {
    /// None where nothing of it is set. `at` is the section's name.
    pub fn check(self, at: &str, check: &mut Check) -> Option<ClientTls> {
        let name = |key: &str| format!("{at}.{key}");
        let path = |key: &str, text: &Option<String>| {
            text.as_deref().map(|text| check.path(&name(key), text))
        };
        let ca = path("ca", &self.ca);
        let (cert, key) = (path("cert", &self.cert), path("key", &self.key));
        let name_is_set = self.server_name.is_some();
        if ca.is_none() && cert.is_none() && key.is_none() && !name_is_set {
            return None;
        }
        let place = match (&cert, &key) {
            (None, None) => name("ca"),
            _ => name("cert"),
        };
        ClientTls::load(
            ca.as_deref(),
            (cert.as_deref(), key.as_deref()),
            self.server_name.as_deref(),
        )
        .map_err(|error| check.problem(&place, error.to_string()))
        .ok()
    }
}
