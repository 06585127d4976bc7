//! The configured connections, as the command uses them: what is wrong ends it with exit code 2.
//!
//! Which there are and how they are written is in [`agent::config::connections`].

use std::path::Path;

use agent::config::connections::{self as configured, ConnectionsError, parse_at};
pub use agent::config::connections::{Connection, holds_password};
use proto::runtime::settings::Environment;
use sqlx::postgres::PgConnectOptions;

use crate::stop::Stop;

/// Every configured connection.
#[derive(Debug)]
pub struct Connections(configured::Connections);

impl Connections {
    /// Reads the configuration file; that it is missing is fine unless somebody named it.
    pub fn load(named: Option<&Path>, environment: &Environment) -> Result<Self, Stop> {
        Ok(Self(configured::Connections::load(named, environment)?))
    }

    /// The connection of that name.
    pub fn get(&self, name: &str) -> Result<Connection, Stop> {
        Ok(self.0.get(name)?)
    }

    /// Every connection; those that only the environment has get their name in lower case.
    pub fn all(&self) -> Result<Vec<Connection>, Stop> {
        Ok(self.0.all()?)
    }
}

/// The database of Drover's own records, where one is named: the flag wins.
pub fn metadata(
    flag: Option<&str>,
    environment: &Environment,
) -> Result<Option<PgConnectOptions>, Stop> {
    let options = match (flag, environment.get("DROVER_METADATA_URL")) {
        (Some(text), _) => parse_at("--metadata-url", text)?,
        (None, Some(text)) => parse_at("DROVER_METADATA_URL", text)?,
        (None, None) => return Ok(None),
    };
    Ok(Some(options))
}

impl From<ConnectionsError> for Stop {
    fn from(error: ConnectionsError) -> Self {
        let mut stop = Self::usage(error.to_string());
        if !error.lines().is_empty() {
            stop = stop.listing(error.lines().to_vec());
        }
        match error.hint() {
            Some(hint) => stop.hinting(hint),
            None => stop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_connection_says_which_variable_to_set() {
        let none = configured::Connections::new(Environment::default(), Default::default());
        let stop = Connections(none).get("app").unwrap_err();
        assert_eq!(stop.code().number(), 2);
        assert!(format!("{stop:?}").contains("DROVER_CONNECTION_APP="));
    }
}
