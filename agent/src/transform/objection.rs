//! Why a row is not written.

use proto::domain::compiled::RowAction;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::key::KeyValue;
use serde_json::json;

use super::overrides::Match;
use crate::batch::RowFailure;

/// Why a row is not written.
pub struct Objection {
    /// `DROVER_…`.
    pub code: String,
    /// Words without row values.
    pub message: String,
    /// Path of the rule, or the column.
    pub context: serde_json::Value,
    /// Quarantine or fail.
    pub action: RowAction,
    /// Its parent failed.
    pub is_held: bool,
}

impl Objection {
    /// A row that matched and may not be written; `duplicates` is what becomes of rows that match the same.
    pub fn of_match(
        refusal: Match,
        duplicates: Option<&(RowAction, String)>,
        default: &RowAction,
    ) -> Self {
        let (code, message, action) = match refusal {
            Match::Ambiguous => (
                "DROVER_MATCH_AMBIGUOUS",
                "several rows of the destination match it",
                default,
            ),
            Match::Unreadable => (
                "DROVER_MATCH_UNREADABLE",
                "its natural key cannot be read from the source",
                default,
            ),
            Match::Duplicate | Match::Id(_) => (
                "DROVER_MATCH_DUPLICATE",
                "other rows match the same row of the destination",
                duplicates.map_or(default, |(action, _)| action),
            ),
        };
        Self {
            code: code.to_owned(),
            message: message.to_owned(),
            context: json!({ "rule": duplicates.map(|(_, path)| path) }),
            action: action.clone(),
            is_held: false,
        }
    }

    /// The row's failure.
    ///
    /// # Errors
    /// `RowRefused` where a rule says `fail`.
    pub fn into_failure(self, at: usize, key: KeyValue) -> Result<RowFailure, Failure> {
        if self.action == RowAction::Fail {
            return Err(Failure::new(
                FailureKind::RowRefused,
                format!(
                    "row {} is refused ({}): {}",
                    key.to_record_id(),
                    self.code,
                    self.message
                ),
            ));
        }
        Ok(RowFailure {
            at,
            key,
            code: self.code,
            message: self.message,
            context: self.context,
            is_held: self.is_held,
        })
    }
}
