//! Questions to the rows of a table before a change is planned.

use super::super::declared::{Change, DeclaredChange, NewConstraint};
use super::retype::Casts;
use crate::domain::catalog::quote_ident;

/// SELECT of the number of rows that a change would trip over; none where no row can.
pub fn offenders(change: &DeclaredChange) -> Option<String> {
    let relation = change.table.quoted();
    let doubles = |columns: &[String]| {
        let list = |columns: &[String], end: &str| {
            let names = columns
                .iter()
                .map(|name| format!("{}{end}", quote_ident(name)));
            names.collect::<Vec<_>>()
        };
        format!(
            "select count(*) from (select count(*) over (partition by {}) as alike from {relation} where {}) as d where alike > 1",
            list(columns, "").join(", "),
            list(columns, " is not null").join(" and ")
        )
    };
    match &change.change {
        Change::SetNotNull {
            column,
            not_null: true,
        } => Some(format!(
            "select count(*) from {relation} where {} is null",
            quote_ident(column)
        )),
        Change::AddConstraint { constraint, .. } => Some(match constraint {
            NewConstraint::Unique { columns } => doubles(columns),
            NewConstraint::Check { condition } => {
                format!("select count(*) from {relation} where not ({condition})")
            }
            NewConstraint::ForeignKey {
                columns,
                references,
                referenced,
            } => {
                let pairs = columns.iter().zip(referenced);
                let pairs = pairs.map(|(here, there)| {
                    format!("p.{} = c.{}", quote_ident(there), quote_ident(here))
                });
                let present = columns
                    .iter()
                    .map(|name| format!("c.{} is not null", quote_ident(name)));
                format!(
                    "select count(*) from {relation} as c where {} and not exists (select from {} as p where {})",
                    present.collect::<Vec<_>>().join(" and "),
                    references.quoted(),
                    pairs.collect::<Vec<_>>().join(" and ")
                )
            }
        }),
        Change::CreateIndex {
            columns,
            is_unique: true,
            ..
        } => Some(doubles(columns)),
        Change::CreateBackup
        | Change::AddColumn(_)
        | Change::DropColumn { .. }
        | Change::SetType { .. }
        | Change::SetDefault { .. }
        | Change::SetNotNull { .. }
        | Change::RenameColumn { .. }
        | Change::DropConstraint { .. }
        | Change::CreateIndex { .. }
        | Change::DropIndex { .. } => None,
    }
}

/// How the values of a column are tried against a new type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FitQuestions {
    /// SELECT of the number of values that do not come back; fails where one cannot be converted at all.
    pub lossy: String,
    /// Makes a function that tells whether one value can be converted; for when that fails.
    pub setup: String,
    /// SELECT of the number of values that cannot be converted.
    pub impossible: String,
    /// As `lossy`, over the values that can be converted.
    pub lossy_of_others: String,
}

/// Asks how values fit: `old` and `new` are types as the server names them.
pub fn fit_questions(change: &DeclaredChange, column: &str, old: &str, new: &str) -> FitQuestions {
    let zone = if let Change::SetType { ty, .. } = &change.change {
        ty.time_zone.as_deref()
    } else {
        None
    };
    let casts = Casts { old, new, zone };
    let (relation, value) = (change.table.quoted(), quote_ident(column));
    let again = casts.back(&casts.there(&value));
    let lossy = format!(
        "select count(*) from {relation} where {value} is not null and ({again})::text is distinct from {value}::text"
    );
    let can = format!("pg_temp.drover_can_become({value})");
    FitQuestions {
        setup: format!(
            "create function pg_temp.drover_can_become(v {old}) returns boolean language plpgsql as $drover$ \
             begin perform {}; return true; \
             exception when data_exception or invalid_text_representation or check_violation then return false; \
             end $drover$",
            casts.there("v")
        ),
        impossible: format!(
            "select count(*) from {relation} where {value} is not null and not {can}"
        ),
        // A CASE keeps the cast away from what it would fail for.
        lossy_of_others: format!(
            "select count(*) from {relation} where {value} is not null \
             and case when {can} then ({again})::text is distinct from {value}::text else false end"
        ),
        lossy,
    }
}
