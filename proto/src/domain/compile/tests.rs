//! Tests of the compiler on a small clinic.

use super::*;
use crate::domain::compiled::*;
use crate::domain::plan;
use crate::domain::plan::Problem;

mod catalogs;
mod checks;
mod hashes;
mod ids;
mod problems;
mod references;
mod shapes;
mod steps;

const CLINIC: &str = include_str!("fixtures/clinic.yaml");

fn compile_text(text: &str) -> Result<CompiledPlan, Problems> {
    let plan = plan::parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    compile(&plan, &catalogs::source(), &catalogs::destination())
}

pub(crate) fn clinic() -> CompiledPlan {
    compile_text(CLINIC).unwrap_or_else(|problems| panic!("{problems}"))
}

fn entity(plan: &CompiledPlan, name: &str) -> CompiledEntity {
    plan.entity(name).unwrap().clone()
}

/// The field that fills a column.
fn field<'a>(entity: &'a CompiledEntity, column: &str) -> &'a str {
    let column = entity
        .columns
        .iter()
        .find(|known| known.name == column)
        .unwrap();
    match &column.value {
        ValueRule::Field(field) | ValueRule::Steps { field, .. } => &entity.read.fields[*field],
        ValueRule::Id(call) => &entity.read.fields[call.parts[0].field],
        ValueRule::FirstId(calls) => &entity.read.fields[calls[0].parts[0].field],
        ValueRule::Ids(call) => &entity.read.fields[call.part.field],
        ValueRule::EachSteps(call) => &entity.read.fields[call.field],
        ValueRule::Document(call) => &entity.read.fields[call.field],
    }
}

#[test]
fn entities_stand_in_topological_order() {
    let plan = clinic();
    let names: Vec<&str> = plan
        .entities
        .iter()
        .map(|entity| entity.entity.as_str())
        .collect();
    assert_eq!(
        names,
        ["offices", "products", "users", "orders", "jaws", "members"]
    );
    assert_eq!(entity(&plan, "users").dependencies, ["offices", "products"]);
    assert_eq!(entity(&plan, "members").dependencies, ["jaws", "users"]);
    assert_eq!(
        plan.limits,
        Limits {
            parallel_partitions: 2,
            max_retries: 5,
            max_rows_per_second: None,
            source_max_lag_seconds: None,
        }
    );
    assert_eq!(plan.consistency, Consistency::Snapshot);
}

#[test]
fn keys_come_first_and_columns_in_table_order() {
    let plan = clinic();
    let jaws = entity(&plan, "jaws");
    assert_eq!(
        jaws.read.fields[..2],
        ["src.\"order_id\"", "(src.\"side\")::text"]
    );
    assert_eq!(jaws.read.key[1].text, KeyText::Text);
    assert_eq!(jaws.read.key[1].type_sql, "character(1)");
    let id = ValueRule::Id(IdCall {
        entity: "jaws".to_owned(),
        parts: vec![
            KeyPart {
                field: 0,
                text: KeyText::Int8,
            },
            KeyPart {
                field: 1,
                text: KeyText::Text,
            },
        ],
    });
    assert_eq!(jaws.columns[0], WriteColumn::new("id", id));
    let offices = entity(&plan, "offices");
    let names: Vec<&str> = offices
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["id", "parent_id", "name", "opened_at", "imported_at"]
    );
    assert_eq!(
        offices.read.filter.as_deref(),
        Some("deleted_at is null -- soft")
    );
}

#[test]
fn ids_are_kept_made_or_absent() {
    let plan = clinic();
    let products = entity(&plan, "products");
    assert_eq!(
        products.id,
        IdRule::Keep {
            column: "id".to_owned()
        }
    );
    assert_eq!(field(&products, "id"), "(src.\"id\")::bigint");
    let members = entity(&plan, "members");
    let columns = vec!["user_id".to_owned(), "jaw_id".to_owned()];
    assert_eq!(members.id, IdRule::None { columns });
    let parent = &members.parents[1];
    assert_eq!(
        (parent.entity.as_str(), parent.column.as_str()),
        ("jaws", "jaw_id")
    );
    assert_eq!(parent.parts[0].text, KeyText::Int8);
    assert_eq!(parent.parts[1].text, KeyText::Text);
}

