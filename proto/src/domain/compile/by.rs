//! References by another unique column of the parent: the source finds the parent's key.

use super::super::catalog::{Column, Table, quote_ident};
use super::super::compiled::{Fault, RowAction};
use super::super::plan::{Name, Unfit, suggest};
use super::super::rules::{Draft, DraftFault, Scope, Ty, literal};
use super::reference::{FkRule, Settled};
use super::resolve::Resolved;
use super::{joins, orphan};

/// The parent's key behind the values that name its row, orphans settled. `None` with problems noted.
pub(super) fn resolve(
    scope: &Scope<'_>,
    (child, parent): (&Resolved<'_>, &Resolved<'_>),
    key: &[&Column],
    given: Vec<Draft>,
    rule: &FkRule<'_>,
) -> Option<Settled> {
    let columns = columns(scope, parent.source?, &given, (&rule.fk.by, &rule.path))?;
    let lookup = Lookup::of(parent, &columns)?;
    let unfit = rule.fk.orphan.as_ref().unwrap_or(scope.on_row_error);
    let orphan_path = format!("{}.orphan", rule.path);
    if *unfit == Unfit::SetNull && rule.column.not_null {
        let message = format!("column \"{}\" is NOT NULL", rule.column.name);
        return scope.problem(&orphan_path, message);
    }
    let instead = match (unfit, given.as_slice()) {
        (Unfit::Default(value), [part]) => {
            let sql = scope.noted(&orphan_path, literal(value, &part.ty))?;
            Some(Draft::new(sql, part.ty.clone()))
        }
        (Unfit::Default(_), _) => {
            return scope.problem(&orphan_path, "a composite key has no default");
        }
        (Unfit::Fail | Unfit::Quarantine | Unfit::SetNull, _) => None,
    };
    let set = all_set(&given);
    let parts = key.iter().map(|column| {
        let mut sql = lookup.sql(column, &given);
        if let Some(instead) = &instead {
            let other = lookup.sql(column, std::slice::from_ref(instead));
            sql = format!("(CASE WHEN {set} THEN COALESCE({sql}, {other}) END)");
        }
        part(sql, column, &given)
    });
    let parts: Vec<Draft> = parts.collect();
    let mut faults: Vec<DraftFault> = given.iter().flat_map(|part| part.faults.clone()).collect();
    let gives_up = match unfit {
        Unfit::Fail => Some(RowAction::Fail),
        Unfit::Quarantine => Some(RowAction::Quarantine),
        Unfit::SetNull | Unfit::Default(_) => None,
    };
    let is_sure = orphan::is_guaranteed(child.source?, parent, &columns, &given);
    if let (Some(action), Some(first), false) = (gives_up, parts.first(), is_sure) {
        faults.push(DraftFault {
            guard: None,
            condition: Some(format!("({set} AND {} IS NULL)", first.sql)),
            fault: Fault {
                code: "DROVER_ORPHAN".to_owned(),
                path: rule.path.clone(),
                message: orphan::words(parent),
                action,
            },
        });
    }
    Some(Settled {
        parts,
        faults,
        orphan: None,
    })
}

/// The parent's key behind the values that name its row, NULL where there is none. `None` with problems noted.
pub(super) fn find(
    scope: &Scope<'_>,
    parent: &Resolved<'_>,
    key: &[&Column],
    given: &[Draft],
    (by, path): (&[Name], &str),
) -> Option<Vec<Draft>> {
    let columns = columns(scope, parent.source?, given, (by, path))?;
    let lookup = Lookup::of(parent, &columns)?;
    let parts = key.iter();
    let parts = parts.map(|column| part(lookup.sql(column, given), column, given));
    Some(parts.collect())
}

/// A column of the parent's key that was looked for.
fn part(sql: String, column: &Column, given: &[Draft]) -> Draft {
    let mut part = Draft::new(sql, Ty::of(&column.ty));
    part.is_deterministic = column.ty.is_deterministic;
    given.iter().for_each(|given| part.absorb(given));
    part
}

