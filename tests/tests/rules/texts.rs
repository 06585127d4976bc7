//! Steps on texts, JSON and personal data.

use anyhow::{Result, ensure};
use drover_tests::drover;
use drover_tests::pair::Pair;
use serde_json::{Value, json};

/// A key and its variable.
const KEY: (&str, &str) = ("PII_KEY", "a key of the agent");

const PERSONS: &str = "
    create table person (id int primary key, name text, code varchar(10), phone text, ssn text,
                         settings jsonb, raw json, notes text, city char(8), born date);
    insert into person values
        (1, 'Anna Maria O''Neil', 'ab1', '(202) 555-0123', '123-45-6789',
         '{\"zip\": \"02139\", \"tags\": [\"a\", {\"b\": null}], \"n\": 1.50}', '{\"n\": 1e3}',
         '{\"x\": [1, \"\u{eb}\"]}', 'Bonn', '1999-01-02'),
        (2, null, null, null, null, null, null, null, null, null)";

const PEOPLE: &str = "
    create table people (
        id uuid primary key, n int not null, first text, others text, nothing text, code varchar(12), cut varchar(3),
        swapped text, letters text, nfc text, phone text, phone_end text, ssn_hash char(64), ssn_long text, ssn_key text,
        ssn_end text, ssn_gone text, born_gone text, zip text, tag text, gone text, tags text, raw_n text,
        notes jsonb, notes_raw json, note text, summary jsonb)";

const PEOPLE_PLAN: &str = r#"
entities:
- entity: people
  source_entity: person
  destination_entity: people
  entity_type: person
  transformation_rules:
    n: [{col: id}]
    first: [{col: name}, {split: {sep: " ", index: 0}}]
    others: [{col: name}, {split: {sep: " ", rest: 1}}]
    nothing: [{col: name}, {split: {sep: " ", index: 7}}, {null_if: [""]}]
    code: [{col: code}, upper, {pad: {to: 8, with: "0"}}]
    cut: [{col: name}, {truncate: 3}]
    swapped: [{col: name}, {replace: {from: "O'N", to: "\\N"}}]
    letters: [{col: name}, {regex: {pattern: "([A-Z])[a-z']*", replace: "\\1."}}]
    nfc: [{template: "${name}e\u0308"}, nfc, {split: {sep: " ", rest: 2}}]
    phone: [{col: phone}, {phone: {region: US}}]
    phone_end: [{col: phone}, {phone: {region: US, out: e164}}, {mask: {keep_last: 4}}]
    ssn_hash: [{col: ssn}, {hash: {}}]
    ssn_long: [{col: ssn}, {hash: {algorithm: sha512}}, {truncate: 16}]
    ssn_key: [{col: ssn}, {hmac: {algorithm: sha256, key_from: "env:PII_KEY"}}]
    ssn_end: [{col: ssn}, {mask: {keep_last: 4}}]
    ssn_gone: [{col: ssn}, redact]
    born_gone: [{col: born}, redact]
    zip: [{col: settings}, {json_get: "$.zip"}]
    tag: [{col: settings}, {json_get: "$.tags[0]"}, upper]
    gone: [{col: settings}, {json_get: '$.tags[1]."b"'}]
    tags: [{col: settings}, {json_get: $.tags}]
    raw_n: [{col: raw}, {json_get: $.n}]
    notes: [{col: notes}, json_parse]
    notes_raw: [{col: notes}, json_parse]
    note: [{col: notes}, json_parse, {json_get: "$.x[1]"}]
    summary: [{json_build: {city: [{col: city}], born: [{col: born}], id: [{col: id}],
                            inner: [{json_build: {cut: [{col: name}, {truncate: 4}]}}]}}]
"#;

