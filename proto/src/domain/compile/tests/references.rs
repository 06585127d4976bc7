//! One broken reference each: the path and the words of its problem.

use super::problems::{check, expect, problems_in};
use super::shapes::compiled;
use super::*;
use crate::domain::catalog::Catalog;

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

const PARENT: &str = "{col: parent_id}, {fk: {entity: offices, orphan: set_null}}";

#[test]
fn a_deferred_reference_closes_a_cycle_that_is_settled_together() {
    let deferred = "{col: parent_id}, {fk: {entity: users, orphan: set_null, deferred: true}}";
    let plan = compiled(&[(PARENT, deferred)], &[]).unwrap();
    let (offices, users) = (entity(&plan, "offices"), entity(&plan, "users"));
    assert!(offices.dependencies.is_empty() && offices.parents.is_empty());
    assert!(users.dependencies.contains(&"offices".to_owned()));
    for member in [&offices, &users] {
        assert_eq!(member.knot, ["offices", "users"]);
    }
    let late = |entity: &CompiledEntity| {
        let ends = entity.late.iter();
        let ends = ends.map(|late| format!("{} {}", late.column, late.entity));
        ends.collect::<Vec<_>>()
    };
    assert_eq!(late(&offices), ["parent_id users"]);
    // It comes first, and may lose rows afterwards.
    assert_eq!(late(&users), ["office_id offices"]);
    assert!(
        users
            .parents
            .iter()
            .any(|parent| parent.entity == "offices")
    );
    assert!(entity(&plan, "orders").knot.is_empty());
}

#[test]
fn a_cycle_that_nothing_defers_says_what_could() {
    let cyclic = "{col: parent_id}, {fk: {entity: users, orphan: set_null}}";
    let problems = compiled(&[(PARENT, cyclic)], &[]).unwrap_err();
    let path = "entities[1].dependency_entities";
    expect(&problems, path, "offices → users → offices; a reference");
    expect(&problems, path, "deferred: true");
}

#[test]
fn a_deferred_reference_outside_a_cycle_waits_for_its_rows_alone() {
    let rule = "user_id: [{col: user_id}, {fk: {entity: users}}]\n    product_id";
    let deferred = rule.replace("users}", "users, deferred: true}");
    let plan = compiled(&[(rule, &deferred)], &[]).unwrap();
    let orders = entity(&plan, "orders");
    assert!(!orders.dependencies.contains(&"users".to_owned()));
    assert_eq!(orders.knot, ["orders"]);
    assert!(entity(&plan, "users").knot.is_empty());
}

#[test]
fn rows_that_nothing_refers_to_cannot_be_deferred() {
    let rule = "user_id: [{col: user_id}, {fk: {entity: users}}]\n    jaw_id";
    let deferred = rule.replace("users}", "users, deferred: true}");
    let problems = compiled(&[(rule, &deferred)], &[]).unwrap_err();
    let path = "entities[5].transformation_rules.user_id[1].fk";
    expect(&problems, path, "leave deferred out");
}
