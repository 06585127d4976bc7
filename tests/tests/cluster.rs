//! Controller, agents and etcd as processes: the same rows as one process makes, whatever dies meanwhile.

use std::time::Duration;

use anyhow::{Result, ensure};
use drover_tests::clinic::Clinic;
use drover_tests::cluster::Cluster;
use drover_tests::drover;

const VOLATILE: &[&str] = &["imported_at"];
const AGENTS: [(&str, &str); 3] = [("eu-1", "eu"), ("eu-2", "eu"), ("us-1", "us")];

/// A clinic that one process has migrated, and one that a cluster is to migrate.
async fn clinics(scale: &str) -> Result<(Clinic, Clinic)> {
    let calm = Clinic::new(scale).await?;
    let outcome = drover::run(&["run", &calm.plan()], &calm.env()).await?;
    ensure!(outcome.code == Some(0), "{}", outcome.stderr);
    let other = calm.with_fresh_target().await?;
    Ok((calm, other))
}

async fn create_and_start(cluster: &Cluster, clinic: &Clinic) -> Result<()> {
    cluster
        .json(&["migration", "create", "-f", &clinic.plan()])
        .await?;
    cluster.json(&["migration", "start", "demo-clinic"]).await?;
    Ok(())
}

async fn must_be_equal(expected: &Clinic, found: &Clinic) -> Result<()> {
    let (expected_rows, found_rows) = (
        expected.digests(VOLATILE).await?,
        found.digests(VOLATILE).await?,
    );
    ensure!(
        found_rows == expected_rows,
        "{found_rows:?}\n{expected_rows:?}"
    );
    let (expected_keys, found_keys) = (expected.definitions().await?, found.definitions().await?);
    ensure!(
        found_keys == expected_keys,
        "{found_keys:?}\n{expected_keys:?}"
    );
    Ok(())
}

#[tokio::test]
async fn three_agents_make_what_one_process_makes() -> Result<()> {
    let (calm, clinic) = clinics("0.2").await?;
    let cluster = Cluster::start(&AGENTS, clinic.env()).await?;
    create_and_start(&cluster, &clinic).await?;
    cluster.until_completed().await?;
    must_be_equal(&calm, &clinic).await?;
    let holders = clinic
        .app
        .number("select count(distinct holder) from drover.partition where number >= 0")
        .await?;
    ensure!(holders > 1, "one agent did it all\n{}", cluster.logs());
    // What was set aside, the ids, the batches: all of it can be asked for.
    let errors = cluster
        .json(&["error", "list", "--migration", "demo-clinic"])
        .await?;
    ensure!(errors.to_string().contains("DROVER_"), "{errors}");
    let mapping = cluster
        .json(&[
            "mapping",
            "lookup",
            "patients",
            "7",
            "--migration",
            "demo-clinic",
        ])
        .await?;
    ensure!(
        mapping.to_string().contains("dispatch_patient"),
        "{mapping}"
    );
    for list in [
        &["entity", "list", "demo-clinic"][..],
        &["batch", "list", "demo-clinic", "patients"],
        &["checkpoint", "list", "demo-clinic"],
        &["migration", "list"],
        &["rules", "list"],
    ] {
        let found = cluster.json(list).await?;
        ensure!(found.to_string().len() > 100, "{list:?}: {found}");
    }
    Ok(())
}

#[tokio::test]
async fn killed_agents_controllers_and_etcds_change_nothing() -> Result<()> {
    let (calm, clinic) = clinics("0.5").await?;
    // Slow enough to be disturbed in the middle.
    clinic.edit_plan("batch_size: 20000", "batch_size: 500")?;
    let mut cluster = Cluster::start(&AGENTS, clinic.env()).await?;
    create_and_start(&cluster, &clinic).await?;
    cluster.until_processed(5_000).await?;
    cluster.agent("eu-1").kill().await?;
    cluster.until_processed(20_000).await?;
    cluster.restart_controller().await?;
    cluster.until_processed(35_000).await?;
    cluster.etcd.restart().await;
    cluster.agent("us-1").freeze()?;
    cluster.add_agent("eu-3", "eu", &[])?;
    cluster.until_completed().await?;
    cluster.agent("us-1").thaw()?;
    must_be_equal(&calm, &clinic).await
}

