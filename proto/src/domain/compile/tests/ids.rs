//! Ids, what they are made of, and rows that are there already.

use super::problems::{expect, problems_in};
use super::*;
use crate::domain::catalog::Catalog;

fn compiled(text: &str, change: impl Fn(&mut Catalog, &mut Catalog)) -> CompiledPlan {
    let plan = plan::parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    let (mut source, mut destination) = (catalogs::source(), catalogs::destination());
    change(&mut source, &mut destination);
    compile(&plan, &source, &destination).unwrap_or_else(|problems| panic!("{problems}"))
}

fn nothing(_: &mut Catalog, _: &mut Catalog) {}

/// Offices have unique names.
fn named_offices(source: &mut Catalog, _: &mut Catalog) {
    source.tables[0].unique_keys.push(vec!["name".to_owned()]);
}

const BY_ID: &str = "[{col: office_id}, {fk: {entity: offices, orphan: quarantine}}]";

fn by_name(orphan: &str) -> String {
    let fk = "[{col: first_name}, {fk: {entity: offices, by: [name], orphan: ORPHAN}}]";
    CLINIC
        .replace(BY_ID, &fk.replace("ORPHAN", orphan))
        .replace(
            "  dependency_entities: [products]",
            "  unmapped_columns: ignore",
        )
}

#[test]
fn a_reference_by_another_column_takes_the_parents_key_from_the_source() {
    let users = entity(&compiled(&by_name("quarantine"), named_offices), "users");
    let key = "(SELECT p.k FROM (SELECT src.\"id\" AS k, src.\"name\" AS b0 FROM \"public\".\"office\" \
               AS src WHERE (deleted_at is null -- soft\n)) AS p WHERE p.b0 = src.\"first_name\")";
    assert_eq!(field(&users, "office_id"), key);
    assert!(users.orphans.is_empty());
    let orphan = users.faults.iter().find(|it| it.code == "DROVER_ORPHAN");
    assert!(orphan.is_some_and(|it| it.message.contains("filtered out")));
    let checks = &users.read.fields[users.read.fault_field.unwrap()];
    let check = format!("(src.\"first_name\" IS NOT NULL AND {key} IS NULL)");
    assert!(checks.contains(&check), "{checks}");
    let parent = &users.parents[0];
    assert_eq!(
        (parent.entity.as_str(), parent.parts[0].text),
        ("offices", KeyText::Int4)
    );
    assert_eq!(users.dependencies, ["offices"]);
}

#[test]
fn an_orphan_by_another_column_is_null_or_the_row_that_the_default_names() {
    let users = entity(&compiled(&by_name("set_null"), named_offices), "users");
    assert!(users.faults.iter().all(|it| it.code != "DROVER_ORPHAN"));
    let text = by_name("{default: Main}");
    let sql = field(
        &entity(&compiled(&text, named_offices), "users"),
        "office_id",
    )
    .to_owned();
    assert!(
        sql.starts_with("(CASE WHEN src.\"first_name\" IS NOT NULL THEN COALESCE("),
        "{sql}"
    );
    assert!(sql.contains("'Main'"), "{sql}");
}

#[test]
fn other_columns_must_be_there_be_unique_and_compare() {
    let fk = "entities[3].transformation_rules.office_id[1].fk";
    let text = by_name("quarantine");
    expect(
        &problems_in(&text, nothing),
        &format!("{fk}.by"),
        "no unique key of office",
    );
    let cases = [
        ("by: [name]", "by: [nme]", "by[0]", "did you mean \"name\"?"),
        (
            "by: [name]",
            "by: [name, id]",
            "by",
            "2 column(s) are looked for by 1",
        ),
        ("by: [name]", "by: [id]", "by", "cast it before"),
    ];
    for (from, to, place, words) in cases {
        let problems = problems_in(&text.replace(from, to), named_offices);
        expect(&problems, &format!("{fk}.{place}"), words);
    }
}

/// Users' staff numbers, one row for a user at most.
pub(super) const LIKE: &str = "- entity: badges
  source_entity: badge
  destination_entity: badges
  entity_type: badge
  key: [user_id]
  id: {like: users}
  unmapped_columns: ignore
  transformation_rules:
    number: [{col: number}]
