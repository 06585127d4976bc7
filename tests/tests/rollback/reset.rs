//! One entity taken back with all that depend on it, by itself, and copied again.

use anyhow::{Result, ensure};
use drover_tests::clinic::Clinic;
use drover_tests::drover;
use drover_tests::pair::Pair;

use super::{must_be, state};

const VOLATILE: &[&str] = &["imported_at"];

#[tokio::test]
async fn a_reset_entity_is_copied_again_and_the_others_stay() -> Result<()> {
    let clinic = Clinic::new("0.05").await?;
    let env = clinic.env();
    let before = state(&clinic.app).await?;
    let run = drover::run(&["run", &clinic.plan()], &env).await?;
    ensure!(run.code == Some(0), "{}", run.stderr);
    let made = clinic.digests(VOLATILE).await?;
    let reset = [
        "entity",
        "reset",
        "demo-clinic",
        "orders",
        "--local",
        "--confirm",
        "demo-clinic",
    ];
    let done = drover::run(&reset, &env).await?;
    ensure!(done.code == Some(0), "{}\n{}", done.stdout, done.stderr);
    ensure!(
        done.stderr.contains("jaws"),
        "those that go along are not named: {}",
        done.stderr
    );
    for (sql, expected) in [
        ("select count(*) from public.orders", 0),
        ("select count(*) from public.jaws", 0),
        (
            "select count(*) from drover_meta.migration_orchestration where status = 'running' and activity = 'paused' and attempt = 1",
            1,
        ),
        (
            "select count(*) from drover_meta.entity_migration_status where entity = 'orders' and status = 'pending' and records_read = 0",
            1,
        ),
        (
            "select count(*) from drover_meta.entity_migration_status where entity = 'offices' and status = 'completed'",
            1,
        ),
        (
            "select count(*) from drover_meta.migration_checkpoint where entity = 'orders' and is_resumable",
            0,
        ),
    ] {
        ensure!(clinic.app.number(sql).await? == expected, "{sql}");
    }
    let offices = clinic.digests(VOLATILE).await?;
    ensure!(offices["offices"] == made["offices"]);
    let again = drover::run(&["run", &clinic.plan()], &env).await?;
    ensure!(again.code == Some(0), "{}", again.stderr);
    let found = clinic.digests(VOLATILE).await?;
    ensure!(found == made, "{found:?}\n{made:?}");
    super::roll_back(&env, ("demo-clinic", 0), &[]).await?;
    must_be(&state(&clinic.app).await?, &before)
}

#[tokio::test]
async fn what_is_undone_may_come_back_by_other_rules() -> Result<()> {
    let pair = Pair::new(
        "create table item (id int primary key, name text); insert into item select n, 'n' || n from generate_series(1, 30) n",
        "create table items (id uuid primary key, name text)",
    )
    .await?;
    let plan = |version: u32, steps: &str| {
        format!(
            "entities:
- entity: items
  source_entity: item
  destination_entity: items
  entity_type: item
  version: \"{version}\"
  transformation_rules: {{name: [{{col: name}}{steps}]}}
"
        )
    };
    let names = "select count(distinct name) from items where name ~ '^N'";
    pair.must_end(&plan(1, ""), 0).await?;
    pair.must_end(&plan(2, ", upper"), 4).await?;
    super::roll_back(&pair.env(), ("pair", 0), &[]).await?;
    pair.must_end(&plan(2, ", upper"), 0).await?;
    ensure!(pair.app.number(names).await? == 30);
    super::roll_back(&pair.env(), ("pair", 0), &["--entities", "items"]).await?;
    ensure!(pair.app.number("select count(*) from items").await? == 0);
    pair.must_end(&plan(3, ""), 0).await?;
    ensure!(
        pair.app
            .number("select count(*) from items where name ~ '^n'")
            .await?
            == 30
    );
    Ok(())
}
