//! `[etcd]` of a server's configuration.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{EtcdLogin, EtcdSettings, EtcdTls, LeaseTimes};
use crate::runtime::channel::{Address, AddressError};
use crate::runtime::settings::{Check, RawClientTls, Secret};

/// Port of an endpoint that names none.
const PORT: u16 = 2379;
/// Leases that are shorter would end at a pause of the machine; etcd raises them to about this.
const SHORTEST: Duration = Duration::from_secs(2);
/// Nobody waits longer for work to go to somebody else.
const LONGEST: Duration = Duration::from_secs(600);

/// `[etcd]` as it is read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawEtcd {
    /// Address of each member.
    pub endpoints: Vec<String>,
    /// Every key is below it.
    pub prefix: String,
    /// User, where etcd asks for one.
    pub user: Option<String>,
    /// File with the user's password.
    pub password_file: Option<String>,
    /// File with who signed the certificates of etcd.
    pub ca: Option<String>,
    /// File with our own certificate.
    pub cert: Option<String>,
    /// File with the certificate's key.
    pub key: Option<String>,
    /// The name in the certificates of etcd.
    pub server_name: Option<String>,
    /// How long a controller leads without being heard of.
    pub leader_ttl: String,
    /// How long an agent keeps its work without being heard of.
    pub agent_ttl: String,
}

impl Default for RawEtcd {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            prefix: EtcdSettings::PREFIX.to_owned(),
            user: None,
            password_file: None,
            ca: None,
            cert: None,
            key: None,
            server_name: None,
            leader_ttl: "6s".to_owned(),
            agent_ttl: "10s".to_owned(),
        }
    }
}

impl RawEtcd {
    /// `at` is the section's name. Endpoints without a scheme are reached by TLS where files for it are
    /// named.
    pub fn check(self, at: &str, check: &mut Check) -> EtcdSettings {
        let name = |key: &str| format!("{at}.{key}");
        let tls = RawClientTls {
            ca: self.ca,
            cert: self.cert,
            key: self.key,
            server_name: self.server_name,
        };
        let tls = tls.check(at, check);
        let endpoints = endpoints(&self.endpoints, tls.is_some());
        if self.endpoints.is_empty() {
            check.missing(&name("endpoints"));
        }
        if let Err(error) = &endpoints {
            check.problem(&name("endpoints"), error.to_string());
        }
        if !self.prefix.starts_with('/') || self.prefix.ends_with('/') {
            let words = "must begin with `/` and not end with it";
            check.problem(&name("prefix"), words);
        }
        let password = check.secret(&name("password_file"), self.password_file.as_deref());
        let mut span = |key: &str, text: &str| check.duration(&name(key), text, SHORTEST..=LONGEST);
        let times = LeaseTimes {
            leader: span("leader_ttl", &self.leader_ttl),
            agent: span("agent_ttl", &self.agent_ttl),
        };
        let login = login(self.user, self.password_file.is_some(), password);
        if login.is_none() {
            let words = "user and password_file belong together";
            check.problem(&name("user"), words);
        }
        EtcdSettings {
            prefix: self.prefix,
            times,
            login: login.flatten(),
            tls: tls.map(|tls| EtcdTls {
                ca: tls.ca,
                identity: tls.identity,
                domain: tls.server_name,
            }),
            ..EtcdSettings::new(endpoints.unwrap_or_default())
        }
    }
}

/// None where one is given without the other.
fn login(
    user: Option<String>,
    has_file: bool,
    password: Option<Secret>,
) -> Option<Option<EtcdLogin>> {
    match (user, has_file) {
        (None, false) => Some(None),
        // A file that cannot be read is a problem already.
        (Some(user), true) => Some(password.map(|password| EtcdLogin { user, password })),
        (None, true) | (Some(_), false) => None,
    }
}

fn endpoints(texts: &[String], has_tls: bool) -> Result<Vec<String>, AddressError> {
    let endpoint = |text: &String| {
        let address = Address::parse(text, PORT)?;
        let scheme = match address.tls().unwrap_or(has_tls) {
            true => "https",
            false => "http",
        };
        Ok(format!("{scheme}://{address}"))
    };
    texts.iter().map(endpoint).collect()
}