#[tokio::test]
async fn a_paused_migration_stands_still_and_goes_on() -> Result<()> {
    let (calm, clinic) = clinics("0.5").await?;
    clinic.edit_plan("batch_size: 20000", "batch_size: 500")?;
    let mut cluster = Cluster::start(&AGENTS, clinic.env()).await?;
    create_and_start(&cluster, &clinic).await?;
    cluster.until_processed(10_000).await?;
    // Its holder is gone when the pause comes: its partitions are sealed.
    cluster.agent("eu-2").freeze()?;
    let paused = cluster
        .drover(&["migration", "pause", "demo-clinic", "--wait"])
        .await?;
    ensure!(
        paused.code == Some(0),
        "{}\n{}",
        paused.stderr,
        cluster.logs()
    );
    let ledger = "select count(*) from drover.ledger";
    let before = clinic.app.number(ledger).await?;
    cluster.agent("eu-2").thaw()?;
    cluster.until_agents(3).await?;
    let after = clinic.app.number(ledger).await?;
    ensure!(
        before == after,
        "{before} batches when paused, {after} later"
    );
    let again = cluster
        .drover(&[
            "migration",
            "delete",
            "demo-clinic",
            "--yes",
            "--confirm",
            "demo-clinic",
        ])
        .await?;
    ensure!(again.code == Some(4), "{:?} {}", again.code, again.stderr);
    cluster
        .json(&["migration", "resume", "demo-clinic"])
        .await?;
    cluster.until_completed().await?;
    must_be_equal(&calm, &clinic).await
}

