//! Steps that make one value of another.

use anyhow::Result;
use drover_tests::pair::Pair;

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
