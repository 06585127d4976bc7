//! Rows that are at the destination already: they stay, are replaced or filled, and nothing is lost.

use std::time::Duration;

use anyhow::{Result, ensure};
use drover_tests::pair::Pair;
use drover_tests::{drover, pg};

use super::errors;
use crate::lost_answers::{Fault, proxy};

const LEGACY: &str = "create table item (id int primary key, name text, price int, note text);
     insert into item select n, 'new ' || n, n * 10, 'note ' || n from generate_series(1, 40) n";
/// Rows 2, 4 … 10 are there; the last of them has nothing that could be filled.
const APP: &str =
    "create table items (id bigint primary key, name text unique, price int, note text, seen timestamptz default now());
     insert into items select n, 'old ' || n, case when n > 8 then 1 end, case when n > 8 then 'x' end
         from generate_series(2, 10, 2) n;
     create table before as select * from items";

fn plan(policy: &str) -> String {
    format!(
        "defaults: {{max_quarantined: 9}}
entities:
- entity: items
  source_entity: item
  destination_entity: items
  entity_type: item
  id: {{kind: keep}}
  on_conflict: {policy}
  batch_size: 7
  transformation_rules:
    name: [{{col: name}}]
    price: [{{col: price}}]
    note: [{{col: note}}]
"
    )
}

/// How many rows each batch table says were written, skipped and failed.
async fn counts(pair: &Pair) -> Result<Vec<String>> {
    let ledger = "select concat_ws(' ', sum(n_read), sum(n_written), sum(n_skipped), sum(n_failed)) from drover.ledger";
    let metadata = "select concat_ws(' ', records_read, records_written, records_skipped, records_failed) \
                    from drover_meta.entity_migration_status";
    let ledger = pair.app.texts(ledger).await?;
    ensure!(ledger == pair.app.texts(metadata).await?, "{ledger:?}");
    Ok(ledger)
}

/// Mappings by what became of their rows.
async fn mapped(pair: &Pair) -> Result<Vec<String>> {
    pair.app
        .texts(
            "select coalesce(mapping_metadata->>'on_conflict', 'new') || ' ' || count(*) \
             from drover.migration_mapping group by mapping_metadata->>'on_conflict' order by 1",
        )
        .await
}

/// What was kept can be put back: the rows with their pre-images are those from before.
async fn restored(pair: &Pair) -> Result<()> {
    let kept = "select (jsonb_populate_record(null::items, image))::text from drover.pre_image p \
                where kind = 'changed' and row_key = to_jsonb(image->>'id') order by 1";
    let there = "select before::text from before where id in (select (image->>'id')::bigint from drover.pre_image) order by 1";
    ensure!(pair.app.texts(kept).await? == pair.app.texts(there).await?);
    Ok(())
}

#[tokio::test]
async fn skipped_rows_stay_and_are_counted() -> Result<()> {
    let pair = Pair::new(LEGACY, APP).await?;
    pair.must_end(&plan("skip"), 0).await?;
    assert_eq!(counts(&pair).await?, ["40 35 5 0"]);
    assert_eq!(mapped(&pair).await?, ["new 35", "skip 5"]);
    let left =
        "select count(*) from items i join before b using (id) where i is not distinct from b";
    assert_eq!(pair.app.number(left).await?, 5);
    assert_eq!(pair.app.number("select count(*) from items").await?, 40);
    let dropped = "select count(*) from drover.ddl";
    assert_eq!(pair.app.number(dropped).await?, 0, "constraints stay");
    Ok(())
}

#[tokio::test]
async fn overwritten_rows_leave_their_pre_images() -> Result<()> {
    let pair = Pair::new(LEGACY, APP).await?;
    pair.must_end(&plan("overwrite"), 0).await?;
    assert_eq!(counts(&pair).await?, ["40 40 0 0"]);
    assert_eq!(mapped(&pair).await?, ["new 35", "overwrite 5"]);
    let all = "select count(*) from items where name = 'new ' || id and price = id * 10 and note = 'note ' || id";
    assert_eq!(pair.app.number(all).await?, 40);
    let unwritten = "select count(*) from items i join before b using (id) where i.seen = b.seen";
    assert_eq!(
        pair.app.number(unwritten).await?,
        5,
        "only what a rule writes"
    );
    let kept = "select count(*) from drover.pre_image";
    assert_eq!(pair.app.number(kept).await?, 5);
    restored(&pair).await
}

#[tokio::test]
async fn merged_rows_are_filled_where_they_are_null() -> Result<()> {
    let pair = Pair::new(LEGACY, APP).await?;
    pair.must_end(&plan("{merge: [price, note]}"), 0).await?;
    assert_eq!(counts(&pair).await?, ["40 39 1 0"]);
    assert_eq!(mapped(&pair).await?, ["merge 4", "new 35", "skip 1"]);
    let rows = pair
        .rows("select id, name, price, note from items where id in (2, 10) order by id")
        .await?;
    assert_eq!(
        rows,
        [
            r#"{"id":2,"name":"old 2","price":20,"note":"note 2"}"#,
            r#"{"id":10,"name":"old 10","price":1,"note":"x"}"#,
        ]
    );
    restored(&pair).await
}

