//! What is looked at before and after an operation, and what came of it (`validation_results`).

use serde::{Deserialize, Serialize};

use crate::domain::record::text_enum;

text_enum! {
    /// When a check is made.
    pub enum Phase {
        /// Before the first statement.
        Pre = "pre",
        /// In the transaction of the last statement, or right after it.
        Post = "post",
    }
}

text_enum! {
    /// What a failed check means.
    pub enum Severity {
        /// It is told.
        Info = "info",
        /// The operation is refused, or taken back.
        Critical = "critical",
    }
}

text_enum! {
    /// How a check ended.
    pub enum CheckStatus {
        /// As expected.
        Pass = "pass",
        /// Not as expected: the operation is refused.
        Fail = "fail",
        /// Not as expected, and only told.
        Warn = "warn",
        /// Not made.
        Skip = "skip",
    }
}

/// What a check must find.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// Anything: it is noted.
    Anything,
    /// This text.
    Text(String),
    /// What the other statement finds.
    Same(String),
}

/// A check: SELECT of one text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaCheck {
    /// Its name.
    pub check: String,
    /// When.
    pub phase: Phase,
    /// What follows.
    pub severity: Severity,
    /// The SELECT.
    pub sql: String,
    /// What it must find.
    pub expected: Expected,
}

impl SchemaCheck {
    /// A check that refuses the operation unless its SELECT finds no row: `count(*)` of offenders.
    pub fn none(check: &str, phase: Phase, sql: String) -> Self {
        Self {
            check: check.to_owned(),
            phase,
            severity: Severity::Critical,
            sql,
            expected: Expected::Text("0".to_owned()),
        }
    }

    /// A check that refuses the operation unless both SELECTs find the same.
    pub fn same(check: &str, phase: Phase, sql: String, other: String) -> Self {
        Self {
            check: check.to_owned(),
            phase,
            severity: Severity::Critical,
            sql,
            expected: Expected::Same(other),
        }
    }

    /// A figure that is noted.
    pub fn note(check: &str, phase: Phase, sql: String) -> Self {
        Self {
            check: check.to_owned(),
            phase,
            severity: Severity::Info,
            sql,
            expected: Expected::Anything,
        }
    }
}

/// What came of a check, as `validation_results` holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckOutcome {
    /// Its name.
    pub check: String,
    /// When it was made.
    pub phase: Phase,
    /// `apply` or `rollback`.
    pub direction: String,
    /// How it ended.
    pub status: CheckStatus,
    /// What a failure means.
    pub severity: Severity,
    /// What was found.
    pub observed: String,
    /// What was expected.
    pub expected: Option<String>,
    /// The SELECT.
    pub sql: String,
    /// How long it took.
    pub ms: i64,
}
