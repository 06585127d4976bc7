//! Tables that are joined to an entity's source: their SQL, and whether they can multiply its rows.

use super::super::catalog::{Catalog, Probe, Probed, Table, TableName, quote_ident};
use super::super::compiled::{Fault, JoinRule};
use super::super::plan::{Entity, Join, JoinKind, ProblemLog};
use super::super::rules::{DraftFault, Joined, Ty, free_sql, mentions};
use super::resolve::Resolved;

/// What stands behind `FROM table AS src` for these joins of an entity.
pub(super) fn sql(entity: &Entity, joins: &[Join]) -> String {
    let source = TableName::parse(&entity.source_entity);
    joins.iter().map(|join| one(&source, join)).collect()
}

fn one(source: &TableName, join: &Join) -> String {
    let kind = if is_inner(join) { "INNER" } else { "LEFT" };
    let (table, alias) = (
        TableName::parse(&join.table).quoted(),
        quote_ident(&join.alias),
    );
    let on = &join.on.0;
    if !mentions(on, &source.name) {
        return format!(" {kind} JOIN {table} AS {alias} ON ({on}\n)");
    }
    // The source under its own name; the planner sees through it.
    let own = quote_ident(&source.name);
    format!(
        " {kind} JOIN LATERAL (SELECT {alias}.* FROM (SELECT src.*) AS {own}, {table} AS {alias} \
         WHERE ({on}\n)) AS {alias} ON true"
    )
}

/// Rows without a partner go.
fn is_inner(join: &Join) -> bool {
    matches!(join.kind, Some(JoinKind::Inner))
}

/// Whether an entity leaves out rows of its source.
pub(super) fn leaves_out(entity: &Entity) -> bool {
    entity.filter.is_some() || entity.joins.iter().any(is_inner)
}

/// `table AS src …` with the conditions of the rows that an entity reads, as behind FROM.
pub(super) fn rows(entity: &Resolved<'_>) -> Option<String> {
    let source = entity.source?;
    if !leaves_out(entity.entity) {
        return Some(format!("{} AS src", source.name.quoted()));
    }
    let probe = |sql: &str| Probe {
        table: source.name.clone(),
        joins: sql_of_all(entity.entity),
        sql: sql.to_owned(),
    };
    let filter = entity.entity.filter.as_ref();
    let filter = filter.map(|filter| format!(" WHERE {}", free_sql(&probe(filter))));
    Some(format!(
        "{}{}",
        probe("").rows(),
        filter.unwrap_or_default()
    ))
}

/// What stands behind `FROM table AS src` for all joins of an entity.
pub(super) fn sql_of_all(entity: &Entity) -> String {
    sql(entity, &entity.joins)
}

/// The probes that make the source judge the conditions: each sees the joins up to its own.
pub(super) fn probes(entity: &Entity) -> impl Iterator<Item = Probe> {
    entity.joins.iter().enumerate().map(|(at, join)| Probe {
        table: TableName::parse(&entity.source_entity),
        joins: sql(entity, &entity.joins[..=at]),
        sql: join.on.0.clone(),
    })
}

/// The joined tables. `None` with problems noted.
pub(super) fn resolve<'a>(
    catalog: &'a Catalog,
    log: &ProblemLog,
    entity: &Resolved<'a>,
) -> Option<Vec<Joined<'a>>> {
    let before = log.count();
    let source = entity.source?;
    let mut joined: Vec<Joined<'a>> = Vec::new();
    for ((at, join), probe) in entity
        .entity
        .joins
        .iter()
        .enumerate()
        .zip(probes(entity.entity))
    {
        let path = format!("{}.joins[{at}]", entity.path);
        let alias = join.alias.0.as_str();
        if let Some(words) = refusal(alias, source, &joined) {
            log.add(format!("{path}.alias"), words);
        }
        let name = TableName::parse(&join.table);
        let Some(table) = catalog.table(&name) else {
            let words = format!(
                "no table \"{}\" in schema \"{}\" there",
                name.name, name.schema
            );
            log.add(format!("{path}.table"), words);
            continue;
        };
        match catalog.expressions.get(&probe) {
            Some(Probed::Type(ty)) if Ty::of(ty) == Ty::Bool => {}
            Some(Probed::Type(ty)) => {
                let words = format!("a condition is boolean, this is {}", ty.sql);
                log.add(format!("{path}.on"), words);
            }
            Some(Probed::Refused(words)) => {
                log.add(
                    format!("{path}.on"),
                    format!("the source refuses it: {words}"),
                );
                // What follows would be refused for the same reason.
                return None;
            }
            None => log.add(format!("{path}.on"), "the source has not told its type"),
        }
        let is_left = !is_inner(join);
        joined.push(Joined {
            alias,
            table,
            is_left,
        });
    }
    (log.count() == before).then_some(joined)
}