#[test]
fn references_to_kept_ids_pass_through() {
    let orders = entity(&clinic(), "orders");
    let sql = field(&orders, "product_id");
    assert!(sql.ends_with("::bigint"), "{sql}");
    // The agent looks for its row among the keys of the parent, and makes the same field NULL.
    let check = orders
        .orphans
        .iter()
        .find(|check| check.entity == "products")
        .unwrap();
    assert_eq!(check.action, OrphanAction::SetNull);
    assert_eq!(&orders.read.fields[check.part.field], sql);
    let parent = orders
        .parents
        .iter()
        .find(|parent| parent.entity == "products")
        .unwrap();
    // The value's field serves the key as well.
    assert_eq!(parent.parts[0], check.part);
}

#[test]
fn an_enforced_reference_needs_no_check_unless_its_parent_is_filtered() {
    let plan = clinic();
    let orders = entity(&plan, "orders");
    assert!(
        orders
            .faults
            .iter()
            .all(|fault| fault.code != "DROVER_ORPHAN"),
        "{orders:#?}"
    );
    let users = entity(&plan, "users");
    let orphan: Vec<&Fault> = users
        .faults
        .iter()
        .filter(|fault| fault.code == "DROVER_ORPHAN")
        .collect();
    assert_eq!(orphan.len(), 1);
    assert_eq!(
        orphan[0].path,
        "entities[3].transformation_rules.office_id[1].fk"
    );
    let [check] = users.orphans.as_slice() else {
        panic!("one parent may not be there: {:?}", users.orphans);
    };
    assert_eq!(
        check.action,
        OrphanAction::Fault(
            users
                .faults
                .iter()
                .position(|fault| fault == orphan[0])
                .unwrap()
        )
    );
    let filtered = "WHERE (deleted_at is null -- soft\n)";
    assert!(check.keys.ends_with(filtered), "{}", check.keys);
    let exists = format!("{filtered}) AS p WHERE p.k0");
    assert!(check.exists.contains(&exists), "{}", check.exists);
}

#[test]
fn self_references_are_settled_after_the_load() {
    let offices = entity(&clinic(), "offices");
    assert!(offices.parents.is_empty());
    assert!(offices.dependencies.is_empty());
    assert_eq!(offices.late[0].column, "parent_id");
    assert_eq!(offices.knot, ["offices"]);
}

#[test]
fn steps_of_the_agent_follow_the_field() {
    let plan = clinic();
    let users = entity(&plan, "users");
    let email = users
        .columns
        .iter()
        .find(|column| column.name == "email")
        .unwrap();
    let ValueRule::Steps { field, steps } = &email.value else {
        panic!("{email:?}")
    };
    assert!(users.read.fields[*field].contains("NULLIF(src.\"email\", ''::text)"));
    assert_eq!(steps[0].op, AgentOp::Email);
    assert_eq!(
        steps[0].path,
        "entities[3].transformation_rules.email[2].email"
    );
    assert_eq!(steps[0].on_error, RowAction::Quarantine);
    let orders = entity(&plan, "orders");
    let placed = orders
        .columns
        .iter()
        .find(|column| column.name == "placed_on")
        .unwrap();
    let ValueRule::Steps { steps, .. } = &placed.value else {
        panic!("{placed:?}")
    };
    assert_eq!(
        steps[0].on_error,
        RowAction::Default("2000-01-01".to_owned())
    );
    let meta = entity(&plan, "products");
    let meta = meta
        .columns
        .iter()
        .find(|column| column.name == "meta")
        .unwrap();
    let ValueRule::Steps { steps, .. } = &meta.value else {
        panic!("{meta:?}")
    };
    assert_eq!(steps[0].op, AgentOp::ParseJsonb);
}

