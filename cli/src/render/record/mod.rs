//! The records of the data model as lines of lists, one file per record.

mod agent;
mod batch;
mod checkpoint;
pub mod csv;
mod decision;
pub mod entity;
mod error;
mod mapping;
mod migration;
mod planned;
mod rules;
mod schema;
pub mod undo;
mod validation;

pub use agent::details as agent_details;
pub use error::details as error_details;
pub use mapping::NamedMapping;
pub use migration::ReadMigration;
pub use planned::PlannedEntity;
pub use rules::details as rules_details;
pub use schema::{DraftedChange, reasons as schema_reasons};
pub use validation::FoundRow;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::human;

/// The beginning of an id, enough to name it.
fn short(id: Uuid) -> String {
    id.to_string().chars().take(8).collect()
}

fn age(then: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    then.map_or_else(String::new, |then| human::age(then, now))
}

fn yes(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.to_owned()
}