";

pub(super) fn badges(source: &mut Catalog, destination: &mut Catalog) {
    let columns = ["id integer!", "user_id integer!", "number text"];
    let mut badge = catalogs::table("badge", &["id"], &columns);
    badge.unique_keys.push(vec!["user_id".to_owned()]);
    source.tables.push(badge);
    let columns = ["id uuid!", "number text"];
    destination
        .tables
        .push(catalogs::table("badges", &["id"], &columns));
}

#[test]
fn ids_are_shared_with_the_rows_of_another_entity() {
    let plan = compiled(&format!("{CLINIC}{LIKE}"), badges);
    let badges = entity(&plan, "badges");
    let id = IdRule::Uuid5 {
        column: "id".to_owned(),
        entity: "users".to_owned(),
    };
    assert_eq!(badges.id, id);
    assert_eq!(badges.dependencies, ["users"]);
    let part = KeyPart {
        field: 0,
        text: KeyText::Int4,
    };
    let call = IdCall {
        entity: "users".to_owned(),
        parts: vec![part],
    };
    assert_eq!(badges.columns[0].value, ValueRule::Id(call));
    // A row without its counterpart is an error row, one whose counterpart failed is held.
    assert_eq!(badges.orphans[0].action, OrphanAction::Fault(0));
    assert_eq!(badges.faults[0].path, "entities[6].id.like");
    assert_eq!(badges.parents[0].parts, [part]);
}

#[test]
fn an_id_that_cannot_be_shared_is_a_problem() {
    let cases = [
        (
            "like: users",
            "like: members",
            "entities[6].id.like",
            "have no id",
        ),
        (
            "like: users",
            "like: badges",
            "entities[6].id.like",
            "badges → badges",
        ),
        (
            "like: users",
            "like: products, kind: uuid5",
            "entities[6].id.like",
            "kind keep",
        ),
        (
            "like: users",
            "like: jaws",
            "entities[6].id.like",
            "2 column(s)",
        ),
    ];
    for (from, to, path, words) in cases {
        let text = format!("{CLINIC}{}", LIKE.replace(from, to));
        expect(&problems_in(&text, badges), path, words);
    }
}

/// Offices of another table go to the same one.
const BRANCHES: &str = "- entity: branches
  source_entity: branch
  destination_entity: offices
  entity_type: office
  transformation_rules:
    name: [{col: name}]
";

fn branches(source: &mut Catalog, _: &mut Catalog) {
    let columns = ["id integer!", "name text!"];
    source
        .tables
        .push(catalogs::table("branch", &["id"], &columns));
}

#[test]
fn entities_of_one_table_have_ids_of_their_own_and_treat_its_constraints_alike() {
    let plan = compiled(&format!("{CLINIC}{BRANCHES}"), branches);
    let [offices, branches_] = ["offices", "branches"].map(|name| entity(&plan, name));
    assert_eq!(offices.destination, branches_.destination);
    assert_ne!(offices.columns[0].value, branches_.columns[0].value);
    let text = format!("{CLINIC}{BRANCHES}  constraints: keep\n");
    let problems = problems_in(&text, branches);
    expect(
        &problems,
        "entities[6].constraints",
        "written by offices too",
    );
    let looking = format!("{CLINIC}{BRANCHES}  on_conflict: skip\n");
    let plan = compiled(&looking, branches);
    for name in ["offices", "branches"] {
        assert_eq!(
            entity(&plan, name).settings.constraints,
            ConstraintMode::Keep
        );
    }
    let text = format!("{looking}  constraints: rebuild\n");
    expect(
        &problems_in(&text, branches),
        "entities[6].constraints",
        "rebuild would drop",
    );
}

fn users_with(policy: &str) -> String {
    let from = "  dependency_entities: [products]";
    CLINIC.replace(from, &format!("{from}\n  on_conflict: {policy}"))
}

