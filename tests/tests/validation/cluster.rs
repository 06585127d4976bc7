//! A validation over gRPC: handed out to agents, going on whatever dies.

use anyhow::{Result, ensure};
use drover_tests::clinic::Clinic;
use drover_tests::cluster::Cluster;
use drover_tests::corruption::corrupt;

use super::{found, results};

const AGENTS: [(&str, &str); 2] = [("eu-1", "eu"), ("eu-2", "eu")];

#[tokio::test]
async fn a_cluster_validates_what_it_copied_whoever_dies_meanwhile() -> Result<()> {
    let clinic = Clinic::new("0.2").await?;
    // Slow enough to be disturbed: the rate holds for the load and for the comparison.
    clinic.edit_plan(
        "max_retries: 5}",
        "max_retries: 5, max_rows_per_second: 40000}",
    )?;
    let mut cluster = Cluster::start(&AGENTS, clinic.env()).await?;
    cluster
        .json(&["migration", "create", "-f", &clinic.plan()])
        .await?;
    let early = cluster
        .drover(&["validation", "start", "demo-clinic"])
        .await?;
    ensure!(early.code == Some(4), "{:?} {}", early.code, early.stderr);
    cluster.json(&["migration", "start", "demo-clinic"]).await?;
    cluster.until_completed().await?;
    let none = cluster
        .drover(&["validation", "get", "demo-clinic"])
        .await?;
    ensure!(none.code == Some(3), "{:?} {}", none.code, none.stderr);

    let seeded = corrupt(&clinic.app, 24, 3).await?;
    let started = cluster
        .json(&["validation", "start", "demo-clinic", "--level", "full"])
        .await?;
    ensure!(started["status"] == "running", "{started}");
    let twice = cluster
        .drover(&["validation", "start", "demo-clinic"])
        .await?;
    ensure!(twice.code == Some(4), "{:?} {}", twice.code, twice.stderr);
    let done = "select count(*) from drover_meta.validation_unit where done_at is not null";
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(120);
    let in_time = || tokio::time::Instant::now() < deadline;
    while cluster.metadata.number(done).await? < 3 {
        ensure!(in_time(), "no piece was done\n{}", cluster.logs());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    cluster.agent("eu-1").kill().await?;
    cluster.restart_controller().await?;
    let finished = loop {
        let found = cluster.json(&["validation", "get", "demo-clinic"]).await?;
        if found["validation"]["status"] != "running" {
            break found;
        }
        ensure!(in_time(), "{found:#}\n{}", cluster.logs());
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    };
    ensure!(
        finished["validation"]["status"] == "completed",
        "{:#}\n{}",
        finished["validation"],
        cluster.logs()
    );
    ensure!(
        finished["validation"]["outcome"] == "failed",
        "{finished:#}"
    );
    let contents: Vec<_> = finished["results"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|result| result["validation_criteria"]["check"] == "content")
        .cloned()
        .collect();
    let expected = seeded
        .iter()
        .map(|corruption| corruption.finding())
        .collect();
    ensure!(
        found(&contents) == expected,
        "{:#?}\n{expected:#?}",
        found(&contents)
    );
    let diff = cluster
        .json(&["validation", "diff", "demo-clinic", "--entity", "orders"])
        .await?;
    let rows = diff["items"].as_array().map_or(0, Vec::len);
    ensure!(rows >= 6, "{rows}");

    // One entity alone, waited for; and one that somebody ends.
    let start = [
        "validation",
        "start",
        "demo-clinic",
        "--entity",
        "offices",
        "--wait",
        "-o",
        "json",
    ];
    let waited = cluster.drover(&start).await?;
    ensure!(waited.code == Some(0), "{}", waited.stderr);
    ensure!(
        results(&waited)
            .iter()
            .all(|result| result["entity"] == "offices")
    );
    cluster
        .json(&["validation", "start", "demo-clinic"])
        .await?;
    let cancelled = cluster
        .json(&["validation", "cancel", "demo-clinic"])
        .await?;
    ensure!(cancelled["status"] == "cancelled", "{cancelled}");
    let list = cluster.json(&["validation", "list", "demo-clinic"]).await?;
    ensure!(
        list["items"].as_array().map(Vec::len) == Some(3),
        "{list:#}"
    );
    Ok(())
}
