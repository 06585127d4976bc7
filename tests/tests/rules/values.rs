//! Steps that make one value of another.

use anyhow::Result;
use drover_tests::pair::Pair;

use super::errors;

#[tokio::test]
async fn texts_are_trimmed_and_missing_ones_get_their_default() -> Result<()> {
    let pair = Pair::new(
        "create table person (id int primary key, name text);
         insert into person values (1, '  Ann  B '), (2, null)",
        "create table people (id uuid primary key, name text not null)",
    )
    .await?;
    pair.must_end(
        "entities:
- entity: people
  source_entity: person
  destination_entity: people
  entity_type: person
  transformation_rules:
    name: [{col: name}, trim, collapse_ws, {default: nobody}]
",
        0,
    )
    .await?;
    let rows = pair.rows("select name from people order by name").await?;
    assert_eq!(rows, [r#"{"name":"Ann B"}"#, r#"{"name":"nobody"}"#]);
    Ok(())
}

#[tokio::test]
async fn texts_become_numbers_up_to_a_length() -> Result<()> {
    let pair = Pair::new(
        "create table entry (id int primary key, amount text, pieces text);
         insert into entry values (1, '1.5', '7'), (2, '.5', '-0'), (3, '5.', '+12'), (4, '-1e3', '007'), (5, null, null),
           (6, repeat('9', 511), lpad('8', 256, '0')),
           (11, repeat('9', 512), '1'), (12, '', '1'), (13, '.', '1'), (14, '1e1000', '1'), (15, 'NaN', '1'), (16, E'1\n', '1'),
           (21, '1', lpad('8', 257, '0')), (22, '1', ''), (23, '1', '1.0'), (24, '1', '2147483648'), (25, '1', repeat('9', 200))",
        "create table entries (id int primary key, amount numeric, pieces int)",
    )
    .await?;
    let plan = "defaults: {max_quarantined: 100%}
entities:
- entity: entries
  source_entity: entry
  destination_entity: entries
  entity_type: entry
  id: {kind: keep}
  transformation_rules:
    amount: [{col: amount}, {cast: numeric}]
    pieces: [{col: pieces}, {cast: integer}]
";
    pair.must_end(plan, 0).await?;
    let written = pair
        .rows("select id, pieces, case when length(amount::text) < 9 then amount end as amount from entries order by id")
        .await?;
    assert_eq!(
        written,
        [
            r#"{"id":1,"pieces":7,"amount":1.5}"#,
            r#"{"id":2,"pieces":0,"amount":0.5}"#,
            r#"{"id":3,"pieces":12,"amount":5}"#,
            r#"{"id":4,"pieces":7,"amount":-1000}"#,
            r#"{"id":5,"pieces":null,"amount":null}"#,
            r#"{"id":6,"pieces":8,"amount":null}"#,
        ]
    );
    let keys: Vec<String> = (11..=16)
        .chain(21..=25)
        .map(|key| format!("entries {key} DROVER_CAST false"))
        .collect();
    assert_eq!(errors(&pair).await?, keys);
    Ok(())
}
