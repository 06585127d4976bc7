//! Rows that the migration did not write, and rows whose source has changed since.

use anyhow::Result;
use drover_tests::pair::Pair;

use super::{found, result, results};

const PLAN: &str = "entities:
- entity: items
  source_entity: item
  destination_entity: items
  entity_type: item
  where: \"not hidden\"
  transformation_rules:
    name: [{col: name}]
  drop_source_columns: [hidden]
";

async fn items(target: &str) -> Result<Pair> {
    Pair::new(
        "create table item (id int primary key, name text not null, hidden boolean not null default false);
         insert into item select i, 'item ' || i, i % 50 = 0 from generate_series(1, 500) i",
        target,
    )
    .await
}

#[tokio::test]
async fn a_row_of_others_fails_in_a_table_that_was_empty_and_is_a_warning_elsewhere() -> Result<()>
{
    let table = "create table items (id uuid primary key, name text not null);";
    let stranger =
        "insert into items values ('00000000-0000-4000-8000-000000000001', 'a stranger')";
    let pair = items(table).await?;
    pair.must_end(PLAN, 0).await?;
    pair.app.run(stranger).await?;
    let outcome = pair.validate(&[]).await?;
    assert_eq!(outcome.code, Some(9), "{}", outcome.stdout);
    let extra = (
        "items".to_owned(),
        "extra".to_owned(),
        "00000000-0000-4000-8000-000000000001".to_owned(),
    );
    let all = results(&outcome);
    assert!(found(&all).contains(&extra), "{all:#?}");
    assert_eq!(result(&all, "items", "content")["records_validated"], 491);

    let pair = items(&format!("{table}{stranger}")).await?;
    pair.must_end(PLAN, 0).await?;
    let outcome = pair.validate(&[]).await?;
    assert_eq!(
        outcome.code,
        Some(0),
        "{}\n{}",
        outcome.stdout,
        outcome.stderr
    );
    let content = result(&results(&outcome), "items", "content").clone();
    assert_eq!(content["status"], "warning", "{content:#}");
    assert_eq!(content["issue_details"]["figures"]["extra"], 1);
    Ok(())
}

#[tokio::test]
async fn a_source_that_changed_since_is_told_from_a_destination_that_did() -> Result<()> {
    let pair = items("create table items (id uuid primary key, name text not null);").await?;
    pair.must_end(PLAN, 0).await?;
    // Changed, new, gone, hidden now: all of it at the source, after the load.
    pair.legacy
        .run(
            "update item set name = 'renamed' where id = 1;
             insert into item values (501, 'new');
             delete from item where id = 2;
             update item set hidden = true where id = 3",
        )
        .await?;
    let outcome = pair.validate(&[]).await?;
    assert_eq!(
        outcome.code,
        Some(0),
        "{}\n{}",
        outcome.stdout,
        outcome.stderr
    );
    let all = results(&outcome);
    let content = result(&all, "items", "content");
    assert_eq!(content["status"], "warning", "{content:#}");
    assert_eq!(
        content["issue_details"]["figures"]["stale_source"], 4,
        "{content:#}"
    );
    assert_eq!(content["issues_found"], 4);

    // The same rows at the destination are another matter, stale source or not.
    pair.app
        .run(
            "update items set name = 'mine' where name in ('item 1', 'item 4');
             delete from items where name = 'item 5'",
        )
        .await?;
    let outcome = pair.validate(&[]).await?;
    assert_eq!(outcome.code, Some(9), "{}", outcome.stdout);
    let all = results(&outcome);
    let figures = &result(&all, "items", "content")["issue_details"]["figures"];
    assert_eq!(
        (
            &figures["mismatched"],
            &figures["missing"],
            &figures["stale_source"]
        ),
        (&2.into(), &1.into(), &3.into()),
        "{all:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn more_differences_than_a_sketch_tells_are_looked_up_and_all_counted() -> Result<()> {
    let pair = Pair::new(
        "create table item (id int primary key, name text not null, hidden boolean not null default false);
         insert into item select i, 'item ' || i from generate_series(1, 12000) i",
        "create table items (id uuid primary key, name text not null)",
    )
    .await?;
    pair.must_end(PLAN, 0).await?;
    pair.app
        .run(
            "update items set name = name || '!' where name ~ '[0-8]$';
             delete from items where name ~ '19$';
             insert into items select gen_random_uuid(), 'stranger' from generate_series(1, 30)",
        )
        .await?;
    let outcome = pair.validate(&["--level", "full"]).await?;
    assert_eq!(outcome.code, Some(9), "{}", outcome.stderr);
    let all = results(&outcome);
    let content = result(&all, "items", "content");
    let figures = &content["issue_details"]["figures"];
    assert_eq!(
        (
            &figures["mismatched"],
            &figures["missing"],
            &figures["extra"]
        ),
        (&10_800.into(), &120.into(), &30.into()),
        "{figures:#}"
    );
    assert_eq!(content["records_validated"], 12_030);
    assert_eq!(content["issues_found"], 10_950);
    let told = content["issue_details"]["findings"]
        .as_array()
        .map_or(0, Vec::len);
    assert!((100..=2000).contains(&told), "{told}");
    Ok(())
}
