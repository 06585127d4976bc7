//! A pause under load: nothing commits after PAUSED, whatever became of the agents.
//!
//! `DROVER_PAUSE_RUNS=50` makes fifty of them instead of four and prints how long they took.

use std::time::Duration;

use anyhow::{Result, ensure};
use drover_tests::clinic::Clinic;
use drover_tests::cluster::Cluster;
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
    let scale = if runs > 10 { "2" } else { "0.5" };
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
