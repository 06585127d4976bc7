//! Rules that reach beyond one source row: joins, lookups.

use super::*;
use crate::domain::catalog::{Catalog, Probed};
use crate::domain::key::{KeyRange, RunConstants};

mod arrays;
mod documents;
mod polymorphic;
mod together;

/// Compiles the clinic with some text in the place of another; free SQL has the listed types, and is
/// boolean otherwise.
pub(super) fn compiled(
    edits: &[(&str, &str)],
    types: &[(&str, &str)],
) -> Result<CompiledPlan, Vec<Problem>> {
    compiled_to(edits, types, |_, _| ())
}

pub(super) fn compiled_to(
    edits: &[(&str, &str)],
    types: &[(&str, &str)],
    change: impl Fn(&mut Catalog, &mut Catalog),
) -> Result<CompiledPlan, Vec<Problem>> {
    let text = edits.iter().fold(CLINIC.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    let plan = plan::parse(&text).map_err(|problems| problems.0)?;
    let (mut source, mut destination) = (catalogs::source(), catalogs::destination());
    for probe in probes(&plan) {
        let ty = types.iter().find(|(sql, _)| *sql == probe.sql);
        let ty = catalogs::ty(ty.map_or("boolean", |(_, ty)| ty));
        source.expressions.entry(probe).or_insert(Probed::Type(ty));
    }
    change(&mut source, &mut destination);
    compile(&plan, &source, &destination).map_err(|problems| problems.0)
}

fn select(entity: &CompiledEntity) -> String {
    let run = RunConstants {
        now: String::new(),
        migration_id: String::new(),
    };
    entity.read.select(&KeyRange::default(), &run)
}

fn refused(edits: &[(&str, &str)], path: &str, words: &str) {
    let problems = compiled(edits, &[]).expect_err(words);
    problems::expect(&problems, path, words);
}

const USERS: &str = "  dependency_entities: [products]\n";

fn join(text: &str) -> String {
    format!("{USERS}  joins: [{text}]\n")
}

#[test]
fn a_joined_column_is_a_value_and_its_table_is_asked_for() {
    let joins = join("{alias: o, table: office, on: \"o.id = users.office_id\"}");
    let edits = [
        (USERS, joins.as_str()),
        ("${first_name} ${last_name}", "${first_name} ${o.name}"),
    ];
    let plan = compiled(&edits, &[]).unwrap();
    let users = entity(&plan, "users");
    let name = field(&users, "full_name");
    assert!(name.contains("COALESCE(\"o\".\"name\", '')"), "{name}");
    let rule = users.read.joins.clone().unwrap();
    assert!(!rule.may_multiply && !rule.is_inner, "the key is unique");
    assert_eq!(
        rule.sql,
        " LEFT JOIN LATERAL (SELECT \"o\".* FROM (SELECT src.*) AS \"users\", \
         \"public\".\"office\" AS \"o\" WHERE (o.id = users.office_id\n)) AS \"o\" ON true"
    );
    assert!(!select(&users).contains("DISTINCT"));
    let office = crate::domain::catalog::TableName::parse("office");
    assert_eq!(users.read.also, std::slice::from_ref(&office));
    let parsed = plan::parse(&CLINIC.replace(USERS, &joins)).unwrap();
    assert!(tables(&parsed).0.contains(&office));
}

#[test]
fn free_sql_beside_a_join_is_the_sources_first() {
    let joins = join("{alias: o, table: office, on: \"o.id = src.office_id\"}");
    let plan = compiled(&[(USERS, &joins)], &[]).unwrap();
    let kind = entity(&plan, "users");
    let kind = field(&kind, "kind").to_owned();
    assert!(
        kind.contains("(SELECT (is_staff\n) FROM (SELECT src.*) AS \"users\")"),
        "{kind}"
    );
}

#[test]
fn a_join_that_may_meet_several_rows_is_a_check_and_no_second_row() {
    let joins = join("{alias: o, table: office, on: \"o.name = src.email\", kind: inner}");
    let plan = compiled(&[(USERS, &joins)], &[]).unwrap();
    let users = entity(&plan, "users");
    let (first, sql) = (&users.faults[0], select(&users));
    assert_eq!(
        (first.code.as_str(), first.path.as_str()),
        ("DROVER_JOIN", "entities[3].joins")
    );
    assert!(sql.starts_with("SELECT DISTINCT ON (src.\"id\") "), "{sql}");
    assert!(
        sql.contains("(CASE WHEN count(*) OVER (PARTITION BY src.\"id\") > 1 THEN 1::int8"),
        "{sql}"
    );
    // Children look for parents among the rows that the join leaves.
    let orders = entity(&plan, "orders");
    let parents = &orders.orphans[0].keys;
    assert!(
        parents.contains("INNER JOIN \"public\".\"office\" AS \"o\""),
        "{parents}"
    );
    let run = RunConstants {
        now: String::new(),
        migration_id: String::new(),
    };
    let filtered = users
        .read
        .count_filtered(&KeyRange::default(), &run)
        .unwrap();
    assert!(filtered.starts_with("SELECT (SELECT count(*) FROM \"staff\".\"users\" AS src) - ("));
    assert!(
        filtered.contains("SELECT DISTINCT src.\"id\" FROM"),
        "{filtered}"
    );
}

#[test]
fn joins_are_checked() {
    let cases = [
        (
            "{alias: src, table: office, on: x}",
            "[0].alias",
            "own name",
        ),
        (
            "{alias: users, table: office, on: x}",
            "[0].alias",
            "own name",
        ),
        ("{alias: a.b, table: office, on: x}", "[0].alias", "no dot"),
        (
            "{alias: o, table: offices, on: x}",
            "[0].table",
            "no table \"offices\"",
        ),
        (
            "{alias: o, table: office, on: x}, {alias: o, table: office, on: y}",
            "[1].alias",
            "named twice",
        ),
    ];
    for (text, path, words) in cases {
        let joins = join(text);
        refused(
            &[(USERS, &joins)],
            &format!("entities[3].joins{path}"),
            words,
        );
    }
    let joins = join("{alias: o, table: office, on: \"o.id = src.office_id\"}");
    let wrong = ("${first_name}", "${o.nam}");
    refused(
        &[(USERS, &joins), wrong],
        "entities[3].transformation_rules.full_name[0].template",
        "joined table office has no column \"nam\", did you mean \"name\"?",
    );
    let not_boolean = compiled(&[(USERS, &joins)], &[("o.id = src.office_id", "text")]);
    problems::expect(
        &not_boolean.unwrap_err(),
        "entities[3].joins[0].on",
        "is boolean",
    );
}

const TOTAL: &str = "total: [{col: total}]";

#[test]
fn a_lookup_is_a_subselect_and_a_verdict() {
    let rule = "total: [{col: product_id}, {lookup: {table: product, by: id, take: price_cents}}]";
    let plan = compiled(&[(TOTAL, rule)], &[]).err();
    problems::expect(
        &plan.unwrap(),
        "entities[4].transformation_rules",
        "source column \"total\" is neither mapped",
    );
    let edits = [
        (TOTAL, rule),
        ("  on_row_error: fail\n", "  drop_source_columns: [total]\n"),
    ];
    let plan = compiled(&edits, &[]).unwrap();
    let orders = entity(&plan, "orders");
    let sql = field(&orders, "total");
    assert!(
        sql.contains(
            "(SELECT (SELECT l.t FROM (SELECT src.\"id\" AS k, src.\"price_cents\" AS t FROM \
             \"public\".\"product\" AS src) AS l WHERE l.k = v.x LIMIT 1) FROM \
             (SELECT src.\"product_id\" AS x OFFSET 0) AS v)"
        ),
        "{sql}"
    );
    let fault = orders
        .faults
        .iter()
        .find(|fault| fault.code == "DROVER_LOOKUP")
        .unwrap();
    assert_eq!(fault.message, "finds no row of product by id");
    assert_eq!(fault.action, RowAction::Quarantine);
    assert_eq!(orders.read.also.len(), 1);
}

#[test]
fn a_lookup_in_an_entity_sees_the_rows_that_it_reads() {
    let edits = [
        (
            "[{col: placed}, {cast: date",
            "[{col: user_id}, {lookup: {entity: offices, by: id, take: opened, else: set_null}}, {cast: date",
        ),
        ("  on_row_error: fail\n", "  unmapped_columns: ignore\n"),
    ];
    let orders = entity(&compiled(&edits, &[]).unwrap(), "orders");
    let sql = field(&orders, "placed_on");
    assert!(
        sql.contains("AS src WHERE (deleted_at is null -- soft\n)) AS l"),
        "{sql}"
    );
    assert!(
        orders
            .faults
            .iter()
            .all(|fault| fault.code != "DROVER_LOOKUP")
    );
}

#[test]
fn lookups_are_checked() {
    let at = "entities[4].transformation_rules.total[1].lookup";
    let cases = [
        (
            "{table: product, by: stock, take: id}",
            ".by",
            "is not unique",
        ),
        (
            "{table: product, by: ids, take: id}",
            ".by",
            "did you mean \"id\"?",
        ),
        (
            "{table: product, by: id, take: price}",
            ".take",
            "has no column \"price\"",
        ),
        (
            "{table: produkt, by: id, take: id}",
            ".table",
            "no table \"produkt\"",
        ),
        ("{by: id, take: id}", "", "a table or an entity"),
        (
            "{table: product, entity: products, by: id, take: id}",
            "",
            "not both",
        ),
    ];
    for (rule, path, words) in cases {
        let rule = format!("total: [{{col: product_id}}, {{lookup: {rule}}}]");
        refused(&[(TOTAL, &rule)], &format!("{at}{path}"), words);
    }
    let text = "total: [{col: placed}, {lookup: {table: product, by: id, take: id}}]";
    refused(&[(TOTAL, text)], at, "cast it before");
    let twice = "total: [{col: user_id}, {lookup: {table: product, by: id, take: id, else: fail}, on_error: fail}]";
    refused(&[(TOTAL, twice)], at, "say the same");
}
