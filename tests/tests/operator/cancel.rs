//! Cancel, finalize, delete: each is seen, done once, and refused where it does not fit.

use anyhow::{Result, ensure};

use super::*;

const SLOW: &str =
    "defaults: {max_quarantined: 100%, batch_size: 20}\nlimits: {max_rows_per_second: 300}";

#[tokio::test]
async fn a_cancelled_migration_writes_nothing_more_and_says_what_can_be_done() -> Result<()> {
    let (pair, path) = shop(SLOW).await?;
    let mut cluster = started(&pair, &path).await?;
    cluster.until_processed(200).await?;
    let etag = {
        let get = cluster.json(&["migration", "get", "pair"]).await?;
        format!("{}-{}", get["attempt"], get["generation"])
    };
    let cancel = ["migration", "cancel", "pair", "--confirm", "pair"];
    let stale = cluster
        .drover(&[&cancel[..], &["--etag", "1-0"]].concat())
        .await?;
    let stale = must(stale, 4, &cluster)?;
    ensure!(stale.stderr.contains("changed"), "{}", stale.stderr);
    must(
        cluster.drover(&["migration", "cancel", "pair"]).await?,
        2,
        &cluster,
    )?;
    cluster.agent("eu-2").freeze()?;
    let number = "019394c2-5b1e-7d3a-9c55-6f1f0a2b8e44";
    let guarded = [
        "--etag",
        &etag,
        "--request-id",
        number,
        "--wait",
        "--deadline",
        "3s",
    ];
    must(
        cluster.drover(&[&cancel[..], &guarded].concat()).await?,
        0,
        &cluster,
    )?;
    let before = batches(&pair, "%").await?;
    cluster.agent("eu-2").thaw()?;
    cluster.until_agents(2).await?;
    // The same request again is answered, and does nothing.
    let again = ["--etag", &etag, "--request-id", number, "--deadline", "3s"];
    must(
        cluster.drover(&[&cancel[..], &again].concat()).await?,
        0,
        &cluster,
    )?;
    assert_eq!(batches(&pair, "%").await?, before);
    ensure!(
        before > 0 && !rows(&pair).await?.is_empty(),
        "its rows stay"
    );
    let get = cluster.json(&["migration", "get", "pair"]).await?;
    assert_eq!(
        (&get["status"], &get["activity_reason"]),
        (&"failed".into(), &"cancelled".into())
    );
    ensure!(
        get["next_steps"].to_string().contains("rollback pair"),
        "{get}"
    );
    for verb in ["start", "pause", "resume"] {
        let refused = must(
            cluster.drover(&["migration", verb, "pair"]).await?,
            4,
            &cluster,
        )?;
        ensure!(
            refused
                .stderr
                .contains("legal now: rollback, finalize, delete"),
            "{verb}: {}",
            refused.stderr
        );
    }
    let finalize = ["migration", "finalize", "pair", "--yes"];
    must(cluster.drover(&finalize).await?, 0, &cluster)?;
    must(cluster.drover(&finalize).await?, 0, &cluster)?;
    let get = cluster.json(&["migration", "get", "pair"]).await?;
    ensure!(get["finalized_at"].is_string(), "{get}");
    let refused = must(
        cluster.drover(&["migration", "pause", "pair"]).await?,
        4,
        &cluster,
    )?;
    ensure!(
        refused.stderr.contains("legal now: delete"),
        "{}",
        refused.stderr
    );
    let delete = ["migration", "delete", "pair", "--yes", "--confirm", "pair"];
    must(cluster.drover(&delete).await?, 0, &cluster)?;
    must(
        cluster.drover(&["migration", "get", "pair"]).await?,
        3,
        &cluster,
    )?;
    Ok(())
}

#[tokio::test]
async fn a_blocked_migration_can_be_cancelled_though_it_could_not_go_on() -> Result<()> {
    let (pair, path) = shop("defaults: {max_quarantined: 0}").await?;
    let cluster = started(&pair, &path).await?;
    until(&cluster, "blocked").await?;
    let cancel = ["migration", "cancel", "pair", "--yes", "--wait"];
    must(cluster.drover(&cancel).await?, 0, &cluster)?;
    let get = cluster.json(&["migration", "get", "pair"]).await?;
    assert_eq!(get["status"], "failed", "{get}");
    let entities = cluster.json(&["entity", "list", "pair"]).await?;
    ensure!(!entities.to_string().contains("\"running\""), "{entities}");
    Ok(())
}
