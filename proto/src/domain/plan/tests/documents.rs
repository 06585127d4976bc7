//! Documents that are no plan at all, or too much of one.

use super::*;

#[test]
fn broken_documents_say_where() {
    let cases = [
        ("", "the plan is empty"),
        ("# nothing\n", "the plan is empty"),
        ("version: [1", "not YAML or JSON"),
        ("a: 1\n---\nb: 2\n", "a plan is one document"),
        ("a: !!binary x\n", "tags are not used in a plan"),
        ("a: !thing {b: c}\n", "tags are not used in a plan"),
        ("? [a, b]\n: c\n", "a key must be a text"),
        ("a: *nothing\n", "not YAML or JSON"),
        ("- a\n- b\n", "expected a mapping, found a list"),
        ("just text", "expected a mapping, found a text"),
    ];
    for (text, message) in cases {
        let problems = problems_of(text);
        assert!(
            problems
                .iter()
                .any(|problem| problem.message.contains(message)),
            "{text:?}: {problems:?}"
        );
    }
}

#[test]
fn documents_are_bounded() {
    let large = format!("a: {}", "x".repeat(MAX_BYTES));
    let wide = format!("a: [{}]", "1,".repeat(1_100_000));
    let deep_flow = "[".repeat(100_000);
    let deep_block = "- ".repeat(100_000);
    let deep_keys = (0..200)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect::<String>();
    for text in [large, wide, deep_flow, deep_block, deep_keys] {
        let problems = problems_of(&text);
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
}

#[test]
fn a_bomb_of_aliases_ends_early() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..40 {
        let before = format!("*a{}", level - 1);
        let items = [before.as_str(); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    let problems = problems_of(&text);
    assert!(
        problems[0]
            .message
            .contains("too large once aliases are written out"),
        "{problems:?}"
    );
}

#[test]
fn aliases_repeat_what_they_name() {
    let text = SMALL.replace(
        "[{col: name}, trim]",
        "&pipe [{col: name}, trim]\n    city: *pipe",
    );
    let plan = parse(&text).unwrap();
    let rules: Vec<&Pipeline> = plan.entities[0]
        .transformation_rules
        .iter()
        .map(|(_, pipeline)| pipeline)
        .collect();
    assert_eq!(rules[0], rules[1]);
}

#[test]
fn keys_of_a_map_stay_as_written() {
    let plan = parse(SMALL).unwrap();
    let status = &plan.entities[0].transformation_rules.0[1].1;
    match &status.0[1].step {
        Step::Map(rule) => {
            let keys: Vec<&str> = rule.table.iter().map(|(key, _)| key).collect();
            assert_eq!(keys, ["1", "02"]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn problems_print_with_path_and_line() {
    let problems = parse(&SMALL.replace("trim]", "trimm]")).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "entities[0].transformation_rules.name[1]: unknown step \"trimm\", did you mean \"trim\"? \
         (line 13)"
    );
    assert_eq!(problems.0[0].column, Some(25));
}