#[test]
fn rows_that_are_there_stay_are_replaced_or_filled() {
    let rule = |policy| entity(&compiled(&users_with(policy), nothing), "users").on_conflict;
    assert_eq!(rule("error"), ConflictRule::Error);
    assert_eq!(rule("skip"), ConflictRule::Skip);
    assert_eq!(rule("overwrite"), ConflictRule::Overwrite);
    let merged = vec!["email".to_owned(), "full_name".to_owned()];
    assert_eq!(
        rule("{merge: [full_name, email]}"),
        ConflictRule::Merge(merged)
    );
}

#[test]
fn a_policy_needs_a_key_and_something_to_do() {
    let path = "entities[3].on_conflict";
    let cases = [
        ("{merge: [kind]}", "merge[0]", "never NULL"),
        ("{merge: [id]}", "merge[0]", "never NULL"),
        ("{merge: [emal]}", "merge[0]", "did you mean \"email\"?"),
    ];
    for (policy, place, words) in cases {
        let problems = problems_in(&users_with(policy), nothing);
        expect(&problems, &format!("{path}.{place}"), words);
    }
    let deferred = |_: &mut Catalog, destination: &mut Catalog| {
        let users = &mut destination.tables[1];
        assert_eq!(users.name.name, "users");
        users.unique_keys.clear();
    };
    expect(
        &problems_in(&users_with("skip"), deferred),
        path,
        "not deferrable",
    );
    let from = "  id: {kind: none}";
    let text = CLINIC.replace(from, &format!("{from}\n  on_conflict: overwrite"));
    expect(
        &problems_in(&text, nothing),
        "entities[5].on_conflict",
        "say skip",
    );
}

/// Users match by e-mail address.
fn matching(id: &str) -> String {
    let from = "  dependency_entities: [products]";
    CLINIC.replace(from, &format!("{from}\n  id: {id}"))
}

#[test]
fn a_natural_key_is_compiled_to_a_select_of_its_own() {
    let text = matching("{kind: natural_key, match: {email: [{col: email}, email]}, else: uuid5}");
    let users = entity(&compiled(&text, nothing), "users");
    let rule = users.matches.unwrap();
    assert_eq!(rule.fields[0], "src.\"id\"");
    assert_eq!(rule.columns[0].name, "email");
    assert!(matches!(
        &rule.columns[0].value,
        ValueRule::Steps { field: 1, .. }
    ));
    assert_eq!(rule.duplicates, RowAction::Quarantine);
    // A row that matches is there: it stays unless the plan says otherwise, and its key in force.
    assert_eq!(users.on_conflict, ConflictRule::Skip);
    assert_eq!(users.settings.constraints, ConstraintMode::Keep);
}

#[test]
fn a_column_of_a_natural_key_is_used_and_may_not_be_left_behind() {
    let id = "{kind: natural_key, match: {email: [{col: password}, email]}}";
    expect(
        &problems_in(&matching(id), nothing),
        "entities[3].drop_source_columns[0]",
        "natural key",
    );
    let text = matching(id).replace("  drop_source_columns: [password]\n", "");
    assert_eq!(problems_in(&text, nothing), []);
}

#[test]
fn a_natural_key_that_cannot_be_looked_for_is_a_problem() {
    let path = "entities[3].id";
    let cases = [
        ("{kind: natural_key}", "", "needs match"),
        (
            "{match: {email: [{col: email}]}}",
            "",
            "belong to kind natural_key",
        ),
        (
            "{kind: natural_key, match: {emal: [{col: email}]}}",
            ".match.emal",
            "did you mean \"email\"?",
        ),
        (
            "{kind: natural_key, match: {email: [{col: email}]}, else: keep}",
            ".else",
            "uuid5",
        ),
        (
            "{kind: natural_key, match: {email: [{col: email}]}, duplicates: set_null}",
            ".duplicates",
            "never NULL",
        ),
    ];
    for (id, place, words) in cases {
        let problems = problems_in(&matching(id), nothing);
        expect(&problems, &format!("{path}{place}"), words);
    }
    let text =
        matching("{kind: natural_key, match: {email: [{col: email}]}}\n  on_conflict: error");
    expect(
        &problems_in(&text, nothing),
        "entities[3].on_conflict",
        "say skip",
    );
}