/// The columns of `by`: unique together, and of types that compare with what is given.
pub(super) fn columns<'a>(
    scope: &Scope<'_>,
    table: &'a Table,
    given: &[Draft],
    (by, path): (&[Name], &str),
) -> Option<Vec<&'a Column>> {
    let mut columns = Vec::new();
    for (at, name) in by.iter().enumerate() {
        let Some(column) = table.column(name) else {
            let names = table.columns.iter().map(|column| column.name.as_str());
            let message = format!(
                "source table {} has no column \"{}\"{}",
                table.name,
                name.0,
                suggest::hint(name, names)
            );
            return scope.problem(&format!("{path}.by[{at}]"), message);
        };
        columns.push(column);
    }
    let path = format!("{path}.by");
    if columns.len() != given.len() {
        let message = format!(
            "{} column(s) are looked for by {} value(s)",
            columns.len(),
            given.len()
        );
        return scope.problem(&path, message);
    }
    let is_named = |name: &String| columns.iter().any(|column| column.name == *name);
    let is_unique = table
        .unique_keys
        .iter()
        .chain([&table.primary_key])
        .any(|unique| !unique.is_empty() && unique.iter().all(is_named));
    if !is_unique {
        let message = format!(
            "no unique key of {} covers these columns; several rows could be meant",
            table.name
        );
        return scope.problem(&path, message);
    }
    for (column, part) in columns.iter().zip(given) {
        if !compares(&part.ty, &Ty::of(&column.ty)) {
            let message = format!(
                "{} does not compare with column \"{}\" of {}, which is {}; cast it before",
                part.ty,
                column.name,
                table.name,
                Ty::of(&column.ty)
            );
            return scope.problem(&path, message);
        }
    }
    Some(columns)
}

/// Whether the source has an equality of two types that both sides mean.
fn compares(given: &Ty, column: &Ty) -> bool {
    let is_number = |ty: &Ty| ty.is_integer() || matches!(ty, Ty::Numeric(_));
    let is_words = |ty: &Ty| ty.is_text() || matches!(ty, Ty::Citext);
    match (given, column) {
        (Ty::Json | Ty::User(_), _) | (_, Ty::Json | Ty::User(_)) => false,
        (a, b) => a == b || (is_number(a) && is_number(b)) || (is_words(a) && is_words(b)),
    }
}

/// Every value is there.
pub(super) fn all_set(given: &[Draft]) -> String {
    let set: Vec<String> = given
        .iter()
        .map(|part| format!("{} IS NOT NULL", part.sql))
        .collect();
    set.join(" AND ")
}

/// Where a row of the parent is found.
struct Lookup<'a> {
    /// What stands behind FROM; the parent's row is `src`.
    rows: String,
    limit: &'static str,
    columns: &'a [&'a Column],
}

impl<'a> Lookup<'a> {
    fn of(parent: &Resolved<'_>, columns: &'a [&'a Column]) -> Option<Self> {
        Some(Self {
            rows: joins::rows(parent)?,
            // Joins may repeat a row.
            limit: match parent.entity.joins.as_slice() {
                [] => "",
                _ => " LIMIT 1",
            },
            columns,
        })
    }

    /// One column of the row that the values name; NULL where there is none.
    fn sql(&self, wanted: &Column, given: &[Draft]) -> String {
        // The filter sees its own row as `src`; this row's `src` is not visible in there.
        let fields: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| format!("src.{} AS b{at}", quote_ident(&column.name)))
            .collect();
        let rows = format!(
            "(SELECT src.{} AS k, {} FROM {}) AS p",
            quote_ident(&wanted.name),
            fields.join(", "),
            self.rows
        );
        // A value that is no plain column is evaluated outside: a bare name in its SQL must not meet
        // a column of the parent.
        let is_plain = given.iter().all(|part| part.direct.is_some());
        let tests: Vec<String> = self
            .columns
            .iter()
            .zip(given)
            .enumerate()
            .map(|(at, (column, part))| {
                let value = match is_plain {
                    true => part.sql.clone(),
                    false => format!("v.x{at}"),
                };
                match Ty::of(&column.ty) {
                    // Its own equality, not that of text.
                    Ty::Citext => format!("p.b{at} = ({value})::{}", column.ty.base),
                    _ => format!("p.b{at} = {value}"),
                }
            })
            .collect();
        let found = format!(
            "(SELECT p.k FROM {rows} WHERE {}{})",
            tests.join(" AND "),
            self.limit
        );
        if is_plain {
            return found;
        }
        let values: Vec<String> = given
            .iter()
            .enumerate()
            .map(|(at, part)| format!("{} AS x{at}", part.sql))
            .collect();
        format!(
            "(SELECT {found} FROM (SELECT {} OFFSET 0) AS v)",
            values.join(", ")
        )
    }
}
