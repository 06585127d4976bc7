//! Rules: a pipeline of steps becomes one SQL expression of the source plus a few agent-side steps.
//!
//! Types are tracked from step to step, so that what cannot fit is a problem of the plan and what
//! may not fit is a check. No SQL made here raises for a row: a value that does not fit becomes NULL
//! (or the rule's default) and a bit of the fault field.

mod convert;
mod decimal;
mod draft;
mod edits;
mod jsons;
mod lengths;
mod literal;
mod lookup;
mod map;
mod numbers;
mod phone;
mod pii;
mod pipeline;
mod scope;
mod sources;
#[cfg(test)]
mod tests;
mod texts;
mod ty;
mod tz;
mod unit;
mod values;
mod when;

pub use convert::{Fit, convert};
pub use draft::{Draft, DraftFault};
pub use edits::regex_probe;
pub use jsons::json_path;
pub use literal::literal;
pub use lookup::{EntityRows, Others, equal, missing, named};
pub use phone::PHONE_REGIONS;
pub use pipeline::{continued, value_of};
pub use scope::{Joined, Scope, free_sql, mentions};
pub use ty::Ty;
pub use tz::zone_probe;
