//! Values at the edge of their types, copied and cast: PostgreSQL itself says whether they are the same.

use anyhow::{Result, ensure};
use drover_tests::pair::Pair;

use super::{plain, same};

/// Column, type, and the values of its rows.
const EXTREMES: &[(&str, &str, &[&str])] = &[
    (
        "f8",
        "float8",
        &[
            "'NaN'",
            "'infinity'",
            "'-infinity'",
            "'-0'",
            "0",
            "4.9e-324",
            "1.7976931348623157e308",
            "0.1",
            "null",
        ],
    ),
    (
        "f4",
        "float4",
        &[
            "'NaN'",
            "'infinity'",
            "'-infinity'",
            "'-0'",
            "1e-45",
            "3.4028235e38",
            "0.1",
            "null",
        ],
    ),
    (
        "n",
        "numeric",
        &[
            "'NaN'",
            "'infinity'",
            "'-infinity'",
            "0",
            "0.000",
            "1.10",
            "-1e-16383",
            "repeat('9', 131072)::numeric",
            "('-0.' || repeat('1', 16383))::numeric",
            "(repeat('9', 131072) || '.' || repeat('9', 16383))::numeric",
            "1e131071",
        ],
    ),
    ("n5", "numeric(5,-2)", &["'NaN'", "1234500", "-100", "0"]),
    ("n9", "numeric(3,5)", &["0.00999", "-0.00001", "0"]),
    (
        "d",
        "date",
        &[
            "'infinity'",
            "'-infinity'",
            "'4713-01-01 BC'",
            "'0001-12-31 BC'",
            "'0001-01-01'",
            "'5874897-12-31'",
            "null",
        ],
    ),
    (
        "ts",
        "timestamp",
        &[
            "'infinity'",
            "'-infinity'",
            "'4713-01-01 BC'",
            "'294276-12-31 23:59:59.999999'",
            "'1999-12-31 23:59:59.999999'",
            "'2000-01-01'",
        ],
    ),
    (
        "tz",
        "timestamptz",
        &[
            "'infinity'",
            "'-infinity'",
            "'4713-11-24 00:00+00 BC'",
            "'294276-12-31 23:59:59.999999+00'",
            "'2020-01-01 00:00:00.000001+15:59'",
        ],
    ),
    ("i2", "smallint", &["-32768", "32767", "0", "null"]),
    ("i4", "integer", &["-2147483648", "2147483647"]),
    (
        "i8",
        "bigint",
        &["-9223372036854775808", "9223372036854775807"],
    ),
    (
        "iv",
        "interval",
        &[
            "'178000000 years 11 mons'",
            "'-178000000 years'",
            "'-2147483648 days'",
            "'2562047788:00:54.775807'",
            "'1 mon -30 days'",
        ],
    ),
    (
        "t",
        "text",
        &[
            "''",
            "' '",
            "'NULL'",
            r"'\N'",
            r"E'\x01\x02\x7f'",
            r"E'\t\r\n\\'",
            "'😀𝕏\u{10ffff}'",
            "'e\u{301}é'",
            "repeat('x', 16777216)",
            "repeat('😀', 4194304)",
        ],
    ),
    ("v", "varchar(3)", &["'😀😀😀'", "'a  '", "''"]),
    (
        "b",
        "bytea",
        &[
            "''",
            r"'\x00'",
            r"'\x000100ff'",
            r"decode(repeat('00ff', 8388608), 'hex')",
        ],
    ),
    (
        "j",
        "jsonb",
        &[
            "'{}'",
            "'[]'",
            "'\"\"'",
            "'1e1000'",
            "'-0'",
            "'0.10'",
            "'null'",
            r#"'{"":{"a":[{}]},"\u00e9":"\ud83d\ude00"}'"#,
            "('[' || repeat('1,', 100000) || '1]')::jsonb",
            "to_jsonb(repeat('y', 16777216))",
        ],
    ),
    (
        "ar",
        "text[]",
        &[
            "'{}'",
            "'{\"\",NULL,\"NULL\"}'",
            "'[5:6]={a,b}'",
            "array_fill('z'::text, array[200, 200])",
        ],
    ),
];

fn schema() -> String {
    let table = |(name, ty, _): &(&str, &str, &[&str])| {
        format!("create table x_{name} (id int primary key, v {ty}); ")
    };
    EXTREMES.iter().map(table).collect()
}

#[tokio::test]
async fn extreme_values_are_the_same_on_both_sides() -> Result<()> {
    let rows = EXTREMES.iter().flat_map(|(name, ty, values)| {
        let row = move |(at, value): (usize, &&str)| {
            format!("insert into x_{name} values ({at}, ({value})::{ty}); ")
        };
        values.iter().enumerate().map(row)
    });
    let pair = Pair::new(
        &format!("{}{}", schema(), rows.collect::<String>()),
        &schema(),
    )
    .await?;
    let entities = EXTREMES.iter().map(|(name, ..)| {
        let table = format!("x_{name}");
        plain(&table, &table, "keep", &["v"])
    });
    pair.must_end(&format!("entities:\n{}", entities.collect::<String>()), 0)
        .await?;
    pair.app.run("create extension dblink").await?;
    for (name, ty, values) in EXTREMES {
        same(
            &pair,
            &format!("select id, md5(v::text), length(v::text) from x_{name} order by id"),
        )
        .await?;
        let url = pair.legacy.url();
        let equal = format!(
            "select count(*) from x_{name} x join dblink('{url}', 'select id, v from x_{name}') as s(id int, v {ty}) using (id)
             where x.v is not distinct from s.v"
        );
        assert_eq!(
            pair.app.number(&equal).await?,
            i64::try_from(values.len())?,
            "{name}"
        );
    }
    Ok(())
}