/// Why an alias cannot be one.
fn refusal(alias: &str, source: &Table, before: &[Joined<'_>]) -> Option<String> {
    if alias.contains('.') {
        return Some("an alias has no dot".to_owned());
    }
    if alias == "src" || alias == source.name.name {
        return Some(format!("\"{alias}\" is the source row's own name"));
    }
    let is_taken = before.iter().any(|join| join.alias == alias);
    is_taken.then(|| "named twice".to_owned())
}

/// The joins of the SELECT, and the check of a row that meets several rows.
pub(super) fn rule(
    entity: &Resolved<'_>,
    joined: &[Joined<'_>],
    key: &[String],
) -> Option<(JoinRule, Option<DraftFault>)> {
    let source = entity.source?;
    let joins = &entity.entity.joins;
    if joins.is_empty() {
        return None;
    }
    let meets_one = |at: usize, join: &Join| {
        let is_source = |name: &str| name == "src" || name == source.name.name;
        let pairs = equations(&join.on)?;
        let other = |side: &Side| match &side.table {
            Some(name) if is_source(name) => source.column(&side.column),
            Some(name) => {
                let other = joined[..at].iter().find(|other| other.alias == name)?;
                other.table.column(&side.column)
            }
            None => None,
        };
        let mut fixed = Vec::new();
        for (left, right) in &pairs {
            let (own, other) = match (left.table.as_deref(), right.table.as_deref()) {
                (Some(name), _) if name == join.alias.0 => (left, other(right)?),
                (_, Some(name)) if name == join.alias.0 => (right, other(left)?),
                _ => return None,
            };
            let own = joined.get(at)?.table.column(&own.column)?;
            let is_same = own.ty.is_deterministic
                && other.ty.is_deterministic
                && match (Ty::of(&own.ty), Ty::of(&other.ty)) {
                    (a, b) if a.is_integer() && b.is_integer() => true,
                    (Ty::Text(_), Ty::Text(_)) => true,
                    (a, b) => a == b,
                };
            fixed.extend(is_same.then_some(&own.name));
        }
        let keys = &joined.get(at)?.table.unique_keys;
        let is_fixed = |key: &Vec<String>| key.iter().all(|name| fixed.contains(&name));
        keys.iter()
            .any(|key| !key.is_empty() && is_fixed(key))
            .then_some(())
    };
    let may_multiply = joins
        .iter()
        .enumerate()
        .any(|(at, join)| meets_one(at, join).is_none());
    let rule = JoinRule {
        sql: sql_of_all(entity.entity),
        may_multiply,
        is_inner: joins.iter().any(is_inner),
    };
    Some((rule, may_multiply.then(|| several(entity, key))))
}

/// The check of a row that meets several rows.
fn several(entity: &Resolved<'_>, key: &[String]) -> DraftFault {
    let key: Vec<String> = key
        .iter()
        .map(|name| format!("src.{}", quote_ident(name)))
        .collect();
    DraftFault {
        guard: None,
        condition: Some(format!(
            "count(*) OVER (PARTITION BY {}) > 1",
            key.join(", ")
        )),
        fault: Fault {
            code: "DROVER_JOIN".to_owned(),
            path: format!("{}.joins", entity.path),
            message: "meets several rows of the joined tables".to_owned(),
            action: entity.row_action(),
        },
    }
}

/// `alias.column`, or a bare column.
#[derive(Debug, PartialEq)]
struct Side {
    table: Option<String>,
    column: String,
}

/// A condition that is nothing but `a.b = c.d and …` of plain lower-case names; `None` for any
/// other, which says nothing against it.
fn equations(on: &str) -> Option<Vec<(Side, Side)>> {
    let is_plain = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_.= \n".contains(letter)
    };
    let on = on.replace(" AND ", " and ");
    if !on.chars().all(is_plain) {
        return None;
    }
    on.split(" and ")
        .map(|part| {
            let (left, right) = part.split_once('=')?;
            Some((side(left.trim())?, side(right.trim())?))
        })
        .collect()
}

fn side(text: &str) -> Option<Side> {
    let is_name = |name: &str| {
        name.starts_with(|letter: char| letter.is_ascii_lowercase() || letter == '_')
            && !name.contains(['.', '=', ' ', '\n'])
    };
    let (table, column) = match text.split_once('.') {
        Some((table, column)) => (Some(table), column),
        None => (None, text),
    };
    (table.is_none_or(is_name) && is_name(column)).then(|| Side {
        table: table.map(str::to_owned),
        column: column.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_equations_are_read() {
        let side = |table: &str, column: &str| Side {
            table: Some(table.to_owned()),
            column: column.to_owned(),
        };
        let pair = (side("r", "id"), side("office", "region_id"));
        assert_eq!(equations("r.id = office.region_id"), Some(vec![pair]));
        assert_eq!(
            equations("r.id=src.a AND r.b = src.b").map(|all| all.len()),
            Some(2)
        );
        for other in [
            "r.id = src.a or true",
            "r.id = src.a + 1",
            "r.id = 5",
            "lower(r.id) = src.a",
            "r.id = \"src\".a",
            "r.id == src.a",
            "r.id = src.a -- x",
            "r.id = src.a.b",
            "",
        ] {
            assert_eq!(equations(other), None, "{other}");
        }
    }
}
