//! Connection URLs as options of the driver, and what may be said about these.

use std::str::FromStr;

use proto::runtime::settings::database_url::{UrlProblem, for_driver};
use sqlx::postgres::PgConnectOptions;

/// The options of a URL.
///
/// # Errors
/// What is wrong, without repeating any of it.
pub fn parse(text: &str) -> Result<PgConnectOptions, UrlProblem> {
    PgConnectOptions::from_str(&for_driver(text)?).map_err(|_| UrlProblem::Driver)
}

/// Where options lead, without credentials.
pub fn describe(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or("the user's database");
    format!("{}:{}/{database}", options.get_host(), options.get_port())
}
