//! Validations, their results and what they found as lines of lists.

use chrono::{DateTime, Utc};
use proto::domain::frame::Finding;
use proto::domain::record::{DataValidationResult, ValidationRun};
use serde::Serialize;

use super::short;
use crate::render::{Column, Row, human, left, right};

impl Row for ValidationRun {
    const COLUMNS: &'static [Column] = &[
        left("id"),
        left("state"),
        left("outcome"),
        left("level"),
        right("done"),
        right("age"),
        left("by").wide(),
        left("entities").wide(),
        right("attempt").wide(),
        left("reason"),
    ];

    fn cells(&self, now: DateTime<Utc>) -> Vec<String> {
        vec![
            short(self.id),
            self.status.as_str().to_uppercase(),
            self.outcome
                .map_or_else(String::new, |outcome| outcome.as_str().to_uppercase()),
            self.level.clone().unwrap_or_else(|| "plan".to_owned()),
            format!("{}/{}", self.units_done, self.units_total),
            human::age(self.created_at, now),
            self.created_by.clone(),
            self.entities.join(","),
            self.attempt.to_string(),
            human::clip(self.reason.as_deref().unwrap_or_default(), 60),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}

impl Row for DataValidationResult {
    const COLUMNS: &'static [Column] = &[
        left("entity"),
        left("check"),
        left("outcome"),
        right("checked"),
        right("issues"),
        right("took"),
        left("found"),
        left("severity").wide(),
        left("type").wide(),
        left("id").wide(),
    ];

    fn cells(&self, _now: DateTime<Utc>) -> Vec<String> {
        vec![
            self.entity.clone(),
            check(self),
            self.status.as_str().to_uppercase(),
            self.records_validated.to_string(),
            self.issues_found.to_string(),
            human::milliseconds(self.execution_duration_ms),
            found(self),
            self.severity.to_string(),
            self.validation_type.to_string(),
            short(self.id),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}

/// The check, with its level.
fn check(result: &DataValidationResult) -> String {
    let word = |key: &str| result.validation_criteria[key].as_str().unwrap_or_default();
    match word("level") {
        "" => word("check").to_owned(),
        level => format!("{} {level}", word("check")),
    }
}

/// Numbers of what was found, those that are not zero.
fn found(result: &DataValidationResult) -> String {
    let Some(details) = &result.issue_details else {
        return String::new();
    };
    let kinds = ["missing", "extra", "mismatched", "stale_source"];
    let counted = kinds.iter().filter_map(|kind| {
        let count = details["figures"][kind]
            .as_i64()
            .filter(|count| *count > 0)?;
        Some(format!("{count} {}", kind.replace('_', " ")))
    });
    let counted: Vec<String> = counted.collect();
    counted.join(", ")
}

/// A row that a validation found.
#[derive(Debug, Serialize)]
pub struct FoundRow {
    /// The plan's name of the entity.
    pub entity: String,
    /// The check that found it.
    pub check: String,
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
}

impl FoundRow {
    /// What a result tells of its findings.
    pub fn of(result: &DataValidationResult) -> Vec<Self> {
        let details = result.issue_details.as_ref();
        let findings = details.and_then(|details| details["findings"].as_array());
        let read = |value: &serde_json::Value| {
            let finding = serde_json::from_value(value.clone()).ok()?;
            Some(Self {
                entity: result.entity.clone(),
                check: check(result),
                finding,
            })
        };
        findings.into_iter().flatten().filter_map(read).collect()
    }
}

impl Row for FoundRow {
    const COLUMNS: &'static [Column] = &[
        left("entity"),
        left("kind"),
        left("source-key"),
        left("destination-key"),
        left("columns"),
        left("why"),
        left("check").wide(),
        left("tolerated").wide(),
    ];

    fn cells(&self, _now: DateTime<Utc>) -> Vec<String> {
        let finding = &self.finding;
        vec![
            self.entity.clone(),
            finding.kind.to_string(),
            finding.source_id.clone().unwrap_or_default(),
            finding.destination_id.clone().unwrap_or_default(),
            finding.columns.join(","),
            finding.note.clone(),
            self.check.clone(),
            super::yes(finding.is_warning),
        ]
    }

    fn name(&self) -> String {
        let finding = &self.finding;
        let key = finding
            .source_id
            .as_ref()
            .or(finding.destination_id.as_ref());
        key.cloned().unwrap_or_default()
    }
}
