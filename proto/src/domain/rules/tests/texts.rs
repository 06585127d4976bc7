//! Steps on texts and JSON: where they run, what they read as, what is wrong with them.

use super::*;
use crate::domain::compiled::{AgentOp, Digest};

#[test]
fn what_postgres_says_better_is_sql() {
    let cases = [
        (
            "[{col: side}, nfc]",
            "(CASE WHEN getdatabaseencoding() <> 'UTF8' THEN src.\"side\" WHEN strpos(src.\"side\", \
             chr(CASE WHEN getdatabaseencoding() = 'UTF8' THEN 4519 ELSE 32 END)) = 0 \
             THEN normalize(src.\"side\", NFC) ELSE (SELECT string_agg(normalize(part.v, NFC), \
             chr(CASE WHEN getdatabaseencoding() = 'UTF8' THEN 4519 ELSE 32 END) ORDER BY part.n) \
             FROM unnest(string_to_array(src.\"side\", \
             chr(CASE WHEN getdatabaseencoding() = 'UTF8' THEN 4519 ELSE 32 END))) \
             WITH ORDINALITY AS part(v, n)) END)",
        ),
        (
            "[{col: side}, {pad: {to: 8, with: \"0'\"}}]",
            "lpad(src.\"side\", greatest(char_length(src.\"side\"), 8), '0''')",
        ),
        (
            "[{col: side}, {pad: {to: 8, side: right}}]",
            "rpad(src.\"side\", greatest(char_length(src.\"side\"), 8), ' ')",
        ),
        ("[{col: side}, {truncate: 20}]", "left(src.\"side\", 20)"),
        (
            "[{col: side}, {replace: {from: \"O'x\", to: \"\\\\\"}}]",
            "replace(src.\"side\", 'O''x', E'\\\\')",
        ),
        (
            "[{col: side}, {regex: {pattern: \"[^A-Z']\", replace: \"\\\\1\"}}]",
            "regexp_replace(src.\"side\", '[^A-Z'']', E'\\\\1', 'g')",
        ),
        (
            "[{col: side}, {split: {sep: \"'\", index: 0}}]",
            "split_part(src.\"side\", '''', 1)",
        ),
        (
            "[{col: side}, {split: {sep: \" \", rest: 1}}]",
            "array_to_string((string_to_array(src.\"side\", ' '))[2:], ' ')",
        ),
        (
            "[{col: side}, {mask: {keep_last: 4}}]",
            "lpad(right(src.\"side\", 4), char_length(src.\"side\"), '*')",
        ),
        (
            "[{col: side}, {hash: {}}]",
            "encode(sha256(convert_to(src.\"side\", 'UTF8')), 'hex')",
        ),
        (
            "[{col: side}, {hash: {algorithm: sha512}}]",
            "encode(sha512(convert_to(src.\"side\", 'UTF8')), 'hex')",
        ),
        (
            "[{col: code}, redact]",
            "(CASE WHEN src.\"code\" IS NOT NULL THEN '[redacted]'::text END)",
        ),
        (
            "[{col: extra}, {json_get: '$.\"a''b\".c[0]'}]",
            "(src.\"extra\" #>> ARRAY['a''b', 'c', '0']::text[])",
        ),
        (
            "[{col: raw}, {json_get: $}]",
            "(src.\"raw\" #>> ARRAY[]::text[])",
        ),
        (
            "[{json_build: {\"o'k\": [{col: code}], day: [{col: made}, {cast: text}], k: [{col: kind}], \
             n: [{const: null}]}}]",
            "jsonb_build_object('day', (src.\"made\")::text, 'k', (src.\"kind\")::text, \
             'n', (NULL)::text, 'o''k', src.\"code\")",
        ),
        (
            "[{json_build: {all: [{json_build: {raw: [{col: raw}]}}], id: [{col: id}]}}]",
            "json_build_object('all', json_build_object('raw', src.\"raw\"), 'id', src.\"id\")",
        ),
    ];
    for (pipeline, sql) in cases {
        let draft = draft(pipeline);
        assert_eq!(draft.sql, sql, "{pipeline}");
        assert!(draft.agent.is_empty() && draft.faults.is_empty());
    }
}

#[test]
fn lengths_are_known_where_a_step_keeps_them() {
    let cases = [
        ("nfc", None),
        ("{pad: {to: 8}}", Some(40)),
        ("{pad: {to: 50}}", Some(50)),
        ("{truncate: 5}", Some(5)),
        ("{truncate: 50}", Some(40)),
        ("{replace: {from: ab, to: c}}", Some(40)),
        ("{replace: {from: a, to: bc}}", None),
        ("{regex: {pattern: a, replace: \"\"}}", None),
        ("{split: {sep: x, rest: 2}}", Some(40)),
        ("{mask: {keep_last: 1}}", Some(40)),
        ("{hash: {algorithm: sha512}}", Some(128)),
        ("redact", Some(10)),
    ];
    for (step, length) in cases {
        let draft = draft(&format!("[{{col: name}}, {step}]"));
        assert_eq!(draft.ty, Ty::Text(length), "{step}");
    }
}

