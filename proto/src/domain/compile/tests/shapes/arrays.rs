//! Child rows in an array.

use super::*;

/// Orders with an array beside; the destination has a column for it.
fn orders(rule: &str, ty: &str, types: &[(&str, &str)]) -> Result<CompiledEntity, Vec<Problem>> {
    let rule = format!("{TOTAL}\n    list: [{rule}]");
    let columns = format!("list {ty}");
    let plan = compiled_to(&[(TOTAL, &rule)], types, |_, destination| {
        let orders = &mut destination.tables[3];
        orders
            .columns
            .push(catalogs::table("x", &[], &[&columns]).columns[0].clone());
    });
    Ok(entity(&plan?, "orders"))
}

#[test]
fn child_rows_become_an_array_in_the_order_of_their_key() {
    let rule = "{array_agg: {source: member, by: order_id, value: [{col: extra}, trim]}}";
    let orders = orders(rule, "character varying[]", &[]).unwrap();
    assert_eq!(
        field(&orders, "list"),
        "(SELECT (SELECT COALESCE(array_agg(e.v ORDER BY e.o0), '{}') FROM (SELECT \
         btrim(src.\"extra\", E' \\t\\n\\r\\f\\x0b') AS v, src.\"id\" AS o0 FROM \"public\".\"member\" AS src \
         WHERE src.\"order_id\" = up.k) AS e)::character varying[] FROM (SELECT src.\"id\" AS k) AS up)"
    );
    let member = crate::domain::catalog::TableName::parse("member");
    assert_eq!(orders.read.also, [member]);
}

#[test]
fn references_in_an_array_are_keys_of_rows_that_are_there() {
    let rule = "{array_agg: {source: member, by: order_id, where: \"extra <> ''\", order_by: \"extra desc\", \
                distinct: true, value: [{col: user_id}, {fk: {entity: users}}]}}";
    let orders = orders(rule, "uuid[]", &[("extra", "text")]).unwrap();
    let sql = field(&orders, "list");
    for part in [
        "SELECT DISTINCT ON (e.v) e.* FROM (SELECT src.\"user_id\" AS v, (extra\n) AS o0, src.\"id\" AS o1",
        "WHERE src.\"order_id\" = up.k AND (extra <> ''\n) AND (src.\"user_id\" IS NOT NULL AND EXISTS (SELECT 1",
        "AS e ORDER BY e.v, e.o0 DESC, e.o1) AS e)::integer[]",
    ] {
        assert!(sql.contains(part), "{part}\n{sql}");
    }
    let list = orders
        .columns
        .iter()
        .find(|column| column.name == "list")
        .unwrap();
    let ValueRule::Ids(call) = &list.value else {
        panic!("{list:?}")
    };
    assert_eq!(
        (call.entity.as_str(), call.part.text),
        ("users", KeyText::Int4)
    );
    let dropped = &orders.read.fields[call.dropped.unwrap()];
    assert!(dropped.starts_with("(SELECT (SELECT count(*) FROM \"public\".\"member\" AS src"));
    let parent = orders
        .parents
        .iter()
        .find(|parent| parent.column == "list")
        .unwrap();
    assert_eq!(parent.shape, RefShape::Each);
}

#[test]
fn a_bad_element_is_a_verdict_on_the_row() {
    let rule =
        "{array_agg: {source: member, by: order_id, value: [{col: extra}, {cast: integer}]}}";
    let orders = orders(rule, "integer[]", &[]).unwrap();
    let path = "entities[4].transformation_rules.list[0].array_agg.value[1].cast";
    assert!(
        orders
            .faults
            .iter()
            .any(|fault| fault.path == path && fault.code == "DROVER_CAST")
    );
    let faults = &orders.read.fields[orders.read.fault_field.unwrap()];
    let any = "(SELECT EXISTS (SELECT 1 FROM \"public\".\"member\" AS src WHERE src.\"order_id\" = up.k AND (";
    assert!(faults.contains(any), "{faults}");
}

#[test]
fn an_array_of_references_adds_its_dependency() {
    let rule =
        "{array_agg: {source: member, by: order_id, value: [{col: id}, {fk: {entity: offices}}]}}";
    let orders = orders(rule, "uuid[]", &[]).unwrap();
    assert!(orders.dependencies.contains(&"offices".to_owned()));
}

#[test]
fn an_array_may_refer_to_the_entity_itself_and_is_settled_after_the_load() {
    let rule = "{array_agg: {source: member, by: order_id, value: [{col: user_id}, {fk: {entity: orders}}]}}";
    let orders = orders(rule, "uuid[]", &[]).unwrap();
    assert_eq!(orders.knot, ["orders"]);
    assert_eq!(
        (orders.late[0].column.as_str(), &orders.late[0].shape),
        ("list", &RefShape::Each)
    );
}

