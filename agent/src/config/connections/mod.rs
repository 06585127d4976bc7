//! The configured connections: the environment first, then the configuration file.
//!
//! `DROVER_CONNECTION_<NAME>` (upper case, `-` as `_`) holds a URL, `DROVER_CONNECTION_<NAME>_FILE` the
//! path of a file that does. The TOML file has `[connections.NAME]` with `url` or `url_file`, and
//! `password_file` beside either. Unknown keys are refused, every problem is reported at once, and
//! nothing here prints a credential. An agent's own file has them among other settings; the file of the
//! command has nothing else.

mod error;
mod file;
mod url;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use proto::runtime::settings::Environment;
use sqlx::postgres::PgConnectOptions;

pub use error::ConnectionsError;
pub use file::{Entry, check_entries};
pub use proto::runtime::settings::database_url::holds_password;
pub use url::parse as parse_url;

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
    /// Those of a file that was read already, under the environment.
    pub fn new(environment: Environment, entries: BTreeMap<String, Entry>) -> Self {
        Self {
            environment,
            entries,
        }
    }

    /// Reads the configuration file of the command; that it is missing is fine unless somebody named it.
    ///
    /// # Errors
    /// For a file that cannot be read or is not valid.
    pub fn load(named: Option<&Path>, environment: &Environment) -> Result<Self, ConnectionsError> {
        let named = named
            .map(Path::to_path_buf)
            .or_else(|| environment.get("DROVER_CONFIG").map(PathBuf::from));
        let entries = match named.clone().or_else(|| default_path(environment)) {
            Some(path) => file::read(&path, named.is_some())?,
            None => BTreeMap::new(),
        };
        Ok(Self::new(environment.clone(), entries))
    }

    /// The connection of that name.
    ///
    /// # Errors
    /// `Find` where there is none; else what is wrong with it.
    pub fn get(&self, name: &str) -> Result<Connection, ConnectionsError> {
        match self.find(name)? {
            Some(options) => Ok(Connection {
                name: name.to_owned(),
                options,
            }),
            None => Err(ConnectionsError::Find {
                name: name.to_owned(),
            }),
        }
    }

    /// Every name; those that only the environment has are in lower case.
    pub fn names(&self) -> Vec<String> {
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
        names
    }

    /// Every connection, by [`Connections::names`].
    ///
    /// # Errors
    /// The first that cannot be had.
    pub fn all(&self) -> Result<Vec<Connection>, ConnectionsError> {
        self.names().iter().map(|name| self.get(name)).collect()
    }

    /// What the environment says, else what the file says.
    fn find(&self, name: &str) -> Result<Option<PgConnectOptions>, ConnectionsError> {
        let variable = variable(name);
        let file_variable = format!("{variable}{FILE_SUFFIX}");
        match (
            self.environment.get(&variable),
            self.environment.get(&file_variable),
        ) {
            (Some(_), Some(_)) => Err(ConnectionsError::ChooseVariable {
                variable,
                file_variable,
            }),
            (Some(text), None) => parse_at(&variable, text).map(Some),
            (None, Some(path)) => {
                let text = file::read_secret(Path::new(path), &file_variable)?;
                parse_at(&file_variable, text.expose()).map(Some)
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

/// The variable of a connection.
pub fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_uppercase().replace('-', "_"))
}

/// The options of a URL that stands at a place.
///
/// # Errors
/// `ParseUrl`.
pub fn parse_at(place: &str, text: &str) -> Result<PgConnectOptions, ConnectionsError> {
    parse_url(text).map_err(|problem| ConnectionsError::ParseUrl {
        place: place.to_owned(),
        problem,
    })
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
