//! What reaches beyond one row together with ids of other kinds.

use super::super::ids::{LIKE, badges};
use super::*;

const ORDER: &str = "  entity_type: order\n";

/// Orders with these rules beside, where badges share the ids of users.
fn orders(entity_text: &str, rules: &str, column: &str) -> CompiledEntity {
    // The last of the plan's rules, so that the badges are behind them.
    let last = CLINIC.lines().last().unwrap();
    let (text, rules) = (
        format!("{ORDER}{entity_text}"),
        format!("{TOTAL}\n    {rules}"),
    );
    let end = format!("{last}\n{LIKE}");
    let edits = [(ORDER, text.as_str()), (TOTAL, &rules), (last, &end)];
    let plan = compiled_to(&edits, &[], |source, destination| {
        badges(source, destination);
        let more = catalogs::table("x", &[], &[column]).columns;
        destination.tables[3].columns.extend(more);
    });
    entity(
        &plan.unwrap_or_else(|problems| panic!("{problems:?}")),
        "orders",
    )
}

fn value<'a>(entity: &'a CompiledEntity, name: &str) -> &'a ValueRule {
    let mut columns = entity.columns.iter();
    &columns.find(|column| column.name == name).unwrap().value
}

#[test]
fn references_to_rows_with_shared_ids_are_named_by_who_made_the_ids() {
    let declared = "  polymorphic: {subject: {type_col: placed, types_from: label, id_col: product_id, \
                    types: {B: badges, O: offices}}}\n";
    let rule = "subject_id: [{polymorphic: subject, part: id}]";
    let one = orders(declared, rule, "subject_id uuid");
    let ValueRule::FirstId(calls) = value(&one, "subject_id") else {
        panic!("{one:?}")
    };
    let names: Vec<&str> = calls.iter().map(|call| call.entity.as_str()).collect();
    assert_eq!(names, ["users", "offices"]);
    assert!(one.parents.iter().any(|parent| parent.entity == "badges"));

    let rule = "list: [{array_agg: {source: member, by: order_id, \
                value: [{col: user_id}, {fk: {entity: badges}}]}}]";
    let many = orders("", rule, "list uuid[]");
    let ValueRule::Ids(call) = value(&many, "list") else {
        panic!("{many:?}")
    };
    assert_eq!(call.entity, "users");
    let is_parent =
        |parent: &ParentRef| parent.entity == "badges" && parent.shape == RefShape::Each;
    assert!(many.parents.iter().any(is_parent));
}

#[test]
fn an_element_of_an_array_refers_by_another_column() {
    let rule = format!(
        "{TOTAL}\n    list: [{{array_agg: {{source: member, by: order_id, \
         value: [{{col: user_id}}, {{fk: {{entity: users, by: [id]}}}}]}}}}]"
    );
    let plan = compiled_to(&[(TOTAL, &rule)], &[], |_, destination| {
        let more = catalogs::table("x", &[], &["list uuid[]"]).columns;
        destination.tables[3].columns.extend(more);
    });
    let orders = entity(&plan.unwrap(), "orders");
    let ValueRule::Ids(call) = value(&orders, "list") else {
        panic!("{orders:?}")
    };
    assert_eq!(call.entity, "users");
}

#[test]
fn a_reference_by_another_column_meets_a_joined_parent_once() {
    let offices = "  entity_type: office\n";
    let joined = format!(
        "{offices}  joins: [{{alias: m, table: member, on: \"m.user_id = src.id\", kind: inner}}]\n"
    );
    let by_id = "[{col: office_id}, {fk: {entity: offices, orphan: quarantine}}]";
    let by_name = "[{col: first_name}, {fk: {entity: offices, by: [name], orphan: quarantine}}]";
    let rest = "  unmapped_columns: ignore\n";
    let edits = [(offices, joined.as_str()), (by_id, by_name), (USERS, rest)];
    let plan = compiled_to(&edits, &[], |source, _| {
        source.tables[0].unique_keys.push(vec!["name".to_owned()]);
    });
    let users = entity(&plan.unwrap(), "users");
    let sql = field(&users, "office_id");
    assert!(
        sql.contains("AS src INNER JOIN \"public\".\"member\" AS \"m\""),
        "{sql}"
    );
    assert!(
        sql.ends_with("AS p WHERE p.b0 = src.\"first_name\" LIMIT 1)"),
        "{sql}"
    );
}

#[test]
fn a_natural_key_may_look_at_other_tables() {
    let id = "  id: {kind: natural_key, match: {email: [{col: office_id}, \
              {lookup: {table: office, by: id, take: name}}]}}\n";
    let plan = compiled(&[(USERS, &format!("{USERS}{id}"))], &[]).unwrap();
    let users = entity(&plan, "users");
    let rule = users.matches.as_ref().unwrap();
    assert!(rule.fields.iter().any(|sql| sql.contains("\"office\"")));
    let office = crate::domain::catalog::TableName::parse("office");
    assert_eq!(users.read.also, [office]);
}
