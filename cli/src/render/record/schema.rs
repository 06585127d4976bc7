//! A schema operation as a line of a list, and a declared change with its operations.

use chrono::{DateTime, Utc};
use proto::domain::record::SchemaChangeOperation;
use serde::Serialize;
use serde_json::Value;

use super::age;
use crate::render::{Column, Row, human, left, right};

/// Most of a script that a cell shows.
const SCRIPT: usize = 2000;

impl Row for SchemaChangeOperation {
    const COLUMNS: &'static [Column] = &[
        left("when"),
        left("operation"),
        left("table"),
        left("object"),
        left("risk"),
        left("status"),
        right("age"),
        left("on").wide(),
        left("backup").wide(),
        left("reasons").wide(),
        left("sql").wide(),
        left("rollback").wide(),
        left("error").wide(),
        left("id").wide(),
    ];

    fn cells(&self, now: DateTime<Utc>) -> Vec<String> {
        let object = self.column_name.as_ref().or(self.object_name.as_ref());
        let script = |sql: &str| human::clip(&sql.replace('\n', " "), SCRIPT);
        vec![
            text(self, "when"),
            self.operation_type.to_string(),
            self.table_name.clone(),
            object.cloned().unwrap_or_default(),
            self.risk_level
                .map(|level| level.to_string())
                .unwrap_or_default(),
            self.status.to_string(),
            age(self.executed_at, now),
            text(self, "on"),
            self.backup_table_name.clone().unwrap_or_default(),
            reasons(self).join("; "),
            script(&self.operation_sql),
            self.rollback_sql.as_deref().map(script).unwrap_or_default(),
            self.error_message.clone().unwrap_or_default(),
            self.id.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}

/// Why an operation has its risk.
pub fn reasons(operation: &SchemaChangeOperation) -> Vec<String> {
    let found = operation.validation_results.as_ref();
    let found = found.and_then(|results| results.get("reasons")?.as_array());
    let texts = found.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

fn text(operation: &SchemaChangeOperation, key: &str) -> String {
    let found = operation.validation_results.as_ref();
    let found = found.and_then(|results| results.get(key)?.as_str());
    found.unwrap_or_default().to_owned()
}

/// A declared change with what it comes to.
#[derive(Debug, Clone, Serialize)]
pub struct DraftedChange {
    /// Its number in the plan.
    pub number: i32,
    /// `table.column`, or the table.
    pub label: String,
    /// When it is made.
    pub when: String,
    /// Its operations.
    pub operations: Vec<SchemaChangeOperation>,
    /// Why it cannot be made.
    pub refusals: Vec<String>,
    /// Flags that confirm it; empty where nothing is to be confirmed.
    pub confirmation: String,
}
