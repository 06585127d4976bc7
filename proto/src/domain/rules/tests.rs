//! Tests of steps and conversions on one table.

use std::collections::BTreeMap;

use super::*;
use crate::domain::catalog::{Column, ColumnType, Probed, Table, TableName, TypeKind};
use crate::domain::compiled::RowAction;
use crate::domain::plan::{self, Problem, ProblemLog, Unfit};

mod texts;

fn column(name: &str, base: &str, typmod: i32) -> Column {
    let ty = ColumnType {
        sql: base.to_owned(),
        base: base.to_owned(),
        typmod,
        kind: TypeKind::Builtin,
        enum_labels: Vec::new(),
        is_deterministic: true,
    };
    Column {
        name: name.to_owned(),
        ty,
        not_null: false,
        has_default: false,
        is_generated: false,
    }
}

fn table() -> Table {
    Table {
        name: TableName::parse("legacy"),
        columns: vec![
            column("id", "integer", -1),
            column("side", "text", -1),
            column("name", "character varying", 44),
            column("code", "smallint", -1),
            column("cents", "bigint", -1),
            column("rate", "numeric", ((8 << 16) | 3) + 4),
            column("made", "timestamp without time zone", -1),
            column("extra", "jsonb", -1),
            column("raw", "json", -1),
            column("kind", "character", 7),
        ],
        primary_key: vec!["id".to_owned()],
        unique_keys: Vec::new(),
        foreign_keys: Vec::new(),
        estimated_rows: 0,
        bytes: 0,
        has_rows: false,
        hazards: Vec::new(),
    }
}

/// A small table with a unique code.
fn lookup_tables() -> [Table; 1] {
    let code = |name: &str, ty: &str| column(name, ty, -1);
    [Table {
        name: TableName::parse("codes"),
        columns: vec![
            code("id", "integer"),
            code("code", "text"),
            code("label", "text"),
            code("made", "date"),
        ],
        unique_keys: vec![vec!["id".to_owned()], vec!["code".to_owned()]],
        ..table()
    }]
}

/// Compiles a pipeline written as in a plan.
fn compile(pipeline: &str) -> Result<Draft, Vec<Problem>> {
    compile_for(150_000, pipeline)
}

/// Likewise, for a source of that version.
fn compile_for(server_version: u32, pipeline: &str) -> Result<Draft, Vec<Problem>> {
    let text = format!(
        "{{version: 1, name: p, namespace: 6f1b6c0e-6b3e-5d0a-9a53-0c7d3b5f9e11, \
         source: {{connection: a}}, destination: {{connection: b}}, entities: [{{entity: e, \
         source_entity: legacy, destination_entity: e, entity_type: e, \
         transformation_rules: {{c: {pipeline}}}}}]}}"
    );
    let plan = plan::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let (table, log) = (table(), ProblemLog::default());
    let refused = "invalid regular expression: parentheses () not balanced".to_owned();
    let bad = plan::Regex {
        pattern: plan::Name("(".to_owned()),
        replace: String::new(),
    };
    let expressions = BTreeMap::from([(regex_probe(&table.name, &bad), Probed::Refused(refused))]);
    let key = ["id".to_owned(), "side".to_owned()];
    let others = Others {
        tables: &lookup_tables(),
        entities: Vec::new(),
    };
    let scope = Scope {
        others: &others,
        joined: &[],
        joins: "",
        table: &table,
        key: &key,
        timezone: Some("America/Chicago"),
        on_row_error: &Unfit::Quarantine,
        expressions: &expressions,
        server_version,
        log: &log,
    };
    let draft = value_of(&scope, &plan.entities[0].transformation_rules.0[0].1.0, "c");
    log.finish(draft).map_err(|problems| problems.0)
}

fn draft(pipeline: &str) -> Draft {
    compile(pipeline).unwrap_or_else(|problems| panic!("{pipeline}: {problems:#?}"))
}

