//! One broken step each: the path and the words of its problem.

use super::problems::{check, expect, problems_in};
use super::*;

#[test]
fn steps_and_types() {
    let total = "total: [{col: total}]";
    let at = "entities[4].transformation_rules.total";
    let cases: Vec<(&str, String, &str)> = vec![
        (
            "[{col: totl}]",
            format!("{at}[0].col"),
            "did you mean \"total\"?",
        ),
        (
            "[{col: r.total}]",
            format!("{at}[0].col"),
            "no join has the alias \"r\"",
        ),
        ("[trim]", format!("{at}[0].trim"), "needs a value before it"),
        (
            "[{col: total}, {const: 1}]",
            format!("{at}[1].const"),
            "only be the first step",
        ),
        (
            "[{col: placed}]",
            at.to_owned(),
            "add {cast: numeric(10,2)}",
        ),
        (
            "[{col: total}, trim]",
            format!("{at}[1].trim"),
            "add {cast: text} before",
        ),
        (
            "[{col: total}, {cast: uuid}]",
            format!("{at}[1].cast"),
            "use sql",
        ),
        (
            "[{col: total}, {default: x}]",
            format!("{at}[1].default"),
            "is no numeric",
        ),
        (
            "[{col: total}, {null_if: [0, \"\"]}]",
            format!("{at}[1].null_if[1]"),
            "is no numeric",
        ),
        (
            "[{col: total, on_error: set_null}, {default: 0}]",
            format!("{at}[0].on_error"),
            "cannot fail",
        ),
        (
            "[{col: total, on_error: {default: 1.234}}]",
            at.to_owned(),
            "does not fit into numeric(10,2)",
        ),
        (
            "[{col: placed}, {cast: date}, {default: \"2000-01-01\"}]",
            format!("{at}[2].default"),
            "move it before",
        ),
        (
            "[{col: placed}, {cast: date}]",
            at.to_owned(),
            "behind a step that runs in the agent",
        ),
        (
            "[{col: placed}, {cast: date, on_error: {default: soon}}]",
            format!("{at}[1].cast"),
            "is no date",
        ),
        (
            "[{col: placed}, {email: {}, on_error: {default: me}}]",
            format!("{at}[1].email.on_error"),
            "no e-mail",
        ),
        (
            "[{col: total}, {tz: {}}]",
            format!("{at}[1].tz"),
            "needs a timestamp",
        ),
        (
            "[{col: total}, {unit: {}}]",
            format!("{at}[1].unit"),
            "says nothing",
        ),
        (
            "[{col: placed}, {unit: {mul: 2}}]",
            format!("{at}[1].unit"),
            "cast it before",
        ),
        (
            "[{col: total}, {unit: {round: 2000}}]",
            format!("{at}[1].unit.round"),
            "more than 1000",
        ),
        (
            "[{col: placed}, {map: {table: {a: x}}}]",
            at.to_owned(),
            "varchar(1) does not become",
        ),
        (
            "[{coalesce: [total, placed]}]",
            format!("{at}[0].coalesce"),
            "no common type",
        ),
        (
            "[{coalesce: [total, nope]}]",
            format!("{at}[0].coalesce[1]"),
            "no column",
        ),
        (
            "[{template: \"${nope}\"}]",
            format!("{at}[0].template"),
            "no column \"nope\"",
        ),
        (
            "[{concat: {cols: [nope]}}]",
            format!("{at}[0].concat.cols[0]"),
            "no column \"nope\"",
        ),
        (
            "[{sql: \"nope(\"}]",
            format!("{at}[0].sql"),
            "the source refuses it: syntax error",
        ),
        (
            "[{sql: \"unknown\"}]",
            format!("{at}[0].sql"),
            "has not told its type",
        ),
        (
            "[{when: [{if: amount, then: [{col: total}]}]}]",
            format!("{at}[0].when[0].if"),
            "a condition is boolean",
        ),
        (
            "[{when: [{if: nope(, then: [trim]}]}]",
            format!("{at}[0].when[0].then[0].trim"),
            "needs a value",
        ),
        ("[now]", at.to_owned(), "use sql"),
        ("[{sql: amount}]", at.to_owned(), "money"),
    ];
    for (rule, path, words) in cases {
        let text = CLINIC.replace(total, &format!("total: {rule}"));
        expect(&problems_in(&text, |_, _| {}), &path, words);
    }
}

#[test]
fn constants_are_checked_against_an_enum() {
    let cases = [
        (
            "{const: guest}",
            "{const: gast}",
            "entities[3].transformation_rules.kind",
            "\"gast\" is no label",
        ),
        (
            "{map: {table: {U: upper, L: lower}}}",
            "{map: {table: {U: upper, L: low}}}",
            "entities[0].transformation_rules.side",
            "\"low\" is no label",
        ),
        (
            "{map: {table: {U: upper, L: lower}}}",
            "{map: {table: {U: upper}, else: {default: x}}}",
            "entities[0].transformation_rules.side",
            "\"x\" is no label",
        ),
    ];
    check(&cases);
}

#[test]
fn constants_are_checked_against_a_length() {
    let (rule, long) = (
        "[{template: \"${first_name} ${last_name}\"}]",
        "x".repeat(101),
    );
    let text = CLINIC
        .replace(rule, &format!("[{{const: {long}}}]"))
        .replace(
            "drop_source_columns: [password]",
            "unmapped_columns: ignore",
        );
    let problems = problems_in(&text, |_, _| {});
    expect(
        &problems,
        "entities[3].transformation_rules.full_name",
        "is longer than 100 characters",
    );
}
