//! How to reach etcd, and what is asked of it; checked before the first call.

use std::fmt;
use std::time::Duration;

use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};

use crate::lease::{LeaseError, LeaseTimes};
use crate::runtime::settings::Secret;

/// How to reach etcd. [`EtcdSettings::new`] fills in everything but the endpoints.
#[derive(Debug, Clone)]
pub struct EtcdSettings {
    /// `http://host:port` or `https://host:port` of each member; one is used at a time.
    pub endpoints: Vec<String>,
    /// Every key is below it.
    pub prefix: String,
    /// Lifetimes of leases; etcd knows whole seconds and raises short ones to about two.
    pub times: LeaseTimes,
    /// The longest that one request may take.
    pub request_timeout: Duration,
    /// The longest that connecting to a member may take.
    pub connect_timeout: Duration,
    /// A call that the server does not answer is repeated for this long.
    pub retry_within: Duration,
    /// User and password, where etcd asks for them.
    pub login: Option<EtcdLogin>,
    /// Certificates, for `https` endpoints; without them the system's roots are trusted.
    pub tls: Option<EtcdTls>,
}

/// A user of etcd.
#[derive(Debug, Clone)]
pub struct EtcdLogin {
    /// Its name.
    pub user: String,
    /// Its password.
    pub password: Secret,
}

/// Certificates in PEM.
#[derive(Clone, Default)]
pub struct EtcdTls {
    /// Who signed the server's certificate; the system's roots where there is none.
    pub ca: Option<Vec<u8>>,
    /// Our own certificate and its key, where the server asks for one.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name in the server's certificate, where it is not the endpoint's host.
    pub domain: Option<String>,
}

impl fmt::Debug for EtcdTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdTls")
            .field("ca", &self.ca.is_some())
            .field("identity", &self.identity.is_some())
            .field("domain", &self.domain)
            .finish()
    }
}

impl EtcdSettings {
    /// Where keys are unless another prefix is set.
    pub const PREFIX: &str = "/drover/v1";

    /// The usual settings for these endpoints.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            prefix: Self::PREFIX.to_owned(),
            times: LeaseTimes::default(),
            request_timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(2),
            retry_within: Duration::from_secs(10),
            login: None,
            tls: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), LeaseError> {
        let fault = if self.endpoints.is_empty() {
            Some("no endpoint is set")
        } else if self.endpoints.iter().any(String::is_empty) {
            Some("an endpoint is empty")
        } else if !self.prefix.starts_with('/') || self.prefix.ends_with('/') {
            Some("the prefix does not begin with `/`, or ends with one")
        } else if self.times.agent.is_zero() || self.times.leader.is_zero() {
            Some("a lease would live for no time")
        } else {
            None
        };
        match fault {
            Some(fault) => Err(LeaseError::Unavailable {
                reason: fault.to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// Ping a silent connection this often: a dead peer must not look like a quiet one.
    fn ping(&self) -> Duration {
        self.times.agent.min(self.times.leader) / 3
    }

    pub(super) fn options(&self) -> ConnectOptions {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(self.connect_timeout)
            .with_timeout(self.request_timeout)
            .with_keep_alive(self.ping(), self.ping())
            .with_keep_alive_while_idle(true)
            .with_require_leader(true);
        if let Some(login) = &self.login {
            options = options
                .with_user(login.user.clone(), login.password.expose())
                .with_auto_token_refresh(true);
        }
        if let Some(tls) = self.tls_options() {
            options = options.with_tls(tls);
        }
        options
    }

    /// tonic takes ring here even where another provider is compiled in, unless the process installed
    /// one of its own.
    fn tls_options(&self) -> Option<TlsOptions> {
        let is_https = |endpoint: &String| endpoint.starts_with("https://");
        let given = self.tls.clone();
        let tls = given.or_else(|| self.endpoints.iter().any(is_https).then(EtcdTls::default))?;
        let mut options = TlsOptions::new();
        options = match tls.ca {
            Some(ca) => options.ca_certificate(Certificate::from_pem(ca)),
            None => options.with_native_roots(),
        };
        if let Some((certificate, key)) = tls.identity {
            options = options.identity(Identity::from_pem(certificate, key));
        }
        if let Some(domain) = tls.domain {
            options = options.domain_name(domain);
        }
        Some(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_refused_and_secrets_are_not_printed() {
        let good = EtcdSettings {
            login: Some(EtcdLogin {
                user: "drover".to_owned(),
                password: Secret::new("hunter2"),
            }),
            tls: Some(EtcdTls {
                identity: Some((b"hunter2".to_vec(), b"hunter2".to_vec())),
                ..EtcdTls::default()
            }),
            ..EtcdSettings::new(["http://127.0.0.1:2379"])
        };
        assert_eq!(good.check(), Ok(()));
        assert!(!format!("{good:?}").contains("hunter2"));
        assert!(EtcdSettings::new([""; 0]).check().is_err());
        for prefix in ["", "/", "drover", "/drover/"] {
            let bad = EtcdSettings {
                prefix: prefix.to_owned(),
                ..good.clone()
            };
            assert!(bad.check().is_err(), "{prefix}");
        }
    }
}