#[test]
fn steps_read_as_sql() {
    let cases = [
        ("[{col: name}]", "src.\"name\""),
        ("[{const: 5}]", "'5'::smallint"),
        ("[{const: \"O'x\"}]", "'O''x'::text"),
        ("[{const: null}, {cast: date}]", "(NULL)::date"),
        ("[{source_meta: table}]", "'legacy'::text"),
        (
            "[{source_meta: migration_id}]",
            "CAST($migration_id$ AS uuid)",
        ),
        (
            "[{source_meta: pk}]",
            "(replace(replace((src.\"id\")::text, E'\\\\', E'\\\\\\\\'), ':', E'\\\\:') || ':' || \
             replace(replace((src.\"side\")::text, E'\\\\', E'\\\\\\\\'), ':', E'\\\\:'))",
        ),
        (
            "[{col: name}, {default: x}]",
            "COALESCE(src.\"name\", 'x'::text)",
        ),
        (
            "[{col: code}, {default: 0}]",
            "COALESCE(src.\"code\", '0'::smallint)",
        ),
        (
            "[{col: code}, {null_if: [0, 9]}]",
            "NULLIF(NULLIF(src.\"code\", '0'::smallint), '9'::smallint)",
        ),
        (
            "[{coalesce: [code, cents]}]",
            "COALESCE((src.\"code\")::bigint, src.\"cents\")",
        ),
        (
            "[{col: name}, {coalesce: [side]}, lower]",
            "lower(COALESCE(src.\"name\", src.\"side\"))",
        ),
        (
            "[{template: \"${name}-${code}\"}]",
            "(CASE WHEN num_nonnulls(src.\"name\", src.\"code\") > 0 THEN \
             COALESCE(src.\"name\", '') || '-'::text || COALESCE((src.\"code\")::text, '') END)",
        ),
        (
            "[{concat: {sep: \" \", cols: [name, side]}}]",
            "(CASE WHEN num_nonnulls(src.\"name\", src.\"side\") > 0 THEN \
             COALESCE(src.\"name\", '') || ' '::text || COALESCE(src.\"side\", '') END)",
        ),
        (
            "[{col: code}, {map: {table: {2: b, 1: a}, else: keep}}]",
            "(CASE src.\"code\" WHEN 1 THEN 'a'::text WHEN 2 THEN 'b'::text \
             ELSE (src.\"code\")::text END)",
        ),
        (
            "[{col: code}, {map: {table: {1: a, 01: b}, else: set_null}}]",
            "(CASE (src.\"code\")::text WHEN '01' THEN 'b'::text WHEN '1' THEN 'a'::text END)",
        ),
        (
            "[{col: code}, {map: {table: {1: true, 2: false}, else: set_null}}]",
            "(CASE src.\"code\" WHEN 1 THEN true WHEN 2 THEN false END)",
        ),
        (
            "[{col: code}, {map: {table: {1: 10}, else: {default: 70000}}}]",
            "(CASE src.\"code\" WHEN 1 THEN '10'::integer ELSE CASE WHEN src.\"code\" IS NOT NULL \
             THEN '70000'::integer END END)",
        ),
        (
            "[{col: cents}, {unit: {mul: 0.01}}]",
            "((src.\"cents\")::numeric * '0.01'::numeric)",
        ),
        (
            "[{col: rate}, {unit: {mul: 2, add: -1, round: 1}}]",
            "round(((src.\"rate\" * '2'::numeric) + '-1'::numeric), 1)",
        ),
        (
            "[{col: made}, {tz: {from: UTC}}]",
            "(src.\"made\" AT TIME ZONE 'UTC')",
        ),
    ];
    for (pipeline, sql) in cases {
        assert_eq!(draft(pipeline).sql, sql, "{pipeline}");
    }
}

#[test]
fn arithmetic_keeps_bounds() {
    let cases = [
        (
            "[{col: cents}, {unit: {mul: 0.01, scale: 2}}]",
            Some((19, 2)),
            0,
        ),
        (
            "[{col: cents}, {unit: {mul: 0.01, scale: 4}}]",
            Some((21, 4)),
            0,
        ),
        (
            "[{col: cents}, {unit: {mul: 0.001, scale: 2}}]",
            Some((18, 2)),
            1,
        ),
        (
            "[{col: cents}, {unit: {mul: 0.001, round: 2}}]",
            Some((19, 2)),
            0,
        ),
        ("[{col: rate}, {unit: {mul: 12}}]", Some((10, 3)), 0),
        ("[{col: rate}, {unit: {add: 0.5}}]", Some((9, 3)), 0),
        ("[{col: rate}, {unit: {scale: 2}}]", Some((7, 2)), 1),
    ];
    for (pipeline, bounds, faults) in cases {
        let draft = draft(pipeline);
        assert_eq!(draft.ty, Ty::Numeric(bounds), "{pipeline}");
        assert_eq!(draft.faults.len(), faults, "{pipeline}");
    }
}

