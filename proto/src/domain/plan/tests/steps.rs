//! One broken step each: the path and the words of its problem.

use super::problems::check;

#[test]
fn steps() {
    let (name, rule) = (
        "[{col: name}, trim]",
        "entities[0].transformation_rules.name",
    );
    let at = |rest: &str| format!("{rule}{rest}");
    let cases: Vec<(&str, String, &str)> = vec![
        ("[]", at(""), "a pipeline needs a step"),
        ("trim", at(""), "expected a list"),
        ("[{col: name}, trimm]", at("[1]"), "did you mean \"trim\"?"),
        (
            "[{col: name, trim: {}}]",
            at("[0]"),
            "each step is an item of its own",
        ),
        ("[{}]", at("[0]"), "no step here"),
        ("[[col, name]]", at("[0]"), "expected a step"),
        ("[col]", at("[0].col"), "needs an argument"),
        ("[{col: 5}]", at("[0].col"), "expected a text"),
        ("[{col: \"\"}]", at("[0].col"), "must not be empty"),
        ("[{col: a}, {trim: {x: 1}}]", at("[1].trim"), "no arguments"),
        ("[{col: a}, {trim: }]", at("[1].trim"), "no arguments"),
        ("[{const: [a]}]", at("[0].const"), "expected a value"),
        (
            "[{source_meta: row}]",
            at("[0].source_meta"),
            "known: table, pk, migration_id",
        ),
        (
            "[{col: a}, {cast: money}]",
            at("[1].cast"),
            "cast knows no type \"money\"",
        ),
        (
            "[{col: a}, {cast: {to: int, form: x}}]",
            at("[1].cast.form"),
            "unknown key",
        ),
        (
            "[{source_meta: {pk: {}}}]",
            at("[0].source_meta.pk"),
            "the bare word",
        ),
        (
            "[{col: a}, {cast: {to: int, format: x}}]",
            at("[1].cast.format"),
            "not supported yet",
        ),
        (
            "[{col: a}, {cast: int, on_error: null}]",
            at("[1].on_error"),
            "unknown word",
        ),
        (
            "[{col: a}, {cast: int, on_error: {default: }}]",
            at("[1].on_error.default"),
            "expected a value",
        ),
        (
            "[{col: a}, {cast: int, on_error: {set_null: 1}}]",
            at("[1].on_error.set_null"),
            "no arguments",
        ),
        (
            "[{col: a}, {default: null}]",
            at("[1].default"),
            "expected a value, found null",
        ),
        (
            "[{col: a}, {null_if: []}]",
            at("[1].null_if"),
            "must not be empty",
        ),
        ("[{coalesce: a}]", at("[0].coalesce"), "expected a list"),
        ("[{template: \"${a\"}]", at("[0].template"), "not closed"),
        ("[{template: plain}]", at("[0].template"), "names no column"),
        ("[{concat: {sep: x}}]", at("[0].concat.cols"), "missing"),
        (
            "[{col: a}, {map: {else: keep}}]",
            at("[1].map.table"),
            "missing",
        ),
        (
            "[{col: a}, {map: {table: {}}}]",
            at("[1].map.table"),
            "must not be empty",
        ),
        (
            "[{col: a}, {map: {table: {a: }}}]",
            at("[1].map.table.a"),
            "found null",
        ),
        (
            "[{col: a}, {map: {table: {a: 1, a: 2}}}]",
            at("[1].map.table.a"),
            "written twice",
        ),
        (
            "[{col: a}, {map: {table: {a: b}, else: drop}}]",
            at("[1].map.else"),
            "unknown word",
        ),
        (
            "[{col: a}, {fk: offices}]",
            at("[1].fk"),
            "expected a mapping",
        ),
        (
            "[{col: a}, {fk: {entity: x}}]",
            at("[1].fk.entity"),
            "no entity \"x\"",
        ),
        (
            "[{col: a}, {tz: {ambiguous: last}}]",
            at("[1].tz.ambiguous"),
            "mean \"latest\"?",
        ),
        (
            "[{col: a}, {unit: {mul: \"2\"}}]",
            at("[1].unit.mul"),
            "expected a number",
        ),
        (
            "[{col: a}, {unit: {round: -1}}]",
            at("[1].unit.round"),
            "from 0 on",
        ),
        ("[{when: []}]", at("[0].when"), "must not be empty"),
        ("[{when: [{if: x}]}]", at("[0].when[0].then"), "missing"),
        (
            "[{when: [{if: x, then: [{col: a}, nope]}]}]",
            at("[0].when[0].then[1]"),
            "unknown step",
        ),
        (
            "[{col: a, else: [now]}]",
            at("[0].else"),
            "does not belong to col",
        ),
        ("[{sql: }]", at("[0].sql"), "expected a text"),
        ("[{sql: \"a = $migration_id$\"}]", at("[0].sql"), "reserved"),
        ("[{col: a}, {nfc: x}]", at("[1].nfc"), "no arguments"),
        ("[{col: a}, {pad: {with: x}}]", at("[1].pad.to"), "missing"),
        (
            "[{polymorphic: x, part: key}]",
            at("[0].part"),
            "known: id, type",
        ),
        (
            "[{array_agg: {source: x, by: y}}]",
            at("[0].array_agg.value"),
            "missing",
        ),
        (
            "[{col: a}, {hash: {algorithm: md5}}]",
            at("[1].hash.algorithm"),
            "unknown word",
        ),
    ];
    let cases: Vec<(&str, &str, &str, &str)> = cases
        .iter()
        .map(|(to, path, words)| (name, *to, path.as_str(), *words))
        .collect();
    check(&cases);
}
