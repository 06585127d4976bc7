//! A validation as work: only of what is completed, one at a time, and going on after a kill.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use drover_tests::drover;
use drover_tests::pair::Pair;
use tokio::time::Instant;

const PLAN: &str = "limits: {parallel_partitions: 2}
entities:
- entity: items
  source_entity: item
  destination_entity: items
  entity_type: item
  transformation_rules:
    name: [{col: name}]
- entity: more
  source_entity: other
  destination_entity: more
  entity_type: item
  transformation_rules:
    name: [{col: name}]
";

async fn pair() -> Result<Pair> {
    Pair::new(
        "create table item (id int primary key, name text not null);
         create table other (id int primary key, name text not null);
         insert into item select i, 'item ' || i from generate_series(1, 6000) i;
         insert into other select i, 'other ' || i from generate_series(1, 6000) i",
        "create table items (id uuid primary key, name text not null);
         create table more (id uuid primary key, name text not null)",
    )
    .await
}

const DONE: &str = "select count(*) from drover_meta.validation_unit where done_at is not null";

#[tokio::test]
async fn a_killed_validation_goes_on_with_what_is_left() -> Result<()> {
    let pair = pair().await?;
    pair.must_end(PLAN, 0).await?;
    pair.app
        .run("delete from drover_meta.validation_run")
        .await?;
    // From now on the source gives some rows a second: the small pieces are done soon, the large are not.
    let slow = "update drover_meta.plan set compiled = jsonb_set(compiled, '{limits,max_rows_per_second}', '2000')";
    pair.app.run(slow).await?;
    let args = [
        "validation",
        "start",
        "pair",
        "--local",
        "-o",
        "json",
        "--level",
        "full",
    ];
    let mut child = drover::command(&args, &pair.env()).spawn()?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while pair.app.number(DONE).await.unwrap_or(0) < 4 {
        if Instant::now() > deadline {
            bail!("no piece was done in time");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().await?;
    let before = pair
        .app
        .texts("select number || ' ' || done_at from drover_meta.validation_unit where done_at is not null order by number")
        .await?;
    let open = "select count(*) from drover_meta.validation_run where status = 'running'";
    assert_eq!(
        pair.app.number(open).await?,
        1,
        "the validation was killed too late"
    );
    pair.app
        .run("update drover_meta.plan set compiled = compiled #- '{limits,max_rows_per_second}'")
        .await?;
    let outcome = drover::run(&args, &pair.env()).await?;
    assert_eq!(
        outcome.code,
        Some(0),
        "{}\n{}",
        outcome.stdout,
        outcome.stderr
    );
    let after = pair
        .app
        .texts("select number || ' ' || done_at from drover_meta.validation_unit order by number")
        .await?;
    for unit in &before {
        assert!(after.contains(unit), "asked again: {unit}");
    }
    assert!(after.len() > before.len());
    let runs = "select count(*) from drover_meta.validation_run";
    assert_eq!(pair.app.number(runs).await?, 1);
    Ok(())
}

#[tokio::test]
async fn only_a_completed_migration_is_validated_and_what_it_becomes_ends_a_validation()
-> Result<()> {
    let pair = pair().await?;
    // A row that stops the run.
    pair.legacy
        .run("insert into other values (0, repeat('x', 50))")
        .await?;
    let strict = PLAN.replace("entities:", "defaults: {max_quarantined: 0}\nentities:");
    pair.app
        .run("alter table more add check (length(name) < 40)")
        .await?;
    let blocked = pair.run(&strict).await?;
    assert_ne!(blocked.code, Some(0));
    let refused = pair.validate(&[]).await?;
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert!(refused.stderr.contains("under way"), "{}", refused.stderr);

    pair.legacy.run("delete from other where id = 0").await?;
    pair.app
        .run("alter table more drop constraint more_name_check")
        .await?;
    let unknown = pair.validate(&["--entity", "nobody"]).await?;
    assert_eq!(unknown.code, Some(3), "{}", unknown.stderr);
    let level = pair.validate(&["--level", "deep"]).await?;
    assert_eq!(level.code, Some(2), "{}", level.stderr);
    Ok(())
}

#[tokio::test]
async fn two_validations_of_a_migration_are_one_after_the_other() -> Result<()> {
    let pair = pair().await?;
    pair.must_end(PLAN, 0).await?;
    let (one, other) = tokio::join!(pair.validate(&[]), pair.validate(&[]));
    for outcome in [one?, other?] {
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    }
    let running = pair
        .app
        .texts("select status::text from drover_meta.validation_run where status <> 'completed'")
        .await?;
    assert!(running.is_empty());
    let get = drover::run(
        &["validation", "get", "pair", "--local", "-o", "json"],
        &pair.env(),
    )
    .await?;
    let results = get.json()["results"]
        .as_array()
        .cloned()
        .context("results")?;
    assert!(!results.is_empty());
    Ok(())
}