#[test]
fn money_that_cannot_overflow_is_not_checked() {
    let products = entity(&clinic(), "products");
    let codes: Vec<&str> = products
        .faults
        .iter()
        .map(|fault| fault.code.as_str())
        .collect();
    assert!(codes.is_empty(), "{codes:?}");
    assert_eq!(
        field(&products, "price"),
        "((src.\"price_cents\")::numeric * '0.01'::numeric)"
    );
    let orders = entity(&clinic(), "orders");
    let total: Vec<&Fault> = orders
        .faults
        .iter()
        .filter(|fault| fault.path.contains("total"))
        .collect();
    assert_eq!(total.len(), 1);
    assert_eq!(total[0].action, RowAction::Fail);
}

#[test]
fn free_sql_sees_the_tables_own_name_and_placeholders_stay() {
    let plan = clinic();
    let kind = entity(&plan, "users");
    let sql = field(&kind, "kind");
    assert!(
        sql.contains("WHEN (is_staff\n) THEN 'staff'::text"),
        "{sql}"
    );
    assert!(sql.contains("FROM (SELECT src.*) AS \"users\")"), "{sql}");
    assert_eq!(
        field(&entity(&plan, "offices"), "imported_at"),
        "CAST($run_now$ AS timestamptz)"
    );
}

#[test]
fn snapshots_leave_dropped_columns_out_and_mask_sensitive_ones() {
    let users = entity(&clinic(), "users");
    let columns: Vec<(&str, bool)> = users
        .snapshot
        .iter()
        .map(|column| (column.name.as_str(), column.is_sensitive))
        .collect();
    let expected = [
        ("id", false),
        ("email", true),
        ("first_name", false),
        ("last_name", false),
        ("office_id", false),
        ("is_staff", false),
    ];
    assert_eq!(columns, expected);
    let text = CLINIC.replace(
        "sensitive: [email, password]",
        "sensitive: [full_name, kind]",
    );
    let users = entity(&compile_text(&text).unwrap(), "users");
    let sensitive: Vec<&str> = users
        .snapshot
        .iter()
        .filter(|column| column.is_sensitive)
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(sensitive, ["first_name", "last_name", "is_staff"]);
}

#[test]
fn what_the_databases_are_asked() {
    let plan = plan::parse(CLINIC).unwrap();
    let (sources, destinations) = tables(&plan);
    assert_eq!(sources.len(), 6);
    assert_eq!(sources[3].to_string(), "staff.users");
    assert_eq!(destinations[0].to_string(), "jaws");
    let probes: Vec<String> = probes(&plan).into_iter().map(|probe| probe.sql).collect();
    assert_eq!(
        probes,
        [
            "deleted_at is null -- soft",
            "timestamp '2000-01-01 00:00:00' AT TIME ZONE 'America/Chicago'",
            "is_staff",
            "users.last_name is null",
        ]
    );
}

#[test]
fn an_entity_is_explained_in_words() {
    let users = explain(&entity(&clinic(), "users"));
    assert_eq!(users.id, "id is a uuid5 of the key");
    let email = users
        .columns
        .iter()
        .find(|column| column.column == "email")
        .unwrap();
    assert_eq!(
        email.steps[1],
        "an e-mail address, trimmed and in lower case, else the row is quarantined"
    );
    let office = users
        .columns
        .iter()
        .find(|column| column.column == "office_id")
        .unwrap();
    assert!(office.steps[0].starts_with("id of offices c"), "{office:?}");
    assert!(
        users.checks[0].message.ends_with("the row is quarantined"),
        "{:?}",
        users.checks
    );
}

#[test]
fn a_compiled_plan_survives_json() {
    let plan = clinic();
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<CompiledPlan>(&json).unwrap(), plan);
}
