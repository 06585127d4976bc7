//! One broken reference each: the path and the words of its problem.

use super::problems::{check, expect, problems_in};
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