#[tokio::test]
async fn a_row_goes_through_every_step_and_null_passes_all() -> Result<()> {
    let pair = Pair::new(PERSONS, PEOPLE).await?;
    let outcome = pair.drover_with(&[KEY], &["run"], PEOPLE_PLAN).await?;
    ensure!(
        outcome.code == Some(0),
        "{}\n{}",
        outcome.stdout,
        outcome.stderr
    );
    let rows = pair.rows("select * from people order by n").await?;
    let mut full: Value = serde_json::from_str(&rows[0])?;
    let long = full["ssn_long"].take();
    assert_eq!(long.as_str().map(str::len), Some(16));
    let empty: Value = serde_json::from_str(&rows[1])?;
    let expected = json!({
        "id": full["id"], "n": 1, "first": "Anna", "others": "Maria O'Neil", "nothing": null, "code": "00000AB1",
        "cut": "Ann", "swapped": "Anna Maria \\Neil", "letters": "A. M. O.N.",
        "nfc": "O'Neil\u{eb}", "phone": "+12025550123", "phone_end": "********0123",
        "ssn_hash": "01a54629efb952287e554eb23ef69c52097a75aecc0e3a93ca0855ab6d7a31a0", "ssn_long": null,
        "ssn_key": "ff76f9c52c7b826fa28e916ab2d3a52fc654c6ea5d7b3d4b7d6f7dc624d68454",
        "ssn_end": "*******6789", "ssn_gone": "[redacted]", "born_gone": "[redacted]", "zip": "02139", "tag": "A",
        "gone": null, "tags": "[\"a\", {\"b\": null}]", "raw_n": "1e3",
        "notes": {"x": [1, "\u{eb}"]}, "notes_raw": {"x": [1, "\u{eb}"]}, "note": "\u{eb}",
        "summary": {"city": "Bonn", "born": "1999-01-02", "id": 1, "inner": {"cut": "Anna"}},
    });
    assert_eq!(full, expected);
    for (column, value) in empty.as_object().into_iter().flatten() {
        let is_null = match column.as_str() {
            "id" | "n" => continue,
            // The template has a text of its own, but no value.
            "summary" => value["city"].is_null() && value["inner"]["cut"].is_null(),
            _ => value.is_null(),
        };
        assert!(is_null, "{column}: {value}");
    }
    Ok(())
}

#[tokio::test]
async fn a_key_is_the_agents_own_and_is_written_nowhere() -> Result<()> {
    let pair = Pair::new(PERSONS, PEOPLE).await?;
    let outcome = pair.run(PEOPLE_PLAN).await?;
    assert_eq!(outcome.code, Some(5), "{}", outcome.stderr);
    assert!(
        outcome
            .stderr
            .contains("set PII_KEY in the agent's environment"),
        "{}",
        outcome.stderr
    );
    let outcome = pair.drover_with(&[KEY], &["run"], PEOPLE_PLAN).await?;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let explained = pair
        .drover_with(
            &[KEY],
            &["rules", "explain", "people", "--plan"],
            PEOPLE_PLAN,
        )
        .await?;
    let all_that_is_stored = "select string_agg(query_to_xml(format('select * from %I.%I', schemaname, tablename), \
                                  true, true, '')::text, ' ') from pg_tables where schemaname like 'drover%'";
    let stored = pair.app.texts(all_that_is_stored).await?;
    assert!(stored[0].contains("env:PII_KEY"), "the plan is stored");
    for text in [
        &stored[0],
        &outcome.stderr,
        &outcome.stdout,
        &explained.stdout,
        &explained.stderr,
    ] {
        assert!(!text.contains(KEY.1));
    }
    assert!(
        explained.stdout.contains("env:PII_KEY"),
        "{}",
        explained.stdout
    );
    Ok(())
}

const CONTACTS: &str = "
    create table contact (id int primary key, phone text, notes text);
    insert into contact values (1, '202-555-0123', '{}'), (2, 'call-me-maybe', '{}'),
        (3, '+49 30 901820', '{\"open\": '), (4, null, null), (5, '202-555-0124', '[\"\\u0000\"]')";

fn contacts(phone: &str, notes: &str) -> String {
    format!(
        "defaults: {{max_quarantined: 5}}
entities:
- entity: contacts
  source_entity: contact
  destination_entity: contacts
  entity_type: contact
  transformation_rules:
    n: [{{col: id}}]
    phone: [{{col: phone}}, {phone}]
    notes: [{{col: notes}}, {notes}]
"
    )
}