#[tokio::test]
async fn a_source_that_lives_on_during_a_pause_and_a_restart_keeps_its_point_in_time() -> Result<()>
{
    let (calm, clinic) = clinics("0.5").await?;
    clinic.edit_plan("batch_size: 20000", "batch_size: 500")?;
    let mut cluster = Cluster::start(&AGENTS, clinic.env()).await?;
    create_and_start(&cluster, &clinic).await?;
    cluster.until_processed(5_000).await?;
    // Resumed before it is paused: it goes on all the same.
    for verb in ["pause", "resume"] {
        cluster.json(&["migration", verb, "demo-clinic"]).await?;
    }
    cluster.until_processed(10_000).await?;
    let pause = ["migration", "pause", "demo-clinic", "--wait"];
    let paused = cluster.drover(&pause).await?;
    ensure!(
        paused.code == Some(0),
        "{}\n{}",
        paused.stderr,
        cluster.logs()
    );
    // Each has the leader look at everything.
    for verb in ["cordon", "uncordon"] {
        cluster.json(&["agent", verb, "eu-1"]).await?;
    }
    let touch = "update dispatch_patient set id = id where id % 100 = 7";
    clinic.legacy.run(touch).await?;
    cluster.restart_controller().await?;
    cluster.until_agents(3).await?;
    cluster
        .json(&["migration", "resume", "demo-clinic"])
        .await?;
    cluster.until_processed(20_000).await?;
    clinic.legacy.run(touch).await?;
    // Who dials first need not be who holds the snapshot.
    cluster.restart_controller().await?;
    cluster.until_completed().await?;
    must_be_equal(&calm, &clinic).await
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_its_reason() -> Result<()> {
    let clinic = Clinic::new("0.01").await?;
    let mut cluster = Cluster::start(&[("eu-1", "eu")], clinic.env()).await?;
    let error = |outcome: &drover::Outcome| outcome.stderr.clone();
    let unknown = cluster.drover(&["migration", "get", "nothing"]).await?;
    ensure!(
        unknown.code == Some(3),
        "{:?} {}",
        unknown.code,
        error(&unknown)
    );
    clinic.edit_plan("col: sku", "col: skew")?;
    let invalid = cluster
        .drover(&["migration", "create", "-f", &clinic.plan()])
        .await?;
    ensure!(
        invalid.code == Some(2) && error(&invalid).contains("entities["),
        "{}",
        error(&invalid)
    );
    clinic.edit_plan("col: skew", "col: sku")?;
    let region = [
        "migration",
        "create",
        "-f",
        &clinic.plan(),
        "--region",
        "mars",
        "--timeout",
        "3s",
    ];
    let nobody = cluster.drover(&region).await?;
    ensure!(
        nobody.code == Some(6) && error(&nobody).contains("no agent in region mars"),
        "{}",
        error(&nobody)
    );
    cluster
        .json(&["migration", "create", "-f", &clinic.plan()])
        .await?;
    let twice = cluster
        .drover(&["migration", "create", "-f", &clinic.plan()])
        .await?;
    ensure!(twice.code == Some(4), "{:?} {}", twice.code, error(&twice));
    let pause = cluster
        .drover(&["migration", "pause", "demo-clinic"])
        .await?;
    ensure!(pause.code == Some(4), "{:?} {}", pause.code, error(&pause));
    // An agent of a name that is taken is refused, and says so; the others do not mind.
    cluster.add_agent("eu-1", "eu", &[])?;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !cluster.agents[1].log().contains("is connected already") {
        ensure!(tokio::time::Instant::now() < deadline, "{}", cluster.logs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    cluster.until_agents(1).await?;
    cluster.json(&["migration", "start", "demo-clinic"]).await?;
    cluster.until_completed().await
}

#[tokio::test]
async fn a_migration_that_was_deleted_can_be_created_again_under_the_id_that_the_destination_knows()
-> Result<()> {
    let (calm, clinic) = clinics("0.01").await?;
    let cluster = Cluster::start(&[("eu-1", "eu")], clinic.env()).await?;
    create_and_start(&cluster, &clinic).await?;
    cluster.until_completed().await?;
    let get = ["migration", "get", "demo-clinic"];
    let before = cluster.json(&get).await?;
    let delete = [
        "migration",
        "delete",
        "demo-clinic",
        "--yes",
        "--confirm",
        "demo-clinic",
    ];
    let deleted = cluster.drover(&delete).await?;
    ensure!(
        deleted.code == Some(0),
        "{:?} {}",
        deleted.code,
        deleted.stderr
    );
    create_and_start(&cluster, &clinic).await?;
    cluster.until_completed().await?;
    let after = cluster.json(&get).await?;
    ensure!(before["id"] == after["id"], "{before}\n{after}");
    let rows = |report: &serde_json::Value| report["records_processed"].clone();
    ensure!(rows(&before) == rows(&after), "{before}\n{after}");
    must_be_equal(&calm, &clinic).await
}

#[tokio::test]
async fn agents_whose_connections_lead_elsewhere_get_no_work_and_the_reason_is_told() -> Result<()>
{
    let clinic = Clinic::new("0.01").await?;
    let elsewhere = clinic.with_fresh_target().await?;
    let mut cluster = Cluster::start(&[("eu-1", "eu")], clinic.env()).await?;
    cluster
        .json(&["migration", "create", "-f", &clinic.plan()])
        .await?;
    cluster.agent("eu-1").kill().await?;
    cluster.until_agents(0).await?;
    // While nobody is there, it says what it waits for.
    cluster.json(&["migration", "start", "demo-clinic"]).await?;
    let get = ["migration", "get", "demo-clinic"];
    until_reason(&cluster, "no agent is connected").await?;
    let env = elsewhere.env();
    let env: Vec<(&str, &str)> = env
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    cluster.add_agent("eu-2", "eu", &env)?;
    until_reason(&cluster, "the destination was system").await?;
    let blocked = [
        "migration",
        "wait",
        "demo-clinic",
        "--for=state=blocked",
        "--wait-timeout",
        "60s",
    ];
    let outcome = cluster.drover(&blocked).await?;
    ensure!(
        outcome.code == Some(0),
        "{}\n{}",
        outcome.stderr,
        cluster.logs()
    );
    let blocked = cluster.json(&get).await?;
    let hint = blocked["activity_hint"].as_str().unwrap_or_default();
    ensure!(hint.contains("point the connection"), "{blocked}");
    // One that fits mends it; the other one stays without work.
    cluster.add_agent("eu-3", "eu", &[])?;
    cluster.until_agents(2).await?;
    cluster
        .json(&["migration", "resume", "demo-clinic"])
        .await?;
    cluster.until_completed().await?;
    let installed = "select count(*) from pg_namespace where nspname = 'drover'";
    ensure!(
        elsewhere.app.number(installed).await? == 0,
        "{}",
        cluster.logs()
    );
    Ok(())
}

/// Waits until a migration's reason has these words in it.
async fn until_reason(cluster: &Cluster, words: &str) -> Result<()> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let found = cluster.json(&["migration", "get", "demo-clinic"]).await?;
        if found["activity_reason"]
            .as_str()
            .is_some_and(|reason| reason.contains(words))
        {
            return Ok(());
        }
        ensure!(
            tokio::time::Instant::now() < deadline,
            "{found}\n{}",
            cluster.logs()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn an_agent_without_a_lease_store_attracts_no_work() -> Result<()> {
    let (calm, clinic) = clinics("0.05").await?;
    let mut cluster = Cluster::start(&AGENTS[..1], clinic.env()).await?;
    let nowhere = format!("127.0.0.1:{}", drover_tests::etcd::free_ports(1)[0]);
    let endpoints = [("DROVER_AGENT__ETCD__ENDPOINTS", nowhere.as_str())];
    cluster.add_agent("eu-9", "eu", &endpoints)?;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let refused = "the lease store does not take this agent yet";
    while !cluster.agents[1].log().contains(refused) {
        ensure!(tokio::time::Instant::now() < deadline, "{}", cluster.logs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    create_and_start(&cluster, &clinic).await?;
    cluster.until_completed().await?;
    let agents = cluster.json(&["agent", "list"]).await?;
    ensure!(!agents.to_string().contains("eu-9"), "{agents}");
    must_be_equal(&calm, &clinic).await
}

#[tokio::test]
async fn a_live_source_is_read_at_one_moment_whichever_agent_is_lost() -> Result<()> {
    let (calm, clinic) = clinics("0.5").await?;
    clinic.edit_plan("batch_size: 20000", "batch_size: 50")?;
    let mut cluster = Cluster::start(&AGENTS[..2], clinic.env()).await?;
    create_and_start(&cluster, &clinic).await?;
    cluster.until_processed(1_000).await?;
    // One of the two took the snapshot. Each is lost in turn, after the other holds it, too.
    for (lost, next) in [("eu-1", "eu-3"), ("eu-2", "eu-4")] {
        until_shared(&cluster, &clinic).await?;
        let touch = "update dispatch_patient set id = id where id % 100 = 7";
        clinic.legacy.run(touch).await?;
        cluster.agent(lost).kill().await?;
        cluster.add_agent(next, "eu", &[])?;
        let processed = cluster.processed().await?;
        cluster.until_processed(processed + 1_000).await?;
    }
    cluster.until_completed().await?;
    must_be_equal(&calm, &clinic).await
}

/// Waits until two sessions hold a snapshot.
async fn until_shared(cluster: &Cluster, clinic: &Clinic) -> Result<()> {
    let held = "select count(*) from pg_stat_activity where datname = current_database()
        and state = 'idle in transaction' and (query ~ '(pg_export|txid_current)_snapshot' or query = 'select 1')
        and pid <> pg_backend_pid()";
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while clinic.legacy.number(held).await? < 2 {
        ensure!(tokio::time::Instant::now() < deadline, "{}", cluster.logs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
