//! References whose target differs by row.

use super::*;

const ORDER: &str = "  entity_type: order\n";

/// Orders with a reference beside.
fn orders(declared: &str, id_type: &str) -> Result<CompiledEntity, Vec<Problem>> {
    let entity_text = format!("{ORDER}  polymorphic: {{subject: {{{declared}}}}}\n");
    let rules = format!(
        "{TOTAL}\n    subject_type: [{{polymorphic: subject, part: type}}]\n    \
         subject_id: [{{polymorphic: subject, part: id}}]"
    );
    let edits = [(ORDER, entity_text.as_str()), (TOTAL, rules.as_str())];
    let id = format!("subject_id {id_type}");
    let plan = compiled_to(&edits, &[], |source, destination| {
        let more = catalogs::table("x", &[], &[&id, "subject_type enum:user,office,order"]);
        destination.tables[3].columns.extend(more.columns);
        source.tables.push(catalogs::table(
            "django_content_type",
            &["id"],
            &["id integer!", "app_label text!", "model text!"],
        ));
    });
    Ok(entity(&plan?, "orders"))
}

const LABEL: &str =
    "type_col: placed, types_from: label, id_col: product_id, types: {U: users, O: offices}";

#[test]
fn a_label_chooses_the_entity_whose_id_is_written() {
    let orders = orders(LABEL, "uuid").unwrap();
    let column = orders
        .columns
        .iter()
        .find(|column| column.name == "subject_id")
        .unwrap();
    let ValueRule::FirstId(calls) = &column.value else {
        panic!("{column:?}")
    };
    let names: Vec<&str> = calls.iter().map(|call| call.entity.as_str()).collect();
    assert_eq!(names, ["users", "offices"]);
    assert_eq!(
        orders.read.fields[calls[0].parts[0].field],
        "(CASE WHEN src.\"placed\" = 'U' THEN (src.\"product_id\")::integer END)"
    );
    assert_eq!(
        field(&orders, "subject_type"),
        "(CASE WHEN src.\"placed\" = 'U' THEN 'user'::text WHEN src.\"placed\" = 'O' THEN 'office'::text END)"
    );
    let codes: Vec<&str> = orders
        .faults
        .iter()
        .map(|fault| fault.code.as_str())
        .collect();
    let of = |code: &str| codes.iter().filter(|known| **known == code).count();
    assert_eq!(
        (of("DROVER_POLYMORPHIC"), of("DROVER_ORPHAN")),
        (1, 2),
        "both parts share their checks"
    );
    assert!(orders.dependencies.contains(&"offices".to_owned()));
    let held: Vec<&str> = orders
        .parents
        .iter()
        .map(|parent| parent.entity.as_str())
        .collect();
    assert_eq!(held, ["users", "products", "users", "offices"]);
}

#[test]
fn a_type_of_django_is_looked_up_once() {
    let declared = "type_col: product_id, types_from: django, id_col: placed, \
                    types: {clinic.user: users, clinic.office: offices}, orphan: set_null";
    let orders = orders(declared, "uuid").unwrap();
    let sql = field(&orders, "subject_type");
    let test = "src.\"product_id\" IN (SELECT ct.\"id\" FROM \"public\".\"django_content_type\" AS ct \
                WHERE ct.app_label = 'clinic' AND ct.model = 'user')";
    assert!(sql.contains(test), "{sql}");
    assert!(
        sql.contains("(src.\"placed\" IS NULL OR (CASE WHEN EXISTS")
            || sql.contains("OR (CASE WHEN (SELECT EXISTS"),
        "{sql}"
    );
    assert!(
        orders
            .faults
            .iter()
            .all(|fault| fault.code != "DROVER_POLYMORPHIC")
    );
    let also = crate::domain::catalog::TableName::parse("django_content_type");
    assert!(orders.read.also.contains(&also));
}

#[test]
fn one_column_may_hold_both() {
    let orders = orders(
        "type_col: placed, types_from: combined, types: {U: users}",
        "uuid",
    )
    .unwrap();
    let sql = field(&orders, "subject_id");
    assert!(
        sql.starts_with("(CASE WHEN split_part(src.\"placed\", ',', 1) = 'U' THEN "),
        "{sql}"
    );
    assert!(
        sql.contains("substr(src.\"placed\", strpos(src.\"placed\", ',') + 1)"),
        "{sql}"
    );
}

#[test]
fn polymorphic_references_are_checked() {
    let at = "entities[4].polymorphic.subject";
    let cases = [
        (
            LABEL.replace("placed", "plased"),
            "uuid",
            format!("{at}.type_col"),
            "did you mean \"placed\"?",
        ),
        (
            LABEL.replace(", id_col: product_id", ""),
            "uuid",
            format!("{at}.id_col"),
            "missing",
        ),
        (
            LABEL.replace("label", "combined"),
            "uuid",
            format!("{at}.id_col"),
            "stands in type_col",
        ),
        (
            LABEL.replace("label", "django"),
            "uuid",
            format!("{at}.type_col"),
            "names no types django",
        ),
        (
            LABEL.replace("offices", "jaws"),
            "uuid",
            format!("{at}.types.O"),
            "several columns",
        ),
        (
            format!("{LABEL}, orphan: {{default: 1}}"),
            "uuid",
            format!("{at}.orphan"),
            "has no default",
        ),
        (
            LABEL.to_owned(),
            "bigint",
            "entities[4].transformation_rules.subject_id[0].polymorphic".to_owned(),
            "the ids are uuid",
        ),
        (
            LABEL.replace("offices", "products"),
            "uuid",
            "entities[4].transformation_rules.subject_id[0].polymorphic".to_owned(),
            "",
        ),
    ];
    for (declared, id_type, path, words) in cases {
        let problems = orders(&declared, id_type).expect_err(words);
        problems::expect(&problems, &path, words);
    }
    let text = CLINIC.replace(
        TOTAL,
        &format!("{TOTAL}\n    placed_on: [{{polymorphic: subject, part: type}}]"),
    );
    assert!(plan::parse(&text).is_err(), "a column twice");
    let own = orders(&LABEL.replace("offices", "orders"), "uuid").unwrap();
    assert_eq!(own.knot, ["orders"]);
    assert_eq!(own.late[0].column, "subject_id");
    let none = compiled(&[("[{col: total}]", "[{polymorphic: subject}]")], &[]).unwrap_err();
    problems::expect(
        &none,
        "entities[4].transformation_rules.total[0].polymorphic",
        "declares no polymorphic",
    );
}
