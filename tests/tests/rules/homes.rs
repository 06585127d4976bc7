//! Steps that the source does or the agent, whichever comes first: both give the same.

use anyhow::Result;
use drover_tests::pair::Pair;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

/// Rows to compare.
const ROWS: usize = 1500;

/// Letters of which some belong together, some change in normal forms, and some need escapes.
fn letter(random: &mut StdRng) -> char {
    const RANGES: [(u32, u32); 13] = [
        (0x20, 0x7f),
        (0x41, 0x7b),
        (0x09, 0x0d),
        (0xc0, 0x250),
        (0x300, 0x345),
        (0x915, 0x960),
        (0x1100, 0x1113),
        (0x1161, 0x11c3),
        (0x11a7, 0x11a8),
        (0xac00, 0xad00),
        (0x2126, 0x212c),
        (0xfb1d, 0xfb4f),
        (0x1f600, 0x1f610),
    ];
    loop {
        let (from, to) = RANGES[random.random_range(0..RANGES.len())];
        let letter = char::from_u32(random.random_range(from..to));
        if let Some(letter) = letter {
            return letter;
        }
    }
}

fn text(random: &mut StdRng) -> String {
    let length = random.random_range(0..12);
    (0..length).map(|_| letter(random)).collect()
}

fn document(random: &mut StdRng, depth: usize) -> String {
    let space = |random: &mut StdRng| ["", " ", "\n\t"][random.random_range(0..3)];
    let kind = random.random_range(0..if depth == 0 { 5 } else { 9 });
    let items = random.random_range(0..4);
    match kind {
        0 => "null".to_owned(),
        1 => [
            "true",
            "false",
            "0",
            "-0.50",
            "1e3",
            "12345678901234567890.123",
        ][random.random_range(0..6)]
        .to_owned(),
        2..=4 => serde_json::to_string(&text(random)).unwrap_or_default(),
        5 | 6 => {
            let all: Vec<String> = (0..items)
                .map(|_| format!("{}{}", space(random), document(random, depth - 1)))
                .collect();
            format!("[{}{}]", all.join(","), space(random))
        }
        _ => {
            let all: Vec<String> = (0..items)
                .map(|_| {
                    let name = ["a", "b", "\\u0061", "x y", "0", ""][random.random_range(0..6)];
                    let (before, value) = (space(random), document(random, depth - 1));
                    format!(
                        "{before}\"{name}\" :{}{value}{}",
                        space(random),
                        space(random)
                    )
                })
                .collect();
            format!("{{{}}}", all.join(","))
        }
    }
}

#[tokio::test]
async fn both_homes_of_a_step_give_the_same() -> Result<()> {
    let seed: u64 = rand::rng().random();
    let mut random = StdRng::seed_from_u64(seed);
    let texts: Vec<String> = (0..ROWS).map(|_| text(&mut random)).collect();
    let quoted: Vec<String> = texts.iter().map(|text| json!(text).to_string()).collect();
    let documents: Vec<String> = (0..ROWS).map(|_| document(&mut random, 4)).collect();
    // A path to the whole leads a text through the agent without changing it.
    let homes = [
        ("nfc", "nfc"),
        ("hash", "{hash: {}}"),
        ("long", "{hash: {algorithm: sha512}}"),
        ("mask0", "{mask: {keep_last: 0}}"),
        ("mask3", "{mask: {keep_last: 3}}"),
        ("gone", "redact"),
    ];
    let paths = [
        "$",
        "$.a",
        "$.a.b",
        "$[0]",
        "$.a[1]",
        "$.\"x y\".a",
        "$.\"0\"",
        "$.\"\"",
        "$.\"-1\"",
    ];
    let mut rules = "    n: [{col: id}]\n".to_owned();
    let mut columns = vec!["n".to_owned()];
    for (name, step) in homes {
        rules.push_str(&format!("    {name}_s: [{{col: t}}, {step}]\n"));
        rules.push_str(&format!(
            "    {name}_a: [{{col: q}}, json_parse, {{json_get: $}}, {step}]\n"
        ));
        columns.push(name.to_owned());
    }
    for (at, path) in paths.iter().enumerate() {
        rules.push_str(&format!(
            "    p{at}_s: [{{col: j}}, {{json_get: '{path}'}}]\n"
        ));
        rules.push_str(&format!(
            "    p{at}_a: [{{col: d}}, json_parse, {{json_get: '{path}'}}]\n"
        ));
        columns.push(format!("p{at}"));
    }
    let written: Vec<String> = columns[1..]
        .iter()
        .map(|name| format!("{name}_s text, {name}_a text"))
        .collect();
    let pair = Pair::new(
        "create table one (id int primary key, t text, q text, d text, j json)",
        &format!(
            "create table ones (id uuid primary key, n int, {})",
            written.join(", ")
        ),
    )
    .await?;
    let mut legacy = pair.legacy.connect().await;
    sqlx::query(
        "insert into one select at, t, q, d, d::json \
         from unnest($1::text[], $2::text[], $3::text[]) with ordinality x(t, q, d, at)",
    )
    .bind(&texts)
    .bind(&quoted)
    .bind(&documents)
    .execute(&mut legacy)
    .await?;
    pair.must_end(
        &format!(
            "entities:\n- entity: ones\n  source_entity: one\n  destination_entity: ones\n  entity_type: one\n  \
             transformation_rules:\n{rules}"
        ),
        0,
    )
    .await?;
    assert_eq!(
        pair.app.number("select count(*) from ones").await?,
        i64::try_from(ROWS)?
    );
    for name in &columns[1..] {
        let differing = pair
            .rows(&format!(
                "select n, {name}_s, {name}_a from ones where {name}_s is distinct from {name}_a order by n limit 3"
            ))
            .await?;
        assert!(differing.is_empty(), "{name}, seed {seed}: {differing:#?}");
        let some = pair
            .app
            .number(&format!(
                "select count(*) from ones where {name}_s is not null"
            ))
            .await?;
        assert!(some > 0, "{name}, seed {seed}: nothing was compared");
    }
    Ok(())
}
