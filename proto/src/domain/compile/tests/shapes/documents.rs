//! References in JSON.

use super::*;

const META: &str = "meta: [{col: meta}]";

/// Products with these steps behind their JSON.
fn products(steps: &str) -> Result<CompiledEntity, Vec<Problem>> {
    let rule = format!("meta: [{{col: meta}}, {steps}]");
    Ok(entity(&compiled(&[(META, &rule)], &[])?, "products"))
}

#[test]
fn the_source_tells_which_rows_are_there_and_the_agent_puts_their_ids() {
    let products = products(
        "{fk: {entity: offices, path: '$.o[*].id', orphan: set_null}}, {fk: {entity: products, path: $.p}}",
    )
    .unwrap();
    let meta = products.columns.iter().find(|column| column.name == "meta");
    let ValueRule::Document(call) = &meta.unwrap().value else {
        panic!("{meta:?}")
    };
    let document = &products.read.fields[call.field];
    assert!(document.ends_with("::text"), "{document}");
    let [offices, own] = call.references.as_slice() else {
        panic!("{call:?}")
    };
    let item = |name: &str| JsonStep::Item(name.to_owned());
    assert_eq!(offices.path, [item("o"), JsonStep::Each, item("id")]);
    assert_eq!(
        (offices.entity.as_deref(), &offices.orphan),
        (Some("offices"), &RowAction::SetNull)
    );
    assert_eq!((&own.entity, &own.orphan), (&None, &RowAction::Quarantine));
    let found = &products.read.fields[offices.found];
    for part in [
        "SELECT jsonb_object_agg(x.v, x.k) FROM (SELECT d.v, to_jsonb((",
        "WHERE (deleted_at is null -- soft",
        "(SELECT DISTINCT t.v FROM (SELECT (e1.v #>> ARRAY['id']::text[]) AS v",
    ] {
        assert!(found.contains(part), "{part}\n{found}");
    }
    assert!(products.dependencies.contains(&"offices".to_owned()));
    let parent = &products.parents[0];
    assert_eq!(
        (parent.entity.as_str(), parent.parts[0].field),
        ("offices", offices.found)
    );
    assert_eq!(products.late[0].shape, RefShape::Document(own.path.clone()));
    assert_eq!(products.knot, ["products"]);
}

#[test]
fn references_in_json_are_checked() {
    let at = "entities[2].transformation_rules.meta[1].fk";
    let cases = [
        ("{fk: {entity: offices, path: o}}", ".path", "begins with $"),
        ("{fk: {entity: offices, path: $}}", ".path", "as a whole"),
        (
            "{fk: {entity: offices, path: $.o, each: true}}",
            "",
            "neither cols nor each",
        ),
        ("{fk: {entity: jaws, path: $.o}}", "", "several columns"),
        ("{fk: {entity: members, path: $.o}}", "", "have no id"),
        (
            "{fk: {entity: offices, path: $.o, by: [nam]}}",
            ".by[0]",
            "no column \"nam\"",
        ),
        (
            "{fk: {entity: offices, path: $.o, by: [name]}}",
            ".by",
            "no unique key",
        ),
        (
            "{fk: {entity: offices, path: $.o, orphan: {default: x}}}",
            ".orphan",
            "is no integer",
        ),
    ];
    for (steps, path, words) in cases {
        let problems = products(steps).expect_err(words);
        problems::expect(&problems, &format!("{at}{path}"), words);
    }
    let twice = "{fk: {entity: offices, path: $.o}}, {fk: {entity: offices, path: $.o}}";
    let path = "entities[2].transformation_rules.meta[2].fk.path";
    problems::expect(&products(twice).unwrap_err(), path, "named twice");
    let price = "price: [{col: price_cents}, {unit: {mul: 0.01, scale: 2}}]";
    let number = "price: [{col: price_cents}, {fk: {entity: offices, path: $.o}}]";
    let path = "entities[2].transformation_rules.price[1].fk";
    refused(&[(price, number)], path, "behind JSON");
}
