//! Keys of every type: ids follow the canonical text, batches follow the source's order.

use anyhow::Result;
use drover_tests::pair::Pair;

const NAMESPACE: &str = "6f1b6c0e-6b3e-5d0a-9a53-0c7d3b5f9e11";

/// Name, type, whether a reference may name it, and values that are hard to keep apart or in order.
const KEYS: &[(&str, &str, bool, &[&str])] = &[
    (
        "text",
        "text",
        true,
        &[
            "''", "' '", "'a:b'", r"'a\b'", r"'a\:b'", "'zoë'", "'😀'", "E'\\x01'", "'A'", "'a'",
            "'it''s'", "'\"'", "'$1'", "'null'", "E'a\\nb'",
        ],
    ),
    (
        "uuid",
        "uuid",
        true,
        &[
            "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
            "'00000000-0000-0000-0000-000000000000'",
            "'0a000000-0000-0000-0000-00000000000b'",
        ],
    ),
    (
        "timestamp",
        "timestamp",
        true,
        &[
            "'infinity'",
            "'-infinity'",
            "'0044-03-15 12:00:00.000001 BC'",
            "'4713-01-01 BC'",
            "'2020-02-29 23:59:59.999999'",
            "'294276-12-31 23:59:59.999999'",
        ],
    ),
    (
        "timestamptz",
        "timestamptz",
        true,
        &[
            "'infinity'",
            "'-infinity'",
            "'0044-03-15 12:00:00.000001+00 BC'",
            "'0001-01-01 00:30:00+01'",
            "'2020-10-25 02:30:00+02'",
            "'2020-10-25 02:30:00+01'",
            "'294276-12-31 23:59:59.999999+00'",
        ],
    ),
    (
        "numeric",
        "numeric",
        false,
        &[
            "'NaN'",
            "'infinity'",
            "'-infinity'",
            "0",
            "1.00",
            "-1",
            "1e200",
            "1e-200",
            "123456789012345678901234567890.5",
        ],
    ),
    (
        "money",
        "numeric(12,2)",
        true,
        &["'NaN'", "0", "-0.01", "9999999999.99"],
    ),
    (
        "date",
        "date",
        true,
        &[
            "'infinity'",
            "'-infinity'",
            "'4713-01-01 BC'",
            "'0001-12-31 BC'",
            "'0001-01-01'",
            "'5874897-12-31'",
        ],
    ),
    ("boolean", "boolean", true, &["true", "false"]),
    (
        "bytea",
        "bytea",
        true,
        &["''", r"'\x00'", r"'\x0001'", r"'\xff'", r"'\x5c3a'"],
    ),
    ("mood", "mood", true, &["'z last'", "'a:first'", r"'b\'"]),
    ("word", "word", true, &["'ab'", "'b'"]),
    ("char", "char(4)", true, &["'a'", "'ab'", "''"]),
    ("name", "name", true, &["'a'", "'B'", "'b'"]),
    ("small", "smallint", true, &["-32768", "0", "32767"]),
    (
        "big",
        "bigint",
        true,
        &["-9223372036854775808", "-1", "9223372036854775807"],
    ),
    ("oid", "oid", true, &["0", "4294967295"]),
    (
        "inet",
        "inet",
        true,
        &["'10.0.0.1'", "'10.0.0.0/8'", "'::1'"],
    ),
    (
        "float",
        "float8",
        false,
        &[
            "'NaN'",
            "'-infinity'",
            "'-0'",
            "0.1",
            "1e-320",
            "1.7976931348623157e308",
        ],
    ),
    (
        "interval",
        "interval",
        false,
        &["'1 mon'", "'-3 days 04:05:06.789'", "'0'"],
    ),
    (
        "pair",
        "pair",
        false,
        &["row(1, 'a')", "row(1, 'a \"b\"')", "row(null, ':')"],
    ),
];

fn legacy() -> String {
    let tables = KEYS.iter().map(|(name, ty, _, values)| {
        let rows: Vec<String> = values.iter().map(|value| format!("(({value})::{ty})")).collect();
        format!(
            "create table k_{name} (k {ty} primary key); insert into k_{name} values {}; \
             create table c_{name} (id serial primary key, k {ty} references k_{name}); \
             insert into c_{name} (k) select k from k_{name} order by k desc; insert into c_{name} (k) values (null); ",
            rows.join(", ")
        )
    });
    format!(
        "create extension \"uuid-ossp\"; create type mood as enum ('z last', 'b\\', 'a:first'); \
         create domain word as varchar(3) check (value <> ''); create type pair as (a int, b text); {}",
        tables.collect::<String>()
    )
}