#[tokio::test]
async fn a_bad_value_is_exactly_one_error_row() -> Result<()> {
    let pair = Pair::new(
        CONTACTS,
        "create table contacts (id uuid primary key, n int, phone text, notes jsonb)",
    )
    .await?;
    let outcome = pair
        .must_end(&contacts("{phone: {region: US}}", "json_parse"), 0)
        .await?;
    let rows = pair
        .rows("select n, phone, notes from contacts order by n")
        .await?;
    assert_eq!(
        rows,
        [
            r#"{"n":1,"phone":"+12025550123","notes":{}}"#,
            r#"{"n":4,"phone":null,"notes":null}"#
        ]
    );
    let errors = pair
        .app
        .texts(
            "select source_record_id || ' ' || error_code || ' ' || (context ->> 'rule') \
             from drover_meta.migration_error order by source_record_id",
        )
        .await?;
    let rule = "entities[0].transformation_rules";
    let expected = [
        format!("2 DROVER_PHONE_INVALID {rule}.phone[1].phone"),
        format!("3 DROVER_JSON_INVALID {rule}.notes[1].json_parse"),
        format!("5 DROVER_JSON_INVALID {rule}.notes[1].json_parse"),
    ];
    assert_eq!(errors, expected);
    let list = drover::run(&["error", "list", "--local", "-o", "json"], &pair.env()).await?;
    let items = list.json()["items"].as_array().cloned().unwrap_or_default();
    assert_eq!(items.len(), 3, "{}", list.stdout);
    let messages =
        "select string_agg(error_message || context::text, ' ') from drover_meta.migration_error";
    for text in [
        &pair.app.texts(messages).await?[0],
        &outcome.stderr,
        &outcome.stdout,
    ] {
        assert!(!text.contains("maybe") && !text.contains("open"), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn on_error_says_what_takes_the_place_of_a_bad_value() -> Result<()> {
    let create = "create table contacts (id uuid primary key, n int, phone text, notes jsonb)";
    let cases = [
        ("set_null", "set_null", "null", "null"),
        (
            "{default: \"+10000000000\"}",
            "{default: \"[]\"}",
            "\"+10000000000\"",
            "[]",
        ),
    ];
    for (phone, notes, no_phone, no_notes) in cases {
        let pair = Pair::new(CONTACTS, create).await?;
        let plan = contacts(
            &format!("{{phone: {{region: US}}, on_error: {phone}}}"),
            &format!("{{json_parse: {{}}, on_error: {notes}}}"),
        );
        pair.must_end(&plan, 0).await?;
        let rows = pair
            .rows("select n, phone, notes from contacts order by n")
            .await?;
        assert_eq!(
            rows,
            [
                r#"{"n":1,"phone":"+12025550123","notes":{}}"#.to_owned(),
                format!(r#"{{"n":2,"phone":{no_phone},"notes":{{}}}}"#),
                format!(r#"{{"n":3,"phone":"+4930901820","notes":{no_notes}}}"#),
                r#"{"n":4,"phone":null,"notes":null}"#.to_owned(),
                format!(r#"{{"n":5,"phone":"+12025550124","notes":{no_notes}}}"#),
            ]
        );
    }
    let pair = Pair::new(CONTACTS, create).await?;
    let plan = contacts("{phone: {region: US}, on_error: fail}", "json_parse");
    let outcome = pair.must_end(&plan, 8).await?;
    assert!(
        outcome.stderr.contains("DROVER_PHONE_INVALID"),
        "{}",
        outcome.stderr
    );
    assert!(!outcome.stderr.contains("maybe"), "{}", outcome.stderr);
    Ok(())
}

#[tokio::test]
async fn the_source_judges_a_regular_expression_before_a_row_moves() -> Result<()> {
    let pair = Pair::new(
        CONTACTS,
        "create table contacts (id uuid primary key, n int, phone text, notes jsonb)",
    )
    .await?;
    let bad = "{json_build: {x: [{col: notes}, {regex: {pattern: \"contact (\", replace: \"\"}}]}}";
    let plan =
        contacts("trim", "json_parse").replace("[{col: notes}, json_parse]", &format!("[{bad}]"));
    let outcome = pair.drover(&["rules", "check"], &plan).await?;
    assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
    let path = "entities[0].transformation_rules.notes[0].json_build.x[1].regex.pattern";
    assert!(outcome.stderr.contains(path), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("invalid regular expression"),
        "{}",
        outcome.stderr
    );
    Ok(())
}