#[test]
fn times_have_two_verdicts_behind_one_guard() {
    let made = draft("[{col: made}, {tz: {}}]");
    // The entity's own zone is the session's; another one is named.
    assert_eq!(made.sql, "(src.\"made\")::timestamptz");
    let there = draft("[{col: made}, {tz: {from: Europe/Berlin, ambiguous: latest}}]");
    assert_eq!(there.sql, "(src.\"made\" AT TIME ZONE 'Europe/Berlin')");
    let codes: Vec<&str> = made
        .faults
        .iter()
        .map(|draft| draft.fault.code.as_str())
        .collect();
    assert_eq!(codes, ["DROVER_TZ_GAP", "DROVER_TZ_AMBIGUOUS"]);
    assert!(made.faults[0].guard.is_some());
    assert_eq!(made.faults[0].guard, made.faults[1].guard);
    let settled = draft("[{col: made}, {tz: {ambiguous: earliest, gap: set_null}}]");
    assert!(settled.faults.is_empty());
    assert!(
        settled
            .sql
            .starts_with("(CASE WHEN ((src.\"made\" + '26:00'::interval)")
    );
    let latest = draft("[{col: made}, {tz: {ambiguous: latest, gap: fail}}]");
    assert_eq!(latest.sql, made.sql);
    assert_eq!(latest.faults[0].fault.action, RowAction::Fail);
    let other = "[{col: made}, {tz: {gap: {default: \"2000-01-01 00:00\"}, ambiguous: set_null}}]";
    assert!(
        draft(other)
            .sql
            .contains("('2000-01-01 00:00'::timestamp)::timestamptz")
    );
}

#[test]
fn checks_of_a_branch_count_only_there() {
    let pipeline = "[{when: [{if: x, then: [{col: name}, {cast: integer}]}]}]";
    let problems = compile(pipeline).unwrap_err();
    assert_eq!(problems[0].path, "c[0].when[0].if");
}

#[test]
fn a_cast_of_text_never_raises() {
    let count = draft("[{col: name}, {cast: integer}]");
    assert!(
        count
            .sql
            .starts_with("(CASE WHEN src.\"name\" ~ '^[+-]?[0-9]{1,9}$' THEN")
    );
    assert_eq!(count.faults[0].fault.path, "c[1].cast");
    let soft = draft("[{col: name}, {cast: integer, on_error: set_null}]");
    assert_eq!(soft.sql, count.sql);
    assert!(soft.faults.is_empty());
    let filled = draft("[{col: name}, {cast: integer, on_error: {default: -1}}]");
    assert!(filled.sql.contains("THEN '-1'::integer ELSE"));
}

/// PostgreSQL unrolls a count: {1,255} makes a value twenty times as slow as + and a length.
#[test]
fn texts_are_judged_by_no_regular_expression_that_counts_far() {
    for ty in [
        "smallint",
        "integer",
        "bigint",
        "numeric",
        "numeric(8,2)",
        "real",
        "uuid",
    ] {
        let made = draft(&format!("[{{col: name}}, {{cast: \"{ty}\"}}]"));
        let checks = made.faults.iter().flat_map(|fault| &fault.condition);
        for sql in checks.chain([&made.sql]) {
            assert!(!sql.contains("255}"), "{ty}: {sql}");
        }
    }
}

#[test]
fn every_pair_of_types_has_an_answer() {
    let labels = vec!["a".to_owned(), "bb".to_owned()];
    let builtin = Ty::Builtin {
        base: "bytea".to_owned(),
        full: "bytea".to_owned(),
    };
    let types = [
        Ty::Null,
        Ty::Int2,
        Ty::Int4,
        Ty::Int8,
        Ty::Numeric(None),
        Ty::Numeric(Some((10, 0))),
        Ty::Numeric(Some((5, 2))),
        Ty::Numeric(Some((2, 4))),
        Ty::Float4,
        Ty::Float8,
        Ty::Bool,
        Ty::Text(None),
        Ty::Text(Some(1)),
        Ty::Text(Some(9)),
        Ty::Char(None),
        Ty::Char(Some(1)),
        Ty::Char(Some(3)),
        Ty::Enum(labels),
        Ty::Enum(Vec::new()),
        Ty::Citext,
        Ty::Uuid,
        Ty::Date,
        Ty::Timestamp(None),
        Ty::Timestamp(Some(0)),
        Ty::Timestamptz(None),
        Ty::Timestamptz(Some(3)),
        Ty::Json,
        Ty::Jsonb,
        Ty::Array(Box::new(Ty::Text(Some(4)))),
        Ty::Array(Box::new(Ty::Int4)),
        Ty::Array(Box::new(Ty::Int8)),
        builtin,
        Ty::User("public.box".to_owned()),
    ];
    for from in &types {
        for to in &types {
            for unfit in [Unfit::Quarantine, Unfit::SetNull] {
                for is_asked in [false, true] {
                    let fit = Fit {
                        unfit: &unfit,
                        path: "c",
                        is_asked,
                    };
                    match convert(Draft::new("src.\"x\"", from.clone()), to, &fit) {
                        Ok(made) => assert_eq!(&made.ty, to, "{from} to {to}"),
                        Err(words) => {
                            let is_foreign = matches!(from, Ty::User(_));
                            assert!(!words.is_empty() && (is_foreign || from != to), "{from}");
                        }
                    }
                }
            }
        }
    }
}