#[test]
fn what_can_fail_or_needs_a_secret_is_the_agents() {
    let phone = |region: Option<&str>| AgentOp::Phone {
        region: region.map(str::to_owned),
    };
    let hmac = AgentOp::Hmac {
        digest: Digest::Sha512,
        key_from: "env:PII_KEY".to_owned(),
    };
    let path = vec!["a".to_owned(), "1".to_owned()];
    let cases = [
        (
            "[{col: name}, {phone: {region: US}}]",
            vec![phone(Some("US"))],
        ),
        (
            "[{col: name}, {phone: {}}, {mask: {keep_last: 4}}]",
            vec![phone(None), AgentOp::Mask { keep_last: 4 }],
        ),
        (
            "[{col: name}, email, nfc, {hash: {}}]",
            vec![AgentOp::Email, AgentOp::Nfc, AgentOp::Hash(Digest::Sha256)],
        ),
        (
            "[{col: name}, {hmac: {algorithm: sha512, key_from: \"env:PII_KEY\"}}]",
            vec![hmac],
        ),
        ("[{col: name}, json_parse]", vec![AgentOp::ParseJsonb]),
        (
            "[{col: name}, json_parse, {json_get: \"$.a[1]\"}]",
            vec![AgentOp::ParseJson, AgentOp::JsonGet(path)],
        ),
        (
            "[{col: name}, {cast: date}, redact]",
            vec![AgentOp::ParseDate, AgentOp::Redact],
        ),
    ];
    for (pipeline, ops) in cases {
        let draft = draft(pipeline);
        let made: Vec<AgentOp> = draft.agent.iter().map(|step| step.op.clone()).collect();
        assert_eq!(made, ops, "{pipeline}");
        assert_eq!(draft.sql, "src.\"name\"", "{pipeline}");
    }
}

#[test]
fn an_old_source_leaves_to_the_agent_what_it_cannot_do() {
    let cases = [
        (120_000, "nfc", AgentOp::Nfc),
        (100_000, "{hash: {}}", AgentOp::Hash(Digest::Sha256)),
    ];
    for (version, step, op) in cases {
        let draft = compile_for(version, &format!("[{{col: side}}, {step}]")).unwrap();
        assert_eq!(
            (draft.sql.as_str(), &draft.agent[0].op),
            ("src.\"side\"", &op)
        );
    }
    let problems = compile_for(120_000, "[{col: side}, nfc, {truncate: 5}]").unwrap_err();
    assert_eq!(problems[0].path, "c[2].truncate");
    assert!(problems[0].message.contains("move it before"));
}

#[test]
fn actions_are_those_of_the_step_or_of_the_entity() {
    let on_error = |pipeline: &str| draft(pipeline).agent[0].on_error.clone();
    assert_eq!(
        on_error("[{col: side}, {phone: {region: DE}}]"),
        RowAction::Quarantine
    );
    assert_eq!(
        on_error("[{col: side}, {phone: {region: DE}, on_error: {default: \"+491\"}}]"),
        RowAction::Default("+491".to_owned())
    );
    assert_eq!(
        on_error("[{col: side}, {json_parse: {}, on_error: {default: \"{}\"}}]"),
        RowAction::Default("{}".to_owned())
    );
    assert_eq!(
        on_error("[{col: side}, {json_parse: {}, on_error: fail}, {json_get: $.a}]"),
        RowAction::Fail
    );
}

#[test]
fn json_is_written_as_the_destination_has_it() {
    let fit = Fit {
        unfit: &Unfit::Quarantine,
        path: "c",
        is_asked: false,
    };
    for (to, op) in [
        (Ty::Json, AgentOp::ParseJson),
        (Ty::Jsonb, AgentOp::ParseJsonb),
    ] {
        let made = convert(draft("[{col: side}, json_parse]"), &to, &fit).unwrap();
        assert_eq!(made.agent[0].op, op);
    }
    let text = convert(draft("[{col: side}, json_parse]"), &Ty::Text(None), &fit);
    assert!(text.unwrap_err().contains("behind a step"));
}

