//! Rollback with a controller and agents as processes, whatever dies or freezes meanwhile.

use anyhow::{Result, ensure};
use drover_tests::clinic::Clinic;
use drover_tests::cluster::Cluster;
use drover_tests::drover;

use super::{must_be, state};

const VOLATILE: &[&str] = &["imported_at"];
const AGENTS: [(&str, &str); 2] = [("eu-1", "eu"), ("eu-2", "eu")];

async fn start(cluster: &Cluster, clinic: &Clinic) -> Result<()> {
    cluster
        .json(&["migration", "create", "-f", &clinic.plan()])
        .await?;
    cluster.json(&["migration", "start", "demo-clinic"]).await?;
    Ok(())
}

async fn roll_back(cluster: &Cluster) -> Result<()> {
    let args = [
        "migration",
        "rollback",
        "demo-clinic",
        "--confirm",
        "demo-clinic",
        "--wait",
        "--wait-timeout",
        "120s",
    ];
    let outcome = cluster.drover(&args).await?;
    ensure!(
        outcome.code == Some(0),
        "{:?} {}\n{}",
        outcome.code,
        outcome.stderr,
        cluster.logs()
    );
    ensure!(
        outcome
            .stderr
            .contains("tables are as they were at the start"),
        "{}",
        outcome.stderr
    );
    Ok(())
}

#[tokio::test]
async fn a_running_migration_is_rolled_back_and_started_again() -> Result<()> {
    let calm = Clinic::new("0.2").await?;
    let clinic = calm.with_fresh_target().await?;
    let run = drover::run(&["run", &calm.plan()], &calm.env()).await?;
    ensure!(run.code == Some(0), "{}", run.stderr);
    let before = state(&clinic.app).await?;
    let cluster = Cluster::start(&AGENTS, clinic.env()).await?;
    start(&cluster, &clinic).await?;
    cluster.until_processed(5_000).await?;
    roll_back(&cluster).await?;
    must_be(&state(&clinic.app).await?, &before)?;
    let backends = "select count(*) from pg_stat_activity where datname = current_database() and application_name ~ '^drover [0-9a-f]{8}-'";
    ensure!(
        clinic.app.number(backends).await? == 0,
        "somebody still works on it"
    );

    // The same again, with an agent frozen in the middle and the controller lost while it is taken back.
    let mut cluster = cluster;
    cluster.json(&["migration", "start", "demo-clinic"]).await?;
    cluster.until_processed(5_000).await?;
    cluster.agent("eu-1").freeze()?;
    let args = [
        "migration",
        "rollback",
        "demo-clinic",
        "--confirm",
        "demo-clinic",
        "-o",
        "json",
    ];
    cluster.json(&args[..5]).await?;
    cluster.restart_controller().await?;
    let wait = [
        "migration",
        "wait",
        "demo-clinic",
        "--for=state=pending",
        "--wait-timeout",
        "120s",
    ];
    let waited = cluster.drover(&wait).await?;
    ensure!(
        waited.code == Some(0),
        "{}\n{}",
        waited.stderr,
        cluster.logs()
    );
    must_be(&state(&clinic.app).await?, &before)?;
    cluster.agent("eu-1").thaw()?;
    cluster.json(&["migration", "start", "demo-clinic"]).await?;
    cluster.until_completed().await?;
    let (found, expected) = (
        clinic.digests(VOLATILE).await?,
        calm.digests(VOLATILE).await?,
    );
    ensure!(found == expected, "{found:?}\n{expected:?}");

    // One entity alone, with those that depend on it; the others stay.
    let reset = [
        "entity",
        "reset",
        "demo-clinic",
        "orders",
        "--confirm",
        "demo-clinic",
        "--wait",
    ];
    let outcome = cluster.drover(&reset).await?;
    ensure!(
        outcome.code == Some(0),
        "{}\n{}",
        outcome.stderr,
        cluster.logs()
    );
    ensure!(outcome.stderr.contains("jaws"), "{}", outcome.stderr);
    ensure!(
        clinic
            .app
            .number("select count(*) from public.orders")
            .await?
            == 0
    );
    cluster
        .json(&["migration", "resume", "demo-clinic"])
        .await?;
    cluster.until_completed().await?;
    let found = clinic.digests(VOLATILE).await?;
    ensure!(found == expected, "{found:?}\n{expected:?}");

    // And all of it, completed.
    roll_back(&cluster).await?;
    must_be(&state(&clinic.app).await?, &before)
}

#[tokio::test]
async fn a_paused_migration_is_rolled_back_and_the_rollback_pauses_too() -> Result<()> {
    let clinic = Clinic::new("0.1").await?;
    let before = state(&clinic.app).await?;
    let cluster = Cluster::start(&AGENTS, clinic.env()).await?;
    start(&cluster, &clinic).await?;
    cluster.until_processed(3_000).await?;
    cluster
        .json(&["migration", "pause", "demo-clinic", "--wait"])
        .await?;
    let dry = cluster
        .json(&["migration", "rollback", "demo-clinic", "--dry-run"])
        .await?;
    let told: i64 = dry["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|effect| effect["rows_to_delete"].as_i64())
        .sum();
    let written = "select coalesce(sum(n_written), 0)::bigint from drover.ledger";
    ensure!(told == clinic.app.number(written).await?, "{dry}");
    let wrong = cluster
        .drover(&["migration", "rollback", "demo-clinic", "--confirm", "demo"])
        .await?;
    ensure!(wrong.code == Some(2), "{}", wrong.stderr);
    // The same request again is answered the same, and begins nothing.
    let request = "0195b4c2-5b1e-4d3a-9c55-6f1f0a2b8e44";
    let rollback = [
        "migration",
        "rollback",
        "demo-clinic",
        "--confirm",
        "demo-clinic",
        "--request-id",
        request,
    ];
    let first = cluster.json(&rollback).await?;
    let again = cluster.json(&rollback).await?;
    ensure!(first == again, "{first}\n{again}");
    // Asked to stand still it does, or it was faster.
    let paused = cluster
        .drover(&[
            "migration",
            "pause",
            "demo-clinic",
            "--wait",
            "--wait-timeout",
            "60s",
        ])
        .await?;
    if paused.code == Some(0) {
        cluster
            .json(&["migration", "resume", "demo-clinic"])
            .await?;
    }
    let wait = [
        "migration",
        "wait",
        "demo-clinic",
        "--for=state=pending",
        "--wait-timeout",
        "120s",
    ];
    let waited = cluster.drover(&wait).await?;
    ensure!(
        waited.code == Some(0),
        "{}\n{}",
        waited.stderr,
        cluster.logs()
    );
    must_be(&state(&clinic.app).await?, &before)
}