#[tokio::test]
async fn any_other_unique_violation_is_a_row_error() -> Result<()> {
    for policy in ["skip", "overwrite", "{merge: [price]}"] {
        let pair = Pair::new(LEGACY, APP).await?;
        // Somebody else has the names of a row that is new and of one that is there.
        pair.app
            .run("insert into items (id, name) values (90, 'new 15'), (91, 'new 4')")
            .await?;
        pair.legacy
            .run("update item set price = null, note = null where id = 4")
            .await?;
        pair.must_end(&plan(policy), 0).await?;
        let mut expected = vec!["items 15 23505 false"];
        expected.extend((policy == "overwrite").then_some("items 4 23505 false"));
        assert_eq!(errors(&pair).await?, expected, "{policy}");
        let list = [
            "error", "list", "--entity", "items", "--local", "-o", "json",
        ];
        let list = drover::run(&list, &pair.env()).await?;
        ensure!(list.code == Some(0), "{}", list.stderr);
        let items = list.json()["items"].as_array().map_or(0, Vec::len);
        assert_eq!(items, expected.len(), "{policy}");
        let there = "select count(*) from items where id <= 40 and id <> 15";
        assert_eq!(pair.app.number(there).await?, 39, "{policy}");
        restored(&pair).await?;
    }
    Ok(())
}

#[tokio::test]
async fn pairs_that_are_there_twice_or_already_are_one() -> Result<()> {
    for policy in ["skip", "overwrite"] {
        let pair = Pair::new(
            "create table member (id int primary key, team int, person int, role text);
             insert into member values (1, 1, 1, 'a'), (2, 1, 2, 'b'), (3, 1, 2, 'c'), (4, 2, 2, 'd')",
            "create table members (team int, person int, role text, primary key (team, person));
             insert into members values (2, 2, 'old')",
        )
        .await?;
        pair.must_end(
            &format!(
                "entities:
- entity: members
  source_entity: member
  destination_entity: members
  entity_type: member
  id: {{kind: none}}
  on_conflict: {policy}
  unmapped_columns: ignore
  transformation_rules:
    team: [{{col: team}}]
    person: [{{col: person}}]
    role: [{{col: role}}]
"
            ),
            0,
        )
        .await?;
        let last = if policy == "skip" { "old" } else { "d" };
        let rows = pair
            .app
            .texts("select role from members order by role")
            .await?;
        assert_eq!(rows, ["a", "b", last]);
        let skipped = if policy == "skip" {
            "4 2 2 0"
        } else {
            "4 3 1 0"
        };
        assert_eq!(counts(&pair).await?, [skipped]);
    }
    Ok(())
}

#[tokio::test]
async fn a_killed_run_overwrites_once_and_keeps_what_was_there_first() -> Result<()> {
    let pair = Pair::new(LEGACY, APP).await?;
    pair.app
        .run(
            "create function slow() returns trigger language plpgsql as
                 $$ begin perform pg_sleep(0.25); return new; end $$;
             create trigger slow before update on items for each row execute function slow()",
        )
        .await?;
    // Its first run says where the plan is; every one after it is killed at another moment.
    let path = pair.write(&plan("overwrite"))?;
    for patience in [900, 1400, 1900] {
        let mut child = drover::command(&["run", &path], &pair.env()).spawn()?;
        tokio::time::sleep(Duration::from_millis(patience)).await;
        child.kill().await?;
    }
    pair.must_end(&plan("overwrite"), 0).await?;
    assert_eq!(counts(&pair).await?, ["40 40 0 0"]);
    let all = "select count(*) from items where name = 'new ' || id and price = id * 10";
    assert_eq!(pair.app.number(all).await?, 40);
    assert_eq!(
        pair.app
            .number("select count(*) from drover.pre_image")
            .await?,
        5
    );
    restored(&pair).await
}

#[tokio::test]
async fn a_lost_answer_records_no_row_of_ours_as_a_pre_image() -> Result<()> {
    let pair = Pair::new(LEGACY, APP).await?;
    let (direct, port) = (pair.app.url(), proxy(Fault::LastAnswer).await);
    let through = direct.replace(
        &format!(":{}/", pg::server().await.port),
        &format!(":{port}/"),
    );
    let mut env = pair.env();
    env.retain(|(name, _)| name != "DROVER_CONNECTION_APP");
    env.push(("DROVER_CONNECTION_APP".to_owned(), through));
    env.push(("DROVER_METADATA_URL".to_owned(), direct));
    let limits = "limits: {parallel_partitions: 1, max_retries: 1}\n";
    let path = pair.write(
        &format!("{}{limits}", plan("overwrite")).replace("batch_size: 7", "batch_size: 50"),
    )?;
    let outcome = drover::run(&["run", &path], &env).await?;
    ensure!(
        outcome.code == Some(0),
        "{:?} {}",
        outcome.code,
        outcome.stderr
    );
    assert_eq!(counts(&pair).await?, ["40 40 0 0"]);
    assert_eq!(
        pair.app
            .number("select count(*) from drover.pre_image")
            .await?,
        5
    );
    restored(&pair).await
}
