//! Questions of a validation: each reads, none writes a row, and any agent can answer any of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::compiled::CheckRule;
use crate::domain::key::KeyRange;
use crate::domain::record::text_enum;

/// What is asked about an entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValidateQuestion {
    /// The entity.
    pub entity: String,
    /// What is asked.
    pub ask: Ask,
}

/// One piece of a validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// How the entity's rows can be compared, and in which pieces.
    Survey,
    /// A sketch of the rows that the source's rows of a range become.
    SketchSource(KeyRange),
    /// A sketch of the destination's rows on the pages `from..to` of its table; of all where there are none.
    SketchDestination(Option<(u64, u64)>),
    /// What is wrong with these rows, of which the sketches differ.
    Explain(Vec<Suspect>),
    /// Every row of a range, looked up at the destination.
    Compare(KeyRange),
    /// So many rows, likewise.
    Sample(u32),
    /// Rows of the table that this migration did not write.
    Strangers,
    /// Numbers of rows.
    Counts,
    /// Sums over columns.
    Aggregates,
    /// References that lead nowhere.
    ForeignKeys,
    /// Ids that several rows have.
    IdMap,
    /// A check of the plan's.
    Rule(CheckRule),
}

impl Ask {
    /// In a word.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Survey => "survey",
            Self::SketchSource(_) => "sketch the source",
            Self::SketchDestination(_) => "sketch the destination",
            Self::Explain(_) => "explain differences",
            Self::Compare(_) => "compare rows",
            Self::Sample(_) => "compare a sample",
            Self::Strangers => "look for rows of others",
            Self::Counts => "count rows",
            Self::Aggregates => "compare sums",
            Self::ForeignKeys => "follow foreign keys",
            Self::IdMap => "check the id map",
            Self::Rule(rule) => rule.word(),
        }
    }
}

/// A row of which the two sides have different sketches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    /// Its destination key, as a sketch has it, in hexadecimal digits.
    pub key: String,
    /// The source has it, so far as the sketches say.
    pub is_in_source: bool,
    /// The destination has it.
    pub is_in_destination: bool,
}

/// What an agent answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidateAnswer {
    /// To `Survey`.
    Surveyed(Survey),
    /// To `SketchSource` and `SketchDestination`.
    Sketched(Sketched),
    /// To `Explain`, `Compare`, `Sample` and `Strangers`.
    Compared(Comparison),
    /// To everything else.
    Checked(CheckOutcome),
}

/// How an entity's rows can be compared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// By sketches: nobody else writes the table, it was empty at the start, and values have one form.
    pub has_sketches: bool,
    /// Ranges of source keys.
    pub ranges: Vec<KeyRange>,
    /// Pages of the destination's table; empty: it is read as a whole.
    pub pages: Vec<(u64, u64)>,
}

/// A sketch, and what it is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sketched {
    /// The sketch in hexadecimal digits.
    pub sketch: String,
    /// Rows in it.
    pub rows: i64,
    /// Rows of the source that were set aside by the load, or are refused now.
    pub set_aside: i64,
    /// Rows of the source that the plan leaves out.
    pub filtered: i64,
}

text_enum! {
    /// What is wrong with a row.
    pub enum FindingKind {
        /// The source has it, the destination does not.
        Missing = "missing",
        /// The destination has it, the source does not.
        Extra = "extra",
        /// Both have it, with other values.
        Mismatched = "mismatched",
        /// The source was changed since it was read: the destination has what was there then.
        StaleSource = "stale_source",
        /// A reference leads nowhere.
        Orphan = "orphan",
        /// Another row has the same values, or the same id.
        Duplicate = "duplicate",
        /// A query found it.
        Found = "found",
    }
}

/// A row with an issue: keys and names of columns, never values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What is wrong.
    pub kind: FindingKind,
    /// Key of the source row, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
    /// Key of the destination's row, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_id: Option<String>,
    /// Columns that differ, or that hold the reference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Why it is thought so.
    pub note: String,
    /// It is no fault of the migration.
    #[serde(default)]
    pub is_warning: bool,
}

/// Numbers of findings, all of them counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingCounts {
    /// Rows that the destination lacks.
    pub missing: i64,
    /// Rows that the source lacks.
    pub extra: i64,
    /// Rows with other values.
    pub mismatched: i64,
    /// Rows whose source changed.
    pub stale_source: i64,
    /// Those of the above that are no fault of the migration.
    pub warnings: i64,
}

impl FindingCounts {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            missing: self.missing + other.missing,
            extra: self.extra + other.extra,
            mismatched: self.mismatched + other.mismatched,
            stale_source: self.stale_source + other.stale_source,
            warnings: self.warnings + other.warnings,
        }
    }

    /// All of them.
    pub const fn total(self) -> i64 {
        self.missing + self.extra + self.mismatched + self.stale_source
    }

    /// Counts one more.
    pub fn add(&mut self, finding: &Finding) {
        match finding.kind {
            FindingKind::Missing => self.missing += 1,
            FindingKind::Extra => self.extra += 1,
            FindingKind::Mismatched => self.mismatched += 1,
            FindingKind::StaleSource => self.stale_source += 1,
            FindingKind::Orphan | FindingKind::Duplicate | FindingKind::Found => return,
        }
        self.warnings += i64::from(finding.is_warning);
    }
}

/// What a comparison of rows found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Rows that the source should have given.
    pub rows: i64,
    /// Rows of the source that were set aside by the load, or are refused now.
    pub set_aside: i64,
    /// Rows of the source that the plan leaves out.
    pub filtered: i64,
    /// Those of `rows` that the id map has.
    #[serde(default)]
    pub mapped: i64,
    /// Rows of the id map, where they were counted: those that no row of the source met are of rows that it
    /// gives no more.
    #[serde(default)]
    pub mapped_in_all: Option<i64>,
    /// What was found, all of it counted.
    pub counts: FindingCounts,
    /// What was found; only the first of many.
    pub findings: Vec<Finding>,
}

/// What any other check found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckOutcome {
    /// Rows, samples or figures that were looked at.
    pub records_validated: i64,
    /// Those with an issue.
    pub issues_found: i64,
    /// Those of them that are no fault of the migration.
    pub warnings: i64,
    /// Figures, as a JSON object; nothing that is sensitive.
    pub figures: Value,
    /// What was found; only the first of many.
    pub findings: Vec<Finding>,
}
