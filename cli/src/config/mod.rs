//! The configured connections: the environment first, then the configuration file.
//!
//! `DROVER_CONNECTION_<NAME>` (upper case, `-` as `_`) holds a URL, `DROVER_CONNECTION_<NAME>_FILE` the
//! path of a file that does. The TOML file has `[connections.NAME]` with `url` or `url_file`, and
//! `password_file` beside either. Unknown keys are refused, every problem is reported at once, and
//! nothing here prints a credential.

mod file;
mod url;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use proto::runtime::settings::Environment;
use sqlx::postgres::PgConnectOptions;

use crate::stop::Stop;
use file::Entry;
pub use url::{holds_password, parse as parse_url};

const PREFIX: &str = "DROVER_CONNECTION_";
const FILE_SUFFIX: &str = "_FILE";

/// A database that a name leads to.
#[derive(Clone)]
pub struct Connection {
    /// The name, as plans use it.
    pub name: String,
    /// How to reach it.
    pub options: PgConnectOptions,
}

/// Without the password, which the options would show.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, url::describe(&self.options))
    }
}

/// Every configured connection.
pub struct Connections {
    environment: Environment,
    entries: BTreeMap<String, Entry>,
}

impl Connections {
    /// Reads the configuration file; that it is missing is fine unless somebody named it.
    pub fn load(named: Option<&Path>, environment: &Environment) -> Result<Self, Stop> {
        let named = named
            .map(Path::to_path_buf)
            .or_else(|| environment.get("DROVER_CONFIG").map(PathBuf::from));
        let entries = match named.clone().or_else(|| default_path(environment)) {
            Some(path) => file::read(&path, named.is_some())?,
            None => BTreeMap::new(),
        };
        Ok(Self {
            environment: environment.clone(),
            entries,
        })
    }

    /// The connection of that name.
    pub fn get(&self, name: &str) -> Result<Connection, Stop> {
        match self.find(name)? {
            Some(options) => Ok(Connection {
                name: name.to_owned(),
                options,
            }),
            None => Err(
                Stop::usage(format!("connection `{name}` is not configured")).hinting(format!(
                    "set {}=postgres://user:password@host/database",
                    variable(name)
                )),
            ),
        }
    }

    /// Every connection; those that only the environment has get their name in lower case.
    pub fn all(&self) -> Result<Vec<Connection>, Stop> {
        let mut names: Vec<String> = self.entries.keys().cloned().collect();
        for (name, _) in self.environment.iter() {
            let Some(stem) = name.strip_prefix(PREFIX) else {
                continue;
            };
            let stem = stem.strip_suffix(FILE_SUFFIX).unwrap_or(stem);
            if !stem.is_empty() && !names.iter().any(|name| variable(name) == variable(stem)) {
                names.push(stem.to_lowercase());
            }
        }
        names.iter().map(|name| self.get(name)).collect()
    }

    /// What the environment says, else what the file says.
    fn find(&self, name: &str) -> Result<Option<PgConnectOptions>, Stop> {
        let variable = variable(name);
        let file_variable = format!("{variable}{FILE_SUFFIX}");
        match (
            self.environment.get(&variable),
            self.environment.get(&file_variable),
        ) {
            (Some(_), Some(_)) => Err(Stop::usage(format!(
                "{variable} and {file_variable} are both set"
            ))),
            (Some(text), None) => parse(&variable, text).map(Some),
            (None, Some(path)) => {
                let text = file::read_secret(Path::new(path), &file_variable)?;
                parse(&file_variable, text.expose()).map(Some)
            }
            (None, None) => self.entries.get(name).map(Entry::options).transpose(),
        }
    }
}

/// Names only.
impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries.keys()).finish()
    }
}

/// The database of Drover's own records, where one is named: the flag wins.
pub fn metadata(
    flag: Option<&str>,
    environment: &Environment,
) -> Result<Option<PgConnectOptions>, Stop> {
    match (flag, environment.get("DROVER_METADATA_URL")) {
        (Some(text), _) => parse("--metadata-url", text).map(Some),
        (None, Some(text)) => parse("DROVER_METADATA_URL", text).map(Some),
        (None, None) => Ok(None),
    }
}

/// The variable of a connection.
pub fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_uppercase().replace('-', "_"))
}

fn parse(place: &str, text: &str) -> Result<PgConnectOptions, Stop> {
    parse_url(text).map_err(|problem| Stop::usage(format!("{place}: {problem}")))
}

fn default_path(environment: &Environment) -> Option<PathBuf> {
    let base = match environment.get("XDG_CONFIG_HOME") {
        Some(path) => PathBuf::from(path),
        None => Path::new(environment.get("HOME")?).join(".config"),
    };
    Some(base.join("drover").join("config.toml"))
}

#[cfg(test)]
mod tests;
