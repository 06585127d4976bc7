//! A pause under load: nothing commits after PAUSED, whatever became of the agents.
//!
//! `DROVER_PAUSE_RUNS=50` makes fifty of them instead of four and prints how long they took.

use std::time::Duration;

use anyhow::{Result, ensure};
use drover_tests::clinic::Clinic;
use drover_tests::cluster::Cluster;
use drover_tests::pair::Pair;
use tokio::time::Instant;

const LEDGER: &str = "select count(*) from drover.ledger";

fn runs() -> usize {
    let given = std::env::var("DROVER_PAUSE_RUNS").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(4)
}

#[tokio::test]
async fn nothing_commits_after_paused() -> Result<()> {
    let runs = runs();
    // Enough rows for all of them.
    let scale = if runs > 10 { "4" } else { "0.5" };
    let clinic = Clinic::new(scale).await?;
    clinic.edit_plan("batch_size: 20000", "batch_size: 200")?;
    let agents = [("eu-1", "eu"), ("eu-2", "eu"), ("us-1", "us")];
    let mut cluster = Cluster::start(&agents, clinic.env()).await?;
    cluster
        .json(&["migration", "create", "-f", &clinic.plan()])
        .await?;
    cluster.json(&["migration", "start", "demo-clinic"]).await?;
    let (mut calm, mut frozen) = (Vec::new(), Vec::new());
    for run in 0..runs {
        let done = cluster.processed().await?;
        cluster.until_processed(done + 1_000).await?;
        let is_frozen = run % 4 == 1;
        if is_frozen {
            cluster.agent("eu-2").freeze()?;
        }
        let begun = Instant::now();
        let pause = [
            "migration",
            "pause",
            "demo-clinic",
            "--wait",
            "--deadline",
            "3s",
        ];
        let paused = cluster.drover(&pause).await?;
        let took = begun.elapsed();
        ensure!(
            paused.code == Some(0),
            "run {run}: {}\n{}",
            paused.stderr,
            cluster.logs()
        );
        let before = clinic.app.number(LEDGER).await?;
        if is_frozen {
            frozen.push(took);
            // It wakes up with a batch in hand, and must not get rid of it.
            cluster.agent("eu-2").thaw()?;
        } else {
            calm.push(took);
        }
        cluster.until_agents(agents.len()).await?;
        let after = clinic.app.number(LEDGER).await?;
        ensure!(
            before == after,
            "run {run}: {before} batches when paused, {after} later\n{}",
            cluster.logs()
        );
        let resumed = cluster
            .drover(&["migration", "resume", "demo-clinic", "--wait"])
            .await?;
        ensure!(
            resumed.code == Some(0),
            "run {run}: {}\n{}",
            resumed.stderr,
            cluster.logs()
        );
    }
    tell("all agents well", &mut calm);
    tell("one agent frozen", &mut frozen);
    ensure!(
        calm.iter().all(|took| *took < Duration::from_secs(10)),
        "{calm:?}"
    );
    ensure!(
        frozen.iter().all(|took| *took < Duration::from_secs(20)),
        "{frozen:?}"
    );
    Ok(())
}

fn tell(what: &str, times: &mut [Duration]) {
    times.sort();
    let median = times.get(times.len() / 2);
    println!(
        "{what}: {} pauses, median {median:?}, worst {:?}",
        times.len(),
        times.last()
    );
}

#[tokio::test]
async fn a_pause_does_not_wait_for_keys_that_are_being_built_beyond_its_deadline() -> Result<()> {
    let pair = Pair::new(
        "create table a (id int primary key, v int); insert into a select n, n from generate_series(1, 200) n",
        "create table aa (id uuid primary key, v int);
         create function slow(int) returns int language plpgsql immutable as
             $$ begin perform pg_sleep(case when $1 > 0 then 0.2 else 0 end); return $1; end $$;
         create index aa_slow on aa (slow(v))",
    )
    .await?;
    let path = pair.write(
        "entities:
- {entity: as, source_entity: a, destination_entity: aa, entity_type: a, transformation_rules: {v: [{col: v}]}}
",
    )?;
    let cluster = Cluster::start(&[("eu-1", "eu")], pair.env()).await?;
    cluster.json(&["migration", "create", "-f", &path]).await?;
    cluster.json(&["migration", "start", "pair"]).await?;
    let building = "select count(*) from pg_stat_activity where datname = current_database() \
                    and pid <> pg_backend_pid() and query ilike '%aa_slow%' and state = 'active'";
    let deadline = Instant::now() + Duration::from_secs(60);
    while pair.app.number(building).await? == 0 {
        ensure!(
            Instant::now() < deadline,
            "no index is built\n{}",
            cluster.logs()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let begun = Instant::now();
    let pause = ["migration", "pause", "pair", "--wait", "--deadline", "1s"];
    let paused = cluster.drover(&pause).await?;
    ensure!(
        paused.code == Some(0),
        "{}\n{}",
        paused.stderr,
        cluster.logs()
    );
    ensure!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(pair.app.number(building).await?, 0);
    pair.app
        .run("create or replace function slow(int) returns int language sql immutable as 'select $1'")
        .await?;
    let resumed = cluster.drover(&["migration", "resume", "pair"]).await?;
    ensure!(resumed.code == Some(0), "{}", resumed.stderr);
    let wait = [
        "migration",
        "wait",
        "pair",
        "--for=state=completed",
        "--wait-timeout",
        "60s",
    ];
    let waited = cluster.drover(&wait).await?;
    ensure!(
        waited.code == Some(0),
        "{}\n{}",
        waited.stderr,
        cluster.logs()
    );
    let there = "select count(*) from pg_indexes where indexname = 'aa_slow'";
    assert_eq!(pair.app.number(there).await?, 1);
    Ok(())
}