#[test]
fn many_members_are_several_objects_in_one() {
    let members: Vec<String> = (0..120)
        .map(|at| format!("m{at:03}: [{{col: id}}]"))
        .collect();
    let wide = draft(&format!("[{{json_build: {{{}}}}}]", members.join(", ")));
    assert_eq!(wide.sql.matches("jsonb_build_object(").count(), 3);
    assert_eq!(wide.sql.matches(" || ").count(), 2);
    assert_eq!(wide.ty, Ty::Jsonb);
    let json = format!(
        "[{{json_build: {{{}, z: [{{col: raw}}]}}}}]",
        members.join(", ")
    );
    let problems = compile(&json).unwrap_err();
    assert!(problems[0].message.contains("more than 50 members"));
}

#[test]
fn every_problem_has_its_path() {
    let cases = [
        ("{pad: {to: 20000000}}", "c[1].pad.to", "more than"),
        (
            "{pad: {to: 5, with: \"\"}}",
            "c[1].pad.with",
            "must not be empty",
        ),
        ("{truncate: 0}", "c[1].truncate", "leaves nothing"),
        (
            "{replace: {from: \"\", to: x}}",
            "c[1].replace.from",
            "must not be empty",
        ),
        (
            "{regex: {pattern: \"(\", replace: \"\"}}",
            "c[1].regex.pattern",
            "the source refuses it: invalid regular expression",
        ),
        ("{split: {sep: x}}", "c[1].split", "needs index or rest"),
        (
            "{split: {sep: x, index: 1, rest: 1}}",
            "c[1].split",
            "not both",
        ),
        (
            "{split: {sep: x, index: 4294967295}}",
            "c[1].split.index",
            "more than",
        ),
        (
            "{phone: {region: us}}",
            "c[1].phone.region",
            "no country \"us\"",
        ),
        (
            "{phone: {region: XX}}",
            "c[1].phone.region",
            "no country \"XX\"",
        ),
        (
            "{phone: {region: US}, on_error: {default: none}}",
            "c[1].phone.on_error",
            "\"none\" is not + and digits",
        ),
        ("{json_get: $.a}", "c[1].json_get", "add json_parse before"),
        ("{json_get: a}", "c[1].json_get", "begins with $"),
        (
            "{json_get: \"$.a[*]\"}",
            "c[1].json_get",
            "cannot read \"[*]\"",
        ),
        (
            "{hmac: {key_from: secret}}",
            "c[1].hmac.key_from",
            "must be env:NAME",
        ),
        (
            "{hmac: {key_from: \"env:A B\"}}",
            "c[1].hmac.key_from",
            "must be env:NAME",
        ),
        (
            "{mask: {keep_last: 4000000000}}",
            "c[1].mask.keep_last",
            "more than",
        ),
        (
            "{json_parse: {}, on_error: {default: \"{\"}}",
            "c[1].json_parse",
            "is no jsonb",
        ),
        (
            "{truncate: 5, on_error: set_null}, trim",
            "c[1].on_error",
            "cannot fail",
        ),
        (
            "email, {pad: {to: 5}}",
            "c[2].pad",
            "move it before that step",
        ),
        (
            "json_parse, {mask: {keep_last: 1}}",
            "c[2].mask",
            "move it before that step",
        ),
        (
            "json_parse, json_parse",
            "c[2].json_parse",
            "move it before that step",
        ),
    ];
    for (steps, path, words) in cases {
        let problems = compile(&format!("[{{col: side}}, {steps}]")).unwrap_err();
        assert_eq!(problems[0].path, path, "{steps}: {problems:?}");
        assert!(problems[0].message.contains(words), "{steps}: {problems:?}");
    }
    for step in [
        "nfc",
        "{truncate: 5}",
        "{hash: {}}",
        "{mask: {keep_last: 1}}",
        "{phone: {}}",
    ] {
        let problems = compile(&format!("[{{col: code}}, {step}]")).unwrap_err();
        assert!(
            problems[0].message.contains("add {cast: text} before"),
            "{step}"
        );
    }
    let problems = compile("[{col: extra}, json_parse]").unwrap_err();
    assert!(problems[0].message.contains("JSON already"));
}

#[test]
fn every_member_of_an_object_is_checked() {
    let pipeline = "[{json_build: {a: [{col: nope}], b: [{col: side}, email], \
                    c: [{col: side}, {cast: integer}]}}]";
    let problems = compile(pipeline).unwrap_err();
    let paths: Vec<&str> = problems.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(
        paths,
        ["c[0].json_build.a[0].col", "c[0].json_build.b[1].email"]
    );
    let object = draft("[{json_build: {c: [{col: side}, {cast: integer}], n: [{col: name}]}}]");
    assert_eq!(object.faults[0].fault.path, "c[0].json_build.c[1].cast");
    let columns: Vec<&str> = object.columns.iter().map(String::as_str).collect();
    assert_eq!(columns, ["name", "side"]);
}
