//! `consistency`: what is checked of it, and that the summary says which one held.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use drover_tests::drover::{self, Outcome};
use drover_tests::pair::Pair;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::process::Child;
use tokio::time::Instant;

const ENTITIES: &str = "entities:
- entity: owners
  source_entity: owner
  destination_entity: owners
  entity_type: owner
  transformation_rules:
    name: [{col: name}]
- entity: pets
  source_entity: pet
  destination_entity: pets
  entity_type: pet
  transformation_rules:
    owner_id: [{col: owner_id}, {fk: {entity: owners}}]
    name: [{col: name}]
";

/// Owners are copied before pets, and a batch of pets waits for a lock that a test may hold.
async fn world() -> Result<Pair> {
    Pair::new(
        "create table owner (id int primary key, name text);
         create table pet (id int primary key, owner_id int not null references owner, name text);
         insert into owner select n, 'owner ' || n from generate_series(1, 300) n;
         insert into pet select n, n % 300 + 1, 'pet ' || n from generate_series(1, 900) n",
        "create table owners (id uuid primary key, name text);
         create table pets (id uuid primary key, owner_id uuid not null references owners, name text);
         create function wait() returns trigger language plpgsql as
             $$ begin perform pg_advisory_xact_lock(42); return null; end $$;
         create trigger wait before insert on pets for each statement execute function wait()",
    )
    .await
}

fn plan(consistency: &str) -> String {
    format!("defaults: {{consistency: {consistency}}}\n{ENTITIES}")
}

/// A run in the middle of which the world stands still: owners are there, pets wait.
struct Halted {
    child: Child,
    lock: PgConnection,
}

impl Halted {
    async fn start(pair: &Pair, plan: &str) -> Result<Self> {
        let mut lock = pair.app.connect().await;
        sqlx::query("select pg_advisory_lock(42)")
            .execute(&mut lock)
            .await?;
        let path = pair.write(plan)?;
        let child = drover::command(&["run", &path, "-o", "json"], &pair.env()).spawn()?;
        let deadline = Instant::now() + Duration::from_secs(60);
        let waits = "select count(*) from pg_locks where locktype = 'advisory' and objid = 42 and not granted \
                     and database = (select oid from pg_database where datname = current_database())";
        while pair.app.number(waits).await? == 0 {
            ensure!(Instant::now() < deadline, "no batch of pets came");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { child, lock })
    }

    /// Lets it go on to its end.
    async fn go_on(self) -> Result<Outcome> {
        self.lock.close().await?;
        drover::finish(self.child).await
    }

    /// `kill -9`.
    async fn kill(mut self) -> Result<()> {
        self.child.kill().await?;
        Ok(self.lock.close().await?)
    }
}

const WRITE: &str = "insert into owner values (1000, 'late')";

fn held(outcome: &Outcome) -> String {
    let value = outcome.json()["configuration"]["consistency_held"].clone();
    value.as_str().unwrap_or("nothing").to_owned()
}

/// It blocks, names the table and says what can be done.
fn must_be_written(outcome: &Outcome) -> Result<()> {
    let words = &outcome.stderr;
    ensure!(outcome.code == Some(8), "{:?} {words}", outcome.code);
    for part in [
        "owner were written to",
        "fresh destination",
        "consistency: none",
    ] {
        ensure!(words.contains(part), "{part} in {words}");
    }
    ensure!(!words.contains("public.pet were"), "{words}");
    Ok(())
}

#[tokio::test]
async fn a_frozen_source_is_verified_and_needs_no_snapshot() -> Result<()> {
    let pair = world().await?;
    let outcome = pair.must_end(&plan("frozen"), 0).await?;
    ensure!(
        outcome
            .stdout
            .contains("consistency: frozen: verified, the source was not written to"),
        "{}",
        outcome.stdout
    );
    let noted =
        "select (snapshot is null and source_activity is not null)::text from drover.migration";
    assert_eq!(pair.app.texts(noted).await?, ["true"]);
    let args = ["migration", "get", "pair", "--local"];
    let got = drover::run(&args, &pair.env()).await?;
    ensure!(
        got.stdout.contains("consistency: frozen: verified"),
        "{got:?}"
    );
    let json = drover::run(&[&args[..], &["-o", "json"]].concat(), &pair.env()).await?;
    assert_eq!(held(&json), "frozen");
    Ok(())
}

#[tokio::test]
async fn a_write_to_a_frozen_source_blocks_at_the_end_and_can_be_accepted() -> Result<()> {
    let pair = world().await?;
    let halted = Halted::start(&pair, &plan("frozen")).await?;
    pair.legacy.run(WRITE).await?;
    must_be_written(&halted.go_on().await?)?;
    // Asked again, it says so again.
    must_be_written(&pair.must_end(&plan("frozen"), 8).await?)?;
    let outcome = pair.must_exit(&plan("none"), 0).await?;
    ensure!(
        outcome
            .stdout
            .contains("consistency: none: rows were read at different moments"),
        "{}",
        outcome.stdout
    );
    Ok(())
}

#[tokio::test]
async fn a_killed_run_over_a_frozen_source_goes_on_and_is_verified() -> Result<()> {
    let pair = world().await?;
    let halted = Halted::start(&pair, &plan("frozen")).await?;
    halted.kill().await?;
    let outcome = pair.drover(&["run", "-o", "json"], &plan("frozen")).await?;
    ensure!(outcome.code == Some(0), "{outcome:?}");
    assert_eq!(held(&outcome), "frozen");
    assert_eq!(pair.app.number("select count(*) from pets").await?, 900);
    Ok(())
}

#[tokio::test]
async fn a_write_between_a_kill_and_its_resume_is_found_before_a_row_is_read() -> Result<()> {
    let pair = world().await?;
    let halted = Halted::start(&pair, &plan("frozen")).await?;
    halted.kill().await?;
    pair.legacy.run(WRITE).await?;
    must_be_written(&pair.must_end(&plan("frozen"), 8).await?)?;
    assert_eq!(pair.app.number("select count(*) from pets").await?, 0);
    Ok(())
}

#[tokio::test]
async fn the_summary_says_which_snapshot_held() -> Result<()> {
    let pair = world().await?;
    let calm = pair.run(&plan("snapshot")).await?;
    ensure!(
        calm.stdout
            .contains("consistency: snapshot: every row was read at one moment"),
        "{calm:?}"
    );
    let pair = world().await?;
    Halted::start(&pair, &plan("snapshot"))
        .await?
        .kill()
        .await?;
    let renewed = pair.must_exit(&plan("snapshot"), 0).await?;
    ensure!(
        renewed
            .stdout
            .contains("consistency: snapshot, renewed: the source was not written to"),
        "{renewed:?}"
    );
    let line = renewed.stdout.lines().next().context("a head line")?;
    ensure!(line.contains("COMPLETED"), "{line}");
    Ok(())
}
