//! What changes the hash of an entity, and what must not.

use super::*;

fn hash(text: &str, name: &str) -> String {
    entity(
        &compile_text(text).unwrap_or_else(|problems| panic!("{problems}")),
        name,
    )
    .hash
}

#[test]
fn settings_are_in_no_hash() {
    let before = hash(CLINIC, "users");
    assert_eq!(before.len(), 64);
    for (from, to) in [
        ("max_quarantined: 1%", "max_quarantined: 7"),
        ("max_quarantined: 1%", "batch_size: 5"),
        ("max_quarantined: 1%", "constraints: keep"),
        ("max_quarantined: 1%", "consistency: none"),
        ("parallel_partitions: 2", "max_retries: 9"),
        ("name: clinic", "name: other"),
        ("connection: legacy", "connection: elsewhere"),
    ] {
        assert_eq!(hash(&CLINIC.replace(from, to), "users"), before, "{to}");
    }
}

#[test]
fn the_order_of_the_document_is_in_no_hash() {
    let json = plan::document_json(CLINIC).unwrap().to_string();
    for name in ["users", "jaws", "offices"] {
        assert_eq!(hash(&json, name), hash(CLINIC, name));
    }
}

#[test]
fn every_rule_is_in_the_hash() {
    let before = hash(CLINIC, "users");
    for (from, to) in [
        ("null_if: [\"\"]", "null_if: [\"-\"]"),
        ("${first_name} ${last_name}", "${last_name} ${first_name}"),
        ("orphan: quarantine", "orphan: set_null"),
        ("deleted_at is null -- soft", "deleted_at is null"),
        ("{const: guest}", "{const: user}"),
        ("entity_type: user\n", "entity_type: person\n"),
        (
            "sensitive: [email, password]",
            "sensitive: [email, full_name]",
        ),
        ("9e11", "9e12"),
        ("dependency_entities: [products]", "on_row_error: fail"),
        ("dependency_entities: [products]", "version: \"2\""),
    ] {
        assert!(CLINIC.contains(from), "{from}");
        let plan = plan::parse(&CLINIC.replace(from, to)).unwrap();
        let mut source = catalogs::source();
        catalogs::answer(&mut source, "office", "deleted_at is null", "boolean");
        let compiled = compile(&plan, &source, &catalogs::destination())
            .unwrap_or_else(|problems| panic!("{problems}"));
        assert_ne!(entity(&compiled, "users").hash, before, "{to}");
    }
}
