//! A sample of real rows that went through the real rules into a table like the target, and left nothing.

use serde::{Deserialize, Serialize};

use crate::domain::compiled::CompiledPlan;

/// What an agent is asked to try.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialAsk {
    /// The plan.
    pub plan: CompiledPlan,
    /// The entity.
    pub entity: String,
    /// Rows to read, about.
    pub rows: u32,
}

/// What became of a sample of an entity's rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The entity.
    pub entity: String,
    /// Rows that were read.
    pub sampled: i64,
    /// Rows that the filter left out of the same ranges.
    pub filtered: i64,
    /// Rows that the table took.
    pub fit: i64,
    /// What the others failed with, the most frequent first.
    pub errors: Vec<PredictedError>,
    /// Columns that are written and hold NULL in some rows that fit.
    pub nulls: Vec<NullCount>,
    /// Bytes of the rows that fit, with their indexes.
    pub bytes: i64,
    /// Microseconds of reading and transforming.
    pub read_us: i64,
    /// Microseconds of writing.
    pub write_us: i64,
    /// Why the run would stop at a row of the sample (`fail`); what is behind it in its range was not tried.
    pub stops: Option<String>,
    /// What this says nothing about, or why nothing was tried.
    pub notes: Vec<String>,
}

/// An error that rows of the sample had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PredictedError {
    /// SQLSTATE or `DROVER_*`.
    pub code: String,
    /// Words without row values.
    pub message: String,
    /// The rule's path, or column and constraint, where known.
    pub at: String,
    /// Rows of the sample.
    pub rows: i64,
    /// Key of the first of them; masked where a key column is sensitive.
    pub example_key: String,
}

/// NULLs of a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NullCount {
    /// The destination column.
    pub column: String,
    /// Rows of the sample.
    pub rows: i64,
}

impl Trial {
    /// Rows of the sample that failed.
    pub fn failed(&self) -> i64 {
        self.errors.iter().map(|error| error.rows).sum()
    }

    /// Counts an error of a row.
    pub fn add(&mut self, code: &str, message: &str, at: String, key: impl FnOnce() -> String) {
        let known = self
            .errors
            .iter_mut()
            .find(|error| error.code == code && error.at == at);
        match known {
            Some(error) => error.rows += 1,
            None => self.errors.push(PredictedError {
                code: code.to_owned(),
                message: message.to_owned(),
                at,
                rows: 1,
                example_key: key(),
            }),
        }
    }

    /// The most frequent errors first.
    pub fn sort(&mut self) {
        let by_rows = |error: &PredictedError| (-error.rows, error.code.clone(), error.at.clone());
        self.errors.sort_by_key(by_rows);
    }
}