/// What `cast` makes of a text in the agent; texts that must be taken, and some that may not.
const CASTS: &[(&str, &str, &[&str], &[&str])] = &[
    (
        "d",
        "date",
        &["2020-02-29", "0001-01-01", "9999-12-31", "2020-1-1"],
        &["2019-02-29", "2020-13-01", "", "0000-01-01", "today"],
    ),
    (
        "ts",
        "timestamp",
        &[
            "2020-02-29T23:59:59.999999",
            "2016-12-31T23:59:60",
            "1999-12-31 00:00:00",
            "0001-01-01T00:00:00",
        ],
        &["2020-02-30T00:00:00", "2020-01-01T25:00:00", "now", ""],
    ),
    (
        "tz",
        "timestamptz",
        &[
            "2020-02-29T23:59:59.999999Z",
            "1999-12-31 00:00:00+05:30",
            "2020-01-01T00:00:00-11:00",
        ],
        &["2020-01-01T00:00:00", "", "epoch"],
    ),
    (
        "j",
        "json",
        &[
            "{\"a\" : 1, \"a\":2}",
            "  [1.0, 1e5]",
            "\"\\ud83d\\ude00\"",
            "\"\\u0000\"",
        ],
        &["{", "", "nan", "{'a':1}", "[1,]"],
    ),
    (
        "jb",
        "jsonb",
        &[
            "{\"b\":1.10,\"a\":[null]}",
            "-0",
            "\"😀\"",
            "123456789012345678901234567890.123456789",
        ],
        &["\"\\u0000\"", "\"\\ud83d\"", "{", "", "[1 2]", "01"],
    ),
    (
        "n",
        "numeric",
        &["1.10", "-0", "1e5", ".5", "00012"],
        &["", "1,5", "0x10", " 1", "1e5000"],
    ),
    (
        "i",
        "integer",
        &["2147483647", "-2147483648", "+7", "007"],
        &["2147483648", "1.0", "", "1e3"],
    ),
    (
        "l",
        "bigint",
        &["-9223372036854775808", "9223372036854775807"],
        &["9223372036854775808", "٣"],
    ),
    (
        "f",
        "double precision",
        &["0.5", "-1e10", "123456789"],
        &["0.1e400", "x"],
    ),
    (
        "bo",
        "boolean",
        &["t", "TRUE", "off", "0", "no", "1"],
        &["2", "", "of "],
    ),
    (
        "u",
        "uuid",
        &[
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
        ],
        &["a0eebc99", ""],
    ),
];

#[tokio::test]
async fn texts_are_cast_as_postgresql_casts_them_or_set_aside() -> Result<()> {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let legacy = CASTS.iter().map(|(name, _, good, bad)| {
        let rows: Vec<String> = good
            .iter()
            .chain(*bad)
            .enumerate()
            .map(|(at, text)| format!("({at}, {})", quoted(text)))
            .collect();
        format!(
            "create table y_{name} (id int primary key, v text); insert into y_{name} values {}; ",
            rows.join(", ")
        )
    });
    let app = CASTS
        .iter()
        .map(|(name, ty, ..)| format!("create table y_{name} (id int primary key, v {ty}); "));
    let pair = Pair::new(&legacy.collect::<String>(), &app.collect::<String>()).await?;
    let entities = CASTS.iter().map(|(name, ty, ..)| {
        plain(&format!("y_{name}"), &format!("y_{name}"), "keep", &[]).replace(
            "transformation_rules:\n",
            &format!("transformation_rules:\n    v: [{{col: v}}, {{cast: {ty}}}]\n"),
        )
    });
    let plan = format!(
        "defaults: {{max_quarantined: 20}}\nentities:\n{}",
        entities.collect::<String>()
    );
    pair.must_end(&plan, 0).await?;
    for (name, ty, good, bad) in CASTS {
        let made = pair
            .app
            .texts(&format!(
                "select id || ' ' || v::text from y_{name} order by id"
            ))
            .await?;
        let meant = pair
            .legacy
            .texts(&format!(
                "select id || ' ' || v::{ty}::text from y_{name} where id < {} order by id",
                good.len()
            ))
            .await?;
        assert_eq!(made, meant, "{name}");
        let aside = format!(
            "select count(*) from drover.error e join drover.entity n using (entity_no) where n.entity = 'y_{name}'"
        );
        let aside = pair.app.number(&aside).await?;
        ensure!(
            aside == i64::try_from(bad.len())?,
            "{name}: {aside} of {} are set aside",
            bad.len()
        );
    }
    Ok(())
}