#[test]
fn keys_of_several_columns_are_elements_as_record_ids() {
    let rule = "{array_agg: {source: member, by: order_id, value: [{fk: {entity: jaws, cols: [order_id, side], deferred: true}}]}}";
    let orders = orders(rule, "uuid[]", &[]).unwrap();
    let sql = field(&orders, "list");
    for part in [
        "SELECT ('[' || to_json((src.\"order_id\")::text)::text || ',' || to_json(",
        "src.\"order_id\" IS NOT NULL AND src.\"side\" IS NOT NULL",
    ] {
        assert!(sql.contains(part), "{part}\n{sql}");
    }
    let list = orders.columns.iter().find(|column| column.name == "list");
    let ValueRule::Ids(call) = &list.unwrap().value else {
        panic!("{list:?}")
    };
    assert_eq!((call.width, call.part.text), (2, KeyText::Text));
}

#[test]
fn elements_may_go_through_steps_of_the_agent() {
    let rule = "{array_agg: {source: member, by: order_id, distinct: true, value: [{col: extra}, trim, email]}}";
    for (ty, oid) in [("text[]", 25), ("character varying[]", 1043)] {
        let orders = orders(rule, ty, &[]).unwrap();
        let list = orders.columns.iter().find(|column| column.name == "list");
        let ValueRule::EachSteps(call) = &list.unwrap().value else {
            panic!("{list:?}")
        };
        assert_eq!((call.element, call.is_distinct), (oid, true));
        assert_eq!(call.steps[0].op, AgentOp::Email);
        let sql = field(&orders, "list");
        assert!(
            sql.contains("AS e)::text[]") && !sql.contains("DISTINCT"),
            "{sql}"
        );
    }
}

#[test]
fn arrays_are_checked() {
    let at = "entities[4].transformation_rules.list[0].array_agg";
    let agg = |rest: &str| format!("{{array_agg: {{source: member, by: order_id, {rest}}}}}");
    let value = "value: [{col: user_id}]";
    let cases = [
        (
            agg(value).replace("member", "membr"),
            "integer[]",
            ".source",
            "no table",
        ),
        (
            agg(value).replace("order_id", "order"),
            "integer[]",
            ".by",
            "no column \"order\"",
        ),
        (
            agg(value).replace("order_id", "extra"),
            "integer[]",
            ".by",
            "is no reference",
        ),
        (agg(value), "integer", "", "makes an array"),
        (agg(value), "text[]", ".value", "add {cast: text}"),
        (
            agg("value: [{col: extra}, email, {fk: {entity: users}}]"),
            "uuid[]",
            ".value[1].email",
            "runs in the agent",
        ),
        (
            agg("value: [{col: user_id}, {fk: {entity: users, orphan: set_null}}]"),
            "uuid[]",
            ".value[1].fk.orphan",
            "is dropped",
        ),
        (
            agg("value: [{col: user_id}, {fk: {entity: users}}]"),
            "integer[]",
            ".value[1].fk",
            "are uuid",
        ),
        (
            agg("value: [{col: user_id}, {fk: {entity: jaws}}]"),
            "uuid[]",
            ".value[1].fk",
            "2 column(s), here are 1",
        ),
        (
            agg("value: [{col: extra}, {fk: {entity: users, by: [full_name]}}]"),
            "uuid[]",
            ".value[1].fk.by[0]",
            "no column",
        ),
        (
            agg("value: [{col: nothing}]"),
            "text[]",
            ".value[0].col",
            "no column \"nothing\"",
        ),
    ];
    for (rule, ty, path, words) in cases {
        let problems = orders(&rule, ty, &[]).expect_err(words);
        problems::expect(&problems, &format!("{at}{path}"), words);
    }
    let then = orders(&format!("{}, {{default: x}}", agg(value)), "text[]", &[]);
    let path = "entities[4].transformation_rules.list[0].array_agg";
    problems::expect(&then.unwrap_err(), path, "only step");
}

#[test]
fn every_element_of_an_array_may_be_a_reference() {
    let rule = "{sql: \"array[user_id]\"}, {fk: {entity: users, each: true}}";
    let types = [("array[user_id]", "integer[]")];
    let compiled = orders(rule, "uuid[]", &types).unwrap();
    let sql = field(&compiled, "list");
    for part in [
        "(CASE WHEN (array[user_id]\n) IS NOT NULL THEN (SELECT",
        "SELECT src.v AS v, src.n AS o0 FROM unnest(up.k) WITH ORDINALITY AS src(v, n) WHERE (src.v IS NOT NULL AND",
    ] {
        assert!(sql.contains(part), "{part}\n{sql}");
    }
    let path = "entities[4].transformation_rules.list[1].fk";
    let plain = orders(
        "{col: user_id}, {fk: {entity: users, each: true}}",
        "uuid[]",
        &[],
    );
    problems::expect(&plain.unwrap_err(), path, "turns an array into an array");
    let fails = orders(rule.replace("true", "false").as_str(), "uuid[]", &types);
    problems::expect(&fails.unwrap_err(), path, "no reference");
}
