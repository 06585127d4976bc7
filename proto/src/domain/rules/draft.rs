//! A value in the making: SQL so far, its type, its checks, the agent's steps.

use std::collections::BTreeSet;

use super::ty::Ty;
use crate::domain::compiled::{AgentStep, Fault, RowAction};

/// Stands for the input in a template of SQL.
pub(super) const INPUT: &str = "\u{1}";

/// Longest SQL that is written out more than once.
const INLINE_BYTES: usize = 160;

/// What a pipeline has made so far.
#[derive(Debug, Clone)]
pub struct Draft {
    /// One scalar SQL expression over `src`, safe to put anywhere.
    pub sql: String,
    /// Its type; behind agent steps the type they make.
    pub ty: Ty,
    /// Equality is equality of text.
    pub is_deterministic: bool,
    /// Checks on the row, in order.
    pub faults: Vec<DraftFault>,
    /// Steps of the agent, after the SQL.
    pub agent: Vec<AgentStep>,
    /// Source columns that it is made of.
    pub columns: BTreeSet<String>,
    /// Source columns whose names appear in its free SQL.
    pub mentioned: BTreeSet<String>,
    /// The source column that it is, untouched.
    pub direct: Option<String>,
    /// Every text it can be, where all are written in the plan.
    pub known: Option<BTreeSet<String>>,
    /// Path of the step that makes it NULL where a value does not fit.
    pub nulled: Option<String>,
}

/// A check of a value in the making; becomes a bit of the fault field.
#[derive(Debug, Clone, PartialEq)]
pub struct DraftFault {
    /// A cheap condition without which `condition` is not evaluated; shared by neighbours.
    pub guard: Option<String>,
    /// True: the row does not fit. NULL counts as false. None: the agent looks.
    pub condition: Option<String>,
    /// What the error row says.
    pub fault: Fault,
}

impl Draft {
    /// A value without checks.
    pub fn new(sql: impl Into<String>, ty: Ty) -> Self {
        Self {
            sql: sql.into(),
            ty,
            is_deterministic: true,
            faults: Vec::new(),
            agent: Vec::new(),
            columns: BTreeSet::new(),
            mentioned: BTreeSet::new(),
            direct: None,
            known: None,
            nulled: None,
        }
    }

    /// The same value as another expression and type; it is no column any more.
    pub fn becomes(self, sql: impl Into<String>, ty: Ty) -> Self {
        Self {
            sql: sql.into(),
            ty,
            direct: None,
            known: None,
            ..self
        }
    }

    /// The value as text, for types whose text is their own.
    pub fn text_sql(&self) -> String {
        match self.ty {
            Ty::Text(_) => self.sql.clone(),
            Ty::Null
            | Ty::Int2
            | Ty::Int4
            | Ty::Int8
            | Ty::Numeric(_)
            | Ty::Float4
            | Ty::Float8
            | Ty::Bool
            | Ty::Char(_)
            | Ty::Enum(_)
            | Ty::Citext
            | Ty::Uuid
            | Ty::Date
            | Ty::Timestamp(_)
            | Ty::Timestamptz(_)
            | Ty::Json
            | Ty::Jsonb
            | Ty::Array(_)
            | Ty::Builtin { .. }
            | Ty::User(_) => format!("({})::text", self.sql),
        }
    }

    /// Takes over the checks and columns of another draft.
    pub fn absorb(&mut self, other: &Self) {
        self.faults.extend(other.faults.iter().cloned());
        self.columns.extend(other.columns.iter().cloned());
        self.mentioned.extend(other.mentioned.iter().cloned());
    }

    /// A template of SQL with this value as its input; a long input is evaluated once.
    pub fn fill(&self, template: &str) -> String {
        fill(template, &self.sql)
    }
}

/// Puts an expression into a template.
pub(super) fn fill(template: &str, input: &str) -> String {
    if input.len() <= INLINE_BYTES || template.matches(INPUT).count() <= 1 {
        return template.replace(INPUT, input);
    }
    // OFFSET 0 keeps the planner from writing the input out in every place.
    format!(
        "(SELECT {} FROM (SELECT {input} AS x OFFSET 0) AS v)",
        template.replace(INPUT, "v.x")
    )
}

/// A check for a value that does not fit, where the row is given up.
pub(super) fn check(condition: String, fault: Fault) -> DraftFault {
    DraftFault {
        guard: None,
        condition: Some(condition),
        fault,
    }
}

/// Whether an action gives the row up, so that the SELECT must say so.
pub fn gives_up(action: &RowAction) -> bool {
    match action {
        RowAction::Fail | RowAction::Quarantine => true,
        RowAction::SetNull | RowAction::Default(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_input_is_evaluated_once() {
        let long = "x".repeat(INLINE_BYTES + 1);
        let filled = fill("CASE WHEN \u{1} > 0 THEN \u{1} END", &long);
        assert_eq!(filled.matches(&long).count(), 1);
        assert_eq!(fill("\u{1} + \u{1}", "src.\"a\""), "src.\"a\" + src.\"a\"");
    }
}
