//! An agent's settings as they are read: plain values, defaults, no check. The one list of them.

use std::collections::BTreeMap;

use proto::lease::RawEtcd;
use proto::runtime::settings::{RawClientTls, RawLog};
use schemars::JsonSchema;
use serde::Deserialize;

/// The whole file.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawAgent {
    /// Its name; the machine's, if not set.
    pub name: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Partitions at the same time; the machine's cores, if not set.
    pub capacity: Option<i64>,
    /// Where controllers are.
    pub controllers: Vec<String>,
    /// TLS towards controllers.
    pub tls: RawClientTls,
    /// The lease store.
    pub etcd: RawEtcd,
    /// Databases, by the names of plans; checked by [`super::connections`].
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub connections: toml::Table,
    /// How long it works on without any controller.
    pub orphan_limit: String,
    /// How long it may take to stop.
    pub drain_deadline: String,
    /// How it logs.
    pub log: RawLog,
}

impl Default for RawAgent {
    fn default() -> Self {
        Self {
            name: None,
            region: None,
            labels: BTreeMap::new(),
            capacity: None,
            controllers: Vec::new(),
            tls: RawClientTls::default(),
            etcd: RawEtcd::default(),
            connections: toml::Table::new(),
            orphan_limit: "60s".to_owned(),
            drain_deadline: "30s".to_owned(),
            log: RawLog::default(),
        }
    }
}
