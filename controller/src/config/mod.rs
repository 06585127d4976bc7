//! The configuration of a controller: one TOML file, the environment over it, flags over both.
//!
//! `deploy/config/controller.toml` shows every setting. [`load`] is what `main` calls; nothing else reads
//! settings.

mod args;
mod raw;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;

use proto::lease::EtcdSettings;
use proto::runtime::channel::{Address, ServerLimits, ServerTls};
use proto::runtime::settings::database_url::{UrlProblem, for_driver};
use proto::runtime::settings::{
    Check, Environment, Invalid, Layers, Leave, LogSettings, Read, choose_file, go_on,
};
use proto::wire::PORT;
use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

pub use args::Args;
pub use raw::RawController;

/// Begins the variables of a controller's settings.
const PREFIX: &str = "DROVER_CONTROLLER";
/// The variable that names the configuration file.
const FILE_VARIABLE: &str = "DROVER_CONTROLLER_CONFIG";
/// The configuration file where none is named.
const USUAL_FILE: &str = "/etc/drover/controller.toml";

/// A controller's configuration, checked. Its metadata options hold a password.
#[derive(Clone)]
pub struct ControllerConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How clients and agents reach it: `host:port`.
    pub advertise: String,
    /// Its id; a new one for every process where there is none.
    pub controller_id: Option<Uuid>,
    /// The metadata database.
    pub metadata: PgConnectOptions,
    /// Schema of the metadata.
    pub schema: String,
    /// The lease store.
    pub etcd: EtcdSettings,
    /// Its certificate; without it, it speaks plain text.
    pub tls: Option<ServerTls>,
    /// What it allows each connection.
    pub limits: ServerLimits,
    /// Largest message it takes, in bytes.
    pub max_message_bytes: usize,
    /// How it logs.
    pub log: LogSettings,
}

/// Without credentials.
impl fmt::Debug for ControllerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControllerConfig")
            .field("listen", &self.listen)
            .field("advertise", &self.advertise)
            .field("controller_id", &self.controller_id)
            .field("schema", &self.schema)
            .field("etcd", &self.etcd)
            .field("tls", &self.tls)
            .field("limits", &self.limits)
            .field("max_message_bytes", &self.max_message_bytes)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

/// The configuration to run with.
///
/// # Errors
/// What to print, and the exit code: where it is not valid, and where it was to be checked only.
pub fn load(args: &Args, environment: &Environment) -> Result<ControllerConfig, Leave> {
    go_on(read(args, environment).try_into(), args.check_config)
}

fn read(args: &Args, environment: &Environment) -> Read<RawController> {
    let mut layers = Layers::new::<RawController>(PREFIX);
    let usual = Path::new(USUAL_FILE);
    if let Some(path) = choose_file(args.config.as_deref(), environment, FILE_VARIABLE, usual) {
        layers.file(&path);
    }
    lay(layers, args, environment)
}

/// Everything that is over the file.
fn lay(mut layers: Layers, args: &Args, environment: &Environment) -> Read<RawController> {
    layers.alias(environment, "DROVER_METADATA_URL", "metadata.url");
    layers.alias(environment, "DROVER_LOG", "log.level");
    layers.alias(environment, "DROVER_LOG_FORMAT", "log.format");
    layers.environment(environment);
    if let Some(listen) = &args.listen {
        layers.flag("--listen", "listen", listen);
    }
    if let Some(advertise) = &args.advertise {
        layers.flag("--advertise", "advertise", advertise);
    }
    for assignment in &args.set {
        layers.set(assignment);
    }
    layers.read()
}

impl TryFrom<Read<RawController>> for ControllerConfig {
    type Error = Invalid;

    fn try_from(read: Read<RawController>) -> Result<Self, Invalid> {
        let (raw, mut check) = read.parts()?;
        let listen = listen(&raw.listen, &mut check);
        let advertise = advertise(raw.advertise, listen, &mut check);
        let controller_id = controller_id(raw.controller_id.as_deref(), &mut check);
        let metadata = metadata(raw.metadata.url, raw.metadata.url_file, &mut check);
        let schema = check.required("metadata.schema", Some(raw.metadata.schema));
        let etcd = raw.etcd.check("etcd", &mut check);
        let tls = raw.tls.check("tls", &mut check);
        let (limits, max_message_bytes) = raw.limits.check(&mut check);
        let log = raw.log.check("log", &mut check);
        let made = || {
            Some(Self {
                listen: listen?,
                advertise: advertise?,
                controller_id,
                metadata: metadata?,
                schema: schema?,
                etcd,
                tls,
                limits,
                max_message_bytes,
                log,
            })
        };
        check.finish(made())
    }
}

fn listen(text: &str, check: &mut Check) -> Option<SocketAddr> {
    let listen = text
        .parse::<SocketAddr>()
        .ok()
        .filter(|listen| listen.port() != 0);
    if listen.is_none() {
        let words = "must be the number of an interface and a port, such as 127.0.0.1:7420";
        check.problem("listen", words);
    }
    listen
}

/// Where it listens, unless something else is said. Others cannot dial every interface.
fn advertise(
    text: Option<String>,
    listen: Option<SocketAddr>,
    check: &mut Check,
) -> Option<String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        let listen = listen?;
        if listen.ip().is_unspecified() {
            let words = "is missing: `listen` names every interface, and others must be told where \
                         this controller is";
            check.problem("advertise", words);
            return None;
        }
        return Some(listen.to_string());
    };
    match Address::parse(&text, listen.map_or(PORT, |listen| listen.port())) {
        Ok(address) if is_everywhere(&address) => {
            check.problem("advertise", "must be an address that others can dial");
            None
        }
        Ok(address) => Some(address.to_string()),
        Err(error) => {
            check.problem("advertise", error.to_string());
            None
        }
    }
}

fn is_everywhere(address: &Address) -> bool {
    let host = address.host().trim_matches(['[', ']']);
    host.parse::<std::net::IpAddr>()
        .is_ok_and(|ip| ip.is_unspecified())
        || address.port() == 0
}

fn controller_id(text: Option<&str>, check: &mut Check) -> Option<Uuid> {
    let id = Uuid::try_parse(text?).ok();
    if id.is_none() {
        check.problem("controller_id", "must be a UUID");
    }
    id
}

fn metadata(
    url: Option<String>,
    url_file: Option<String>,
    check: &mut Check,
) -> Option<PgConnectOptions> {
    let (place, url) = match (url, url_file) {
        (Some(url), None) => ("metadata.url", url),
        (None, Some(file)) => {
            let place = "metadata.url_file";
            let secret = check.secret(place, Some(&file))?;
            (place, secret.expose().to_owned())
        }
        (Some(_), Some(_)) => {
            let file = check.place("metadata.url_file");
            let words = format!("is set beside `{file}`; only one of them can be");
            check.problem("metadata.url", words);
            return None;
        }
        (None, None) => {
            check.missing("metadata.url");
            return None;
        }
    };
    let options = for_driver(&url)
        .and_then(|url| PgConnectOptions::from_str(&url).map_err(|_| UrlProblem::Driver));
    options
        .map_err(|problem| check.problem(place, problem.to_string()))
        .ok()
}

#[cfg(test)]
mod tests;
