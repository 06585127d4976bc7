//! One rule broken each: the path and the words of its problem.

use super::*;
use crate::domain::catalog::{Catalog, Probe, Probed, TableName};

fn problems_in(text: &str, change: impl Fn(&mut Catalog, &mut Catalog)) -> Vec<Problem> {
    let plan = plan::parse(text).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    let (mut source, mut destination) = (catalogs::source(), catalogs::destination());
    for (sql, ty) in [("amount", "money"), ("now()", "timestamp with time zone")] {
        catalogs::answer(&mut source, "orders", sql, ty);
    }
    let bad = Probe {
        table: TableName::parse("orders"),
        sql: "nope(".to_owned(),
    };
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

fn expect(problems: &[Problem], path: &str, words: &str) {
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

fn check(cases: &[(&str, &str, &str, &str)]) {
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
fn references() {
    let orphan = "orphan: quarantine";
    let cases = [
        (
            "{col: office_id}, {fk",
            "{col: email}, {fk",
            "entities[3].transformation_rules.office_id[1].fk",
            "no reference to key column",
        ),
        (
            "{fk: {entity: jaws, cols: [order_id, side]}}",
            "{col: order_id}, {fk: {entity: jaws}}",
            "entities[5].transformation_rules.jaw_id[1].fk",
            "2 column(s) (order_id, side)",
        ),
        (
            "{fk: {entity: jaws, cols: [order_id, side]}}",
            "{fk: {entity: jaws, cols: [order_id, sid]}}",
            "entities[5].transformation_rules.jaw_id[0].fk.cols[1]",
            "no column \"sid\"",
        ),
        (
            "{fk: {entity: jaws, cols: [order_id, side]}}",
            "{fk: {entity: jaws}}",
            "entities[5].transformation_rules.jaw_id[0].fk",
            "needs a value",
        ),
        (
            "{fk: {entity: jaws, cols: [order_id, side]}}",
            "{col: side}, {fk: {entity: jaws, cols: [order_id, side]}}",
            "entities[5].transformation_rules.jaw_id[1].fk",
            "first and only",
        ),
        (
            "{fk: {entity: jaws, cols: [order_id, side]}}",
            "{fk: {entity: jaws, cols: [order_id, side], orphan: {default: 1}}}",
            "entities[5].transformation_rules.jaw_id[0].fk.orphan",
            "composite",
        ),
        (
            "[{col: user_id}, {fk: {entity: users}}]\n    product",
            "[{col: user_id}, {fk: {entity: members}}]\n    product",
            "entities[4].transformation_rules.user_id[1].fk",
            "have no id",
        ),
        (
            "[{col: user_id}, {fk: {entity: users}}]\n    product",
            "[{col: user_id}, {fk: {entity: users, orphan: set_null}}]\n    product",
            "entities[4].transformation_rules.user_id[1].fk.orphan",
            "NOT NULL",
        ),
        (
            "[{col: product_id}, {fk: {entity: products, orphan: set_null}}]",
            "[{col: product_id}, {fk: {entity: offices}}]",
            "entities[4].transformation_rules.product_id[1].fk",
            "the ids of offices are uuid",
        ),
        (
            orphan,
            "orphan: {default: x}",
            "entities[3].transformation_rules.office_id[1].fk.orphan",
            "is no bigint",
        ),
        (
            "{fk: {entity: offices, orphan: quarantine}}",
            "{fk: {entity: offices}, on_error: fail}",
            "entities[3].transformation_rules.office_id[1].on_error",
            "orphan",
        ),
        (
            "{fk: {entity: offices, orphan: quarantine}}",
            "{fk: {entity: offices}}, trim",
            "entities[3].transformation_rules.office_id[1].fk",
            "last step",
        ),
        (
            "[{const: guest}]",
            "[{col: office_id}, {fk: {entity: offices}}]",
            "entities[3].transformation_rules.kind[0].when[1].then[1].fk",
            "last step",
        ),
        (
            "{null_if: [\"\"]}, email]",
            "email, {fk: {entity: offices}}]",
            "entities[3].transformation_rules.email[1].email",
            "runs in the agent",
        ),
        (
            "dependency_entities: [products]",
            "dependency_entities: [orders]",
            "entities[3].dependency_entities",
            "users → orders → users",
        ),
        (
            "dependency_entities: [products]",
            "dependency_entities: [users]",
            "entities[3].dependency_entities",
            "users → users",
        ),
    ];
    check(&cases);
}

#[test]
fn keys_that_compare_otherwise_are_no_targets() {
    let citext = |source: &mut Catalog, _: &mut Catalog| {
        let side = &mut source.tables[4].columns[1];
        assert_eq!(side.name, "side");
        side.ty = catalogs::ty("citext");
    };
    let problems = problems_in(CLINIC, citext);
    expect(
        &problems,
        "entities[5].transformation_rules.jaw_id[0].fk",
        "citext",
    );
}

#[test]
fn steps_and_types() {
    let total = "total: [{col: total}]";
    let at = "entities[4].transformation_rules.total";
    let cases: Vec<(&str, String, &str)> = vec![
        (
            "[{col: totl}]",
            format!("{at}[0].col"),
            "did you mean \"total\"?",
        ),
        (
            "[{col: r.total}]",
            format!("{at}[0].col"),
            "not supported yet",
        ),
        ("[trim]", format!("{at}[0].trim"), "needs a value before it"),
        (
            "[{col: total}, {const: 1}]",
            format!("{at}[1].const"),
            "only be the first step",
        ),
        (
            "[{col: placed}]",
            at.to_owned(),
            "add {cast: numeric(10,2)}",
        ),
        (
            "[{col: total}, trim]",
            format!("{at}[1].trim"),
            "add {cast: text} before",
        ),
        (
            "[{col: total}, {cast: uuid}]",
            format!("{at}[1].cast"),
            "use sql",
        ),
        (
            "[{col: total}, {default: x}]",
            format!("{at}[1].default"),
            "is no numeric",
        ),
        (
            "[{col: total}, {null_if: [0, \"\"]}]",
            format!("{at}[1].null_if[1]"),
            "is no numeric",
        ),
        (
            "[{col: total, on_error: set_null}, {default: 0}]",
            format!("{at}[0].on_error"),
            "cannot fail",
        ),
        (
            "[{col: total, on_error: {default: 1.234}}]",
            at.to_owned(),
            "does not fit into numeric(10,2)",
        ),
        (
            "[{col: placed}, {cast: date}, {default: \"2000-01-01\"}]",
            format!("{at}[2].default"),
            "move it before",
        ),
        (
            "[{col: placed}, {cast: date}]",
            at.to_owned(),
            "behind a step that runs in the agent",
        ),
        (
            "[{col: placed}, {cast: date, on_error: {default: soon}}]",
            format!("{at}[1].cast"),
            "is no date",
        ),
        (
            "[{col: placed}, {email: {}, on_error: {default: me}}]",
            format!("{at}[1].email.on_error"),
            "no e-mail",
        ),
        (
            "[{col: total}, {tz: {}}]",
            format!("{at}[1].tz"),
            "needs a timestamp",
        ),
        (
            "[{col: total}, {unit: {}}]",
            format!("{at}[1].unit"),
            "says nothing",
        ),
        (
            "[{col: placed}, {unit: {mul: 2}}]",
            format!("{at}[1].unit"),
            "cast it before",
        ),
        (
            "[{col: total}, {unit: {round: 2000}}]",
            format!("{at}[1].unit.round"),
            "more than 1000",
        ),
        (
            "[{col: placed}, {map: {table: {a: x}}}]",
            at.to_owned(),
            "varchar(1) does not become",
        ),
        (
            "[{coalesce: [total, placed]}]",
            format!("{at}[0].coalesce"),
            "no common type",
        ),
        (
            "[{coalesce: [total, nope]}]",
            format!("{at}[0].coalesce[1]"),
            "no column",
        ),
        (
            "[{template: \"${nope}\"}]",
            format!("{at}[0].template"),
            "no column \"nope\"",
        ),
        (
            "[{concat: {cols: [nope]}}]",
            format!("{at}[0].concat.cols[0]"),
            "no column \"nope\"",
        ),
        (
            "[{sql: \"nope(\"}]",
            format!("{at}[0].sql"),
            "the source refuses it: syntax error",
        ),
        (
            "[{sql: \"unknown\"}]",
            format!("{at}[0].sql"),
            "has not told its type",
        ),
        (
            "[{when: [{if: amount, then: [{col: total}]}]}]",
            format!("{at}[0].when[0].if"),
            "a condition is boolean",
        ),
        (
            "[{when: [{if: nope(, then: [trim]}]}]",
            format!("{at}[0].when[0].then[0].trim"),
            "needs a value",
        ),
        ("[now]", at.to_owned(), "use sql"),
        ("[{sql: amount}]", at.to_owned(), "money"),
    ];
    for (rule, path, words) in cases {
        let text = CLINIC.replace(total, &format!("total: {rule}"));
        expect(&problems_in(&text, |_, _| {}), &path, words);
    }
}

#[test]
fn constants_are_checked_against_an_enum() {
    let cases = [
        (
            "{const: guest}",
            "{const: gast}",
            "entities[3].transformation_rules.kind",
            "\"gast\" is no label",
        ),
        (
            "{map: {table: {U: upper, L: lower}}}",
            "{map: {table: {U: upper, L: low}}}",
            "entities[0].transformation_rules.side",
            "\"low\" is no label",
        ),
        (
            "{map: {table: {U: upper, L: lower}}}",
            "{map: {table: {U: upper}, else: {default: x}}}",
            "entities[0].transformation_rules.side",
            "\"x\" is no label",
        ),
    ];
    check(&cases);
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
