//! Tests of the parser: whole plans in, problems out.

use super::*;

mod documents;
mod problems;
mod schema_changes;
mod steps;

const FULL: &str = include_str!("fixtures/full.yaml");

/// A small plan that is sound, with places to break.
const SMALL: &str = include_str!("fixtures/small.yaml");

fn problems_of(text: &str) -> Vec<Problem> {
    match parse(text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0,
    }
}

#[test]
fn the_small_plan_is_sound() {
    let plan = parse(SMALL).unwrap();
    assert_eq!(plan.entities.len(), 2);
    assert_eq!(plan.entities[1].transformation_rules.iter().count(), 4);
    let position = plan
        .positions
        .find("entities[1].transformation_rules.email[1].fk")
        .unwrap();
    assert_eq!(
        position,
        plan.positions
            .find("entities[1].transformation_rules.email[1]")
            .unwrap()
    );
}

#[test]
fn the_whole_language_is_recognised() {
    let problems = problems_of(FULL);
    for problem in &problems {
        assert_eq!(problem.message, "not supported yet", "{problem}");
        assert!(problem.line.is_some(), "{problem}");
    }
    let paths: Vec<&str> = problems
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    for path in [
        "entities[5].transformation_rules.seen[1].cast.format",
        "events",
    ] {
        assert!(paths.contains(&path), "{path} in {paths:#?}");
    }
    assert!(
        !paths.contains(&"limits.max_rows_per_second"),
        "null asks for nothing"
    );
}

#[test]
fn the_schema_knows_every_step_and_every_key() {
    let schema = json_schema();
    let text = schema.to_string();
    for word in <Step as declare::Choice>::WORDS {
        assert!(text.contains(&format!("\"{word}\"")), "{word}");
    }
    let steps = schema
        .pointer("/$defs/Step/oneOf")
        .unwrap()
        .as_array()
        .unwrap();
    assert_eq!(steps.len(), <Step as declare::Choice>::WORDS.len() + 1);
    assert_eq!(
        schema.pointer("/properties/version/const"),
        Some(&serde_json::json!(1))
    );
    let required = schema.pointer("/required").unwrap().as_array().unwrap();
    let required: Vec<&str> = required.iter().filter_map(|name| name.as_str()).collect();
    assert_eq!(
        required,
        ["version", "name", "namespace", "source", "destination"]
    );
    assert_eq!(
        schema.pointer("/additionalProperties"),
        Some(&serde_json::json!(false))
    );
    assert!(!text.contains("positions"));
}

#[test]
fn the_schema_requires_nothing_that_is_not_supported_yet() {
    let schema = json_schema();
    let types = schema["$defs"].as_object().unwrap();
    for (name, ty) in types.iter().chain([(&"Plan".to_owned(), &schema)]) {
        let required = ty["required"].as_array().cloned().unwrap_or_default();
        for (key, property) in ty["properties"].as_object().into_iter().flatten() {
            let is_later = property["x-supported"] == serde_json::json!(false);
            let is_list = property["type"] == "array" && property["minItems"].is_null();
            let is_required = required.iter().any(|required| required == key);
            assert!(!(is_required && (is_later || is_list)), "{name}.{key}");
        }
    }
}

#[test]
fn json_is_read_like_yaml() {
    let json = document_json(SMALL).unwrap();
    let text = serde_json::to_string_pretty(&json).unwrap();
    assert_eq!(document_json(&text).unwrap(), json);
    let (from_json, from_yaml) = (parse(&text).unwrap(), parse(SMALL).unwrap());
    assert_eq!(from_json.defaults, from_yaml.defaults);
    assert_eq!(
        from_json.entities[1].dependency_entities,
        from_yaml.entities[1].dependency_entities
    );
}
