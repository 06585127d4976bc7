//! One rule broken each: the path and the words of its problem.

use super::*;
use crate::domain::catalog::{Catalog, Probe, Probed, TableName};

pub(super) fn problems_in(text: &str, change: impl Fn(&mut Catalog, &mut Catalog)) -> Vec<Problem> {
    let plan = plan::parse(text).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    let (mut source, mut destination) = (catalogs::source(), catalogs::destination());
    for (sql, ty) in [("amount", "money"), ("now()", "timestamp with time zone")] {
        catalogs::answer(&mut source, "orders", sql, ty);
    }
    let bad = Probe::new(TableName::parse("orders"), "nope(".to_owned());
    source.expressions.insert(
        bad,
        Probed::Refused("syntax error at end of input".to_owned()),
    );
    change(&mut source, &mut destination);
    match compile(&plan, &source, &destination) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0,
    }
}

pub(super) fn expect(problems: &[Problem], path: &str, words: &str) {
    let found = problems
        .iter()
        .any(|problem| problem.path == path && problem.message.contains(words));
    assert!(found, "expected {path}: {words}, found {problems:#?}");
}

#[test]
fn tables_keys_and_ids() {
    let cases = [
        (
            "source_entity: office",
            "source_entity: offic",
            "entities[1].source_entity",
            "no table",
        ),
        (
            "destination_entity: offices",
            "destination_entity: x.y",
            "entities[1].destination_entity",
            "schema \"x\"",
        ),
        (
            "source_entity: jaw",
            "source_entity: bare",
            "entities[0].key",
            "key: [...]",
        ),
        (
            "entity_type: jaw",
            "entity_type: jaw\n  key: [order_id]",
            "entities[0].key",
            "no unique key",
        ),
        (
            "entity_type: jaw",
            "entity_type: jaw\n  key: [order, side]",
            "entities[0].key[0]",
            "no column \"order\"",
        ),
        (
            "entity_type: jaw",
            "entity_type: jaw\n  key: [side, side]",
            "entities[0].key[1]",
            "named twice",
        ),
        (
            "entity_type: office",
            "entity_type: office\n  key: [id, parent_id]",
            "entities[1].key[1]",
            "may be NULL",
        ),
        (
            "entity_type: jaw",
            "entity_type: jaw\n  id: {kind: keep}",
            "entities[0].id",
            "a key of one column",
        ),
        (
            "id: {kind: keep}",
            "id: {kind: uuid5}",
            "entities[2].id",
            "kind: keep",
        ),
        (
            "id: {kind: none}",
            "id: {kind: uuid5}",
            "entities[5].id",
            "several columns",
        ),
        (
            "entity_type: jaw",
            "entity_type: jaw\n  id: {kind: uuid5, column: no}",
            "entities[0].id.column",
            "no column",
        ),
        (
            "entity_type: jaw",
            "entity_type: jaw\n  id: {kind: uuid5, column: order_id}",
            "entities[0].id.column",
            "no unique key",
        ),
        (
            "id: {kind: none}",
            "id: {kind: none, column: user_id}",
            "entities[5].id.column",
            "no id column",
        ),
        (
            "    name: [{col: name}",
            "    id: [{col: id}]\n    name: [{col: name}",
            "entities[1].transformation_rules.id",
            "written by itself",
        ),
        (
            "    name: [{col: name}",
            "    slug: [{const: x}]\n    name: [{col: name}",
            "entities[1].transformation_rules.slug",
            "generated",
        ),
        (
            "    name: [{col: name}",
            "    nam: [{const: x}]\n    name: [{col: name}",
            "entities[1].transformation_rules.nam",
            "did you mean \"name\"?",
        ),
        (
            "    name: [{col: name}, trim, collapse_ws]\n",
            "",
            "entities[1].transformation_rules",
            "\"name\" is NOT NULL",
        ),
        (
            "    user_id: [{col: user_id}, {fk: {entity: users}}]\n    jaw",
            "    jaw",
            "entities[5].id",
            "no rule writes user_id",
        ),
    ];
    check(&cases);
}

pub(super) fn check(cases: &[(&str, &str, &str, &str)]) {
    for (from, to, path, words) in cases {
        assert!(CLINIC.contains(from), "{from}");
        let problems = problems_in(&CLINIC.replacen(from, to, 1), |_, _| {});
        expect(&problems, path, words);
        assert!(
            problems.iter().all(|problem| problem.line.is_some()),
            "{problems:#?}"
        );
    }
}

#[test]
fn nothing_is_forgotten() {
    let cases = [
        (
            "    meta: [{col: meta}]\n",
            "",
            "entities[2].transformation_rules",
            "source column \"meta\" is neither mapped",
        ),
        (
            "unmapped_columns: ignore",
            "unmapped_columns: error",
            "entities[5].transformation_rules",
            "source column \"extra\"",
        ),
        (
            "[password]",
            "[passwort]",
            "entities[3].drop_source_columns[0]",
            "did you mean \"password\"?",
        ),
        (
            "[password]",
            "[password, email]",
            "entities[3].drop_source_columns[1]",
            "used by the rule of \"email\"",
        ),
        (
            "sensitive: [email, password]",
            "sensitive: [mail]",
            "entities[3].sensitive[0]",
            "did you mean \"email\"?",
        ),
        (
            "timezone: America/Chicago, ",
            "",
            "entities[1].transformation_rules.opened_at[1].tz",
            "no time zone",
        ),
    ];
    check(&cases);
}

#[test]
fn the_source_judges_time_zones() {
    let problems = problems_in(CLINIC, |source, _| {
        let probe =
            crate::domain::rules::zone_probe(&TableName::parse("office"), "America/Chicago");
        let words = "time zone \"America/Chicago\" not recognized".to_owned();
        source.expressions.insert(probe, Probed::Refused(words));
    });
    expect(
        &problems,
        "entities[1].transformation_rules.opened_at[1].tz",
        "not recognized",
    );
}

#[test]
fn too_many_checks_are_refused() {
    let mut rules = String::new();
    let (mut columns, mut source_columns) =
        (vec!["id uuid!".to_owned()], vec!["id integer!".to_owned()]);
    for number in 0..70 {
        rules.push_str(&format!(
            "    c{number}: [{{col: t{number}}}, {{cast: integer}}]\n"
        ));
        columns.push(format!("c{number} integer"));
        source_columns.push(format!("t{number} text"));
    }
    let text = format!(
        "{}entities:\n- entity: wide\n  source_entity: wide\n  destination_entity: wides\n  \
         entity_type: x\n  transformation_rules:\n{rules}",
        CLINIC.split("entities:").next().unwrap()
    );
    let problems = problems_in(&text, |source, destination| {
        let names: Vec<&str> = source_columns.iter().map(String::as_str).collect();
        source.tables.push(catalogs::table("wide", &["id"], &names));
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        destination
            .tables
            .push(catalogs::table("wides", &["id"], &names));
    });
    expect(
        &problems,
        "entities[0].transformation_rules",
        "too many checks: 70 of at most 63",
    );
}