#[tokio::test]
async fn ids_are_those_that_sql_makes_of_the_canonical_text() -> Result<()> {
    let tables = KEYS.iter().map(|(name, ..)| {
        format!("create table k_{name} (id uuid primary key, shown text); create table c_{name} (id bigint primary key, k uuid references k_{name}); ")
    });
    let pair = Pair::new(&legacy(), &tables.collect::<String>()).await?;
    let entities = KEYS.iter().map(|(name, _, may_refer, _)| {
        let child = format!(
            "- entity: c_{name}
  source_entity: c_{name}
  destination_entity: c_{name}
  entity_type: child
  id: {{kind: keep}}
  transformation_rules:
    k: [{{col: k}}, {{fk: {{entity: k_{name}}}}}]
"
        );
        format!(
            "- entity: k_{name}
  source_entity: k_{name}
  destination_entity: k_{name}
  entity_type: key
  transformation_rules:
    shown: [{{col: k}}, {{cast: text}}]
{}",
            if *may_refer { child.as_str() } else { "" }
        )
    });
    // Two rows a batch: every other key is a bound that the source must find again. The zone is not UTC.
    pair.must_end(
        &format!(
            "defaults: {{batch_size: 2, timezone: America/St_Johns}}\nentities:\n{}",
            entities.collect::<String>()
        ),
        0,
    )
    .await?;
    for (name, _, may_refer, values) in KEYS {
        let expected = pair
            .legacy
            .texts(&format!(
                r"select uuid_generate_v5('{NAMESPACE}', 'k_{name}:' || replace(replace(k::text, '\', '\\'), ':', '\:'))::text
                  from k_{name} order by 1"
            ))
            .await?;
        let made = pair
            .app
            .texts(&format!("select id::text from k_{name} order by 1"))
            .await?;
        assert_eq!(made, expected, "{name}");
        assert_eq!(made.len(), values.len(), "{name}");
        let texts = pair
            .legacy
            .texts(&format!(
                "select k::text from k_{name} order by k::text collate \"C\""
            ))
            .await?;
        let mapped = pair
            .app
            .texts(&format!(
                "select source_id from drover.migration_mapping where destination_table = 'k_{name}' order by source_id collate \"C\""
            ))
            .await?;
        assert_eq!(mapped, texts, "{name}");
        if *may_refer {
            let joined = format!("select count(*) from c_{name} c join k_{name} k on k.id = c.k");
            assert_eq!(
                pair.app.number(&joined).await?,
                i64::try_from(values.len())?,
                "{name}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_key_of_several_columns_keeps_them_apart() -> Result<()> {
    let pair = Pair::new(
        r#"create extension "uuid-ossp"; create type side as enum ('U', 'L');
        create table jaw (at timestamptz, side side, code text, n numeric(6,2), primary key (at, side, code, n));
        insert into jaw select t, s, c, n from unnest(array['infinity', '0044-03-15 12:00+00 BC', '2020-01-01 00:00+05']::timestamptz[]) t,
            unnest(array['U', 'L']::side[]) s, unnest(array['', ':', '\', 'a:b']) c, unnest(array[1, 1.5]) n"#,
        "create table jaw (id uuid primary key, code text)",
    )
    .await?;
    pair.must_end(
        "defaults: {batch_size: 5}
entities:
- entity: jaws
  source_entity: jaw
  destination_entity: jaw
  entity_type: jaw
  transformation_rules:
    code: [{col: code}]
",
        0,
    )
    .await?;
    let expected = pair
        .legacy
        .texts(&format!(
            r"select uuid_generate_v5('{NAMESPACE}', 'jaws:' || concat_ws(':', replace(at::text, ':', '\:'), side,
                  replace(replace(code, '\', '\\'), ':', '\:'), n))::text from jaw order by 1"
        ))
        .await?;
    assert_eq!(expected.len(), 48);
    assert_eq!(
        pair.app
            .texts("select id::text from jaw order by 1")
            .await?,
        expected
    );
    Ok(())
}
