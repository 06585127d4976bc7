//! TLS towards controllers: which files, and whether it is used at all.

use std::path::{Path, PathBuf};

use proto::runtime::settings::Environment;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::address::Address;
use crate::args::ControllerArgs;
use crate::stop::Stop;

/// The files and the name; none of them where TLS is not asked for.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    server_name: Option<String>,
}

impl Tls {
    /// Flags before environment.
    pub fn of(args: &ControllerArgs, environment: &Environment) -> Self {
        let path = |flag: &Option<PathBuf>, name: &str| {
            flag.clone()
                .or_else(|| environment.get(name).map(PathBuf::from))
        };
        let server_name = environment.get("DROVER_TLS_SERVER_NAME");
        Self {
            ca: path(&args.tls_ca, "DROVER_TLS_CA"),
            cert: path(&args.tls_cert, "DROVER_TLS_CERT"),
            key: path(&args.tls_key, "DROVER_TLS_KEY"),
            server_name: args
                .tls_server_name
                .clone()
                .or_else(|| server_name.map(str::to_owned)),
        }
    }

    /// Whether anything of it is set.
    fn is_wanted(&self) -> bool {
        self.ca.is_some() || self.cert.is_some() || self.key.is_some() || self.server_name.is_some()
    }

    /// Whether an address is reached by TLS: where it says so, else where anything of it is set.
    pub fn is_used(&self, address: &Address) -> bool {
        address.tls().unwrap_or_else(|| self.is_wanted())
    }

    /// Reads the files. The system's certificates are trusted where no other is named.
    pub fn load(&self) -> Result<ClientTlsConfig, Stop> {
        let mut config = ClientTlsConfig::new();
        config = match &self.ca {
            Some(path) => config.ca_certificate(Certificate::from_pem(read("--tls-ca", path)?)),
            None => config.with_native_roots(),
        };
        config = match (&self.cert, &self.key) {
            (None, None) => config,
            (Some(cert), Some(key)) => config.identity(Identity::from_pem(
                read("--tls-cert", cert)?,
                read("--tls-key", key)?,
            )),
            _ => {
                return Err(Stop::usage("--tls-cert and --tls-key belong together"));
            }
        };
        Ok(match &self.server_name {
            Some(name) => config.domain_name(name),
            None => config,
        })
    }
}

fn read(place: &str, path: &Path) -> Result<Vec<u8>, Stop> {
    std::fs::read(path)
        .map_err(|error| Stop::usage(format!("{place}: {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_used_where_the_address_or_a_flag_asks_for_it() {
        let used = |tls: &Tls, text: &str| tls.is_used(&Address::parse(text).unwrap());
        let none = Tls::default();
        assert!(!used(&none, "a") && !used(&none, "http://a") && used(&none, "https://a"));
        let named = Tls {
            server_name: Some("a".to_owned()),
            ..Tls::default()
        };
        assert!(used(&named, "a") && !used(&named, "http://a"));
    }

    #[test]
    fn half_an_identity_and_missing_files_are_refused() {
        let half = Tls {
            cert: Some("cert.pem".into()),
            ..Tls::default()
        };
        assert!(
            half.load()
                .unwrap_err()
                .message()
                .contains("belong together")
        );
        let missing = Tls {
            ca: Some("/nowhere/ca.pem".into()),
            ..Tls::default()
        };
        assert!(
            missing
                .load()
                .unwrap_err()
                .message()
                .starts_with("--tls-ca")
        );
    }
}
