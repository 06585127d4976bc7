//! What is checked of the data once it is copied.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::record::{ValidationSeverity, ValidationType};

/// One check of one entity, as the plan or nobody asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompiledCheck {
    /// The entity.
    pub entity: String,
    /// Kind of the check.
    pub validation_type: ValidationType,
    /// How bad it is where it fails.
    pub severity: ValidationSeverity,
    /// What is checked.
    pub rule: CheckRule,
}

/// What is checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckRule {
    /// Numbers of rows.
    RowCount,
    /// Contents.
    Content {
        /// How deep.
        level: Level,
    },
    /// Every foreign key of the destination leads somewhere.
    ForeignKeys,
    /// No two rows have one id, but for merges.
    IdMap,
    /// No two rows of the destination have the same values in these columns.
    Unique {
        /// The columns.
        columns: Vec<String>,
    },
    /// An aggregate over the source's rows is one over the destination's.
    Aggregate {
        /// Expression on the source.
        source: String,
        /// Expression on the destination.
        destination: String,
        /// Largest difference, as decimal text.
        tolerance: Option<String>,
    },
    /// A query of the destination finds nothing.
    ZeroRows {
        /// The query.
        sql: String,
    },
    /// A query of the destination is fast enough.
    MaxMs {
        /// The query, with `$1` for the sample.
        sql: String,
        /// Destination column that samples are taken from.
        sample: Option<String>,
        /// Milliseconds, 95th percentile.
        p95_ms: u32,
    },
}

impl CheckRule {
    /// Its word in the plan.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::RowCount => "row_count",
            Self::Content { .. } => "content",
            Self::ForeignKeys => "foreign_keys",
            Self::IdMap => "id_map",
            Self::Unique { .. } => "unique",
            Self::Aggregate { .. } => "aggregate",
            Self::ZeroRows { .. } => "zero_rows",
            Self::MaxMs { .. } => "max_ms",
        }
    }

    /// The kind it belongs to.
    pub const fn validation_type(&self) -> ValidationType {
        match self {
            Self::RowCount | Self::Content { .. } => ValidationType::DataCompleteness,
            Self::ForeignKeys | Self::IdMap => ValidationType::ReferentialIntegrity,
            Self::Unique { .. } | Self::Aggregate { .. } | Self::ZeroRows { .. } => {
                ValidationType::BusinessRules
            }
            Self::MaxMs { .. } => ValidationType::Performance,
        }
    }
}

/// How deep contents are compared: counts < aggregates < sample:N < full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Level {
    /// Numbers of rows.
    Counts,
    /// And sums over columns.
    Aggregates,
    /// So many rows, whole.
    Sample(u32),
    /// Every row.
    Full,
}

/// A text that is no level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be counts, aggregates, sample:N (N from 1 to 100000) or full")]
pub struct NoLevel;

/// Most rows of a sample.
const MAX_SAMPLE: u32 = 100_000;

impl FromStr for Level {
    type Err = NoLevel;

    fn from_str(text: &str) -> Result<Self, NoLevel> {
        match text {
            "counts" => Ok(Self::Counts),
            "aggregates" => Ok(Self::Aggregates),
            "full" => Ok(Self::Full),
            other => {
                let rows = other.strip_prefix("sample:").ok_or(NoLevel)?;
                let rows: u32 = rows.trim().parse().map_err(|_| NoLevel)?;
                (1..=MAX_SAMPLE)
                    .contains(&rows)
                    .then_some(Self::Sample(rows))
                    .ok_or(NoLevel)
            }
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counts => f.write_str("counts"),
            Self::Aggregates => f.write_str("aggregates"),
            Self::Sample(rows) => write!(f, "sample:{rows}"),
            Self::Full => f.write_str("full"),
        }
    }
}

impl From<Level> for String {
    fn from(level: Level) -> Self {
        level.to_string()
    }
}

impl TryFrom<String> for Level {
    type Error = NoLevel;

    fn try_from(text: String) -> Result<Self, NoLevel> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_in_order_and_read_what_they_write() {
        let levels = [
            Level::Counts,
            Level::Aggregates,
            Level::Sample(7),
            Level::Full,
        ];
        assert!(levels.is_sorted());
        for level in levels {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        for text in [
            "",
            "sample",
            "sample:0",
            "sample:-1",
            "sample:100001",
            "all",
        ] {
            assert_eq!(text.parse::<Level>(), Err(NoLevel), "{text}");
        }
    }
}
