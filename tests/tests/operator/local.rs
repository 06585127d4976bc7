//! The same commands without a controller: whoever runs the migration heeds them, else they are done at once.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};

use super::*;

const SLOW: &str =
    "defaults: {max_quarantined: 100%, batch_size: 20}\nlimits: {max_rows_per_second: 300}";

/// Waits until a run has written something.
async fn until_written(pair: &Pair, more_than: i64) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let installed = "select count(*) from pg_class where relname = 'ledger' and relnamespace = to_regnamespace('drover')";
    while pair.app.number(installed).await? == 0 || batches(pair, "%").await? <= more_than {
        ensure!(Instant::now() < deadline, "nothing is written");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_run_on_this_machine_is_paused_goes_on_and_is_cancelled() -> Result<()> {
    let (pair, path) = shop(SLOW).await?;
    let child = drover::command(&["run", &path], &pair.env()).spawn()?;
    until_written(&pair, 2).await?;
    let paused = here(
        &pair,
        &["migration", "pause", "pair", "--wait", "-o", "json"],
        0,
    )
    .await?;
    assert_eq!(paused.json()["activity"], "paused");
    let before = batches(&pair, "%").await?;
    let ended = drover::finish(child).await?;
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    ensure!(
        ended.stderr.contains("paused by an operator"),
        "{}",
        ended.stderr
    );
    assert_eq!(batches(&pair, "%").await?, before);
    let get = here(&pair, &["migration", "get", "pair"], 0).await?;
    ensure!(
        get.stderr.contains("next: drover run PLAN"),
        "{}",
        get.stderr
    );

    // Running it again is to let it go on; it is killed then, and stopped without it.
    let mut child = drover::command(&["run", &path], &pair.env()).spawn()?;
    until_written(&pair, before + 2).await?;
    child.kill().await?;
    let again = here(&pair, &["migration", "pause", "pair", "-o", "json"], 0).await?;
    assert_eq!(again.json()["activity"], "paused");

    let child = drover::command(&["run", &path], &pair.env()).spawn()?;
    until_written(&pair, batches(&pair, "%").await?).await?;
    let cancel = [
        "migration",
        "cancel",
        "pair",
        "--yes",
        "--wait",
        "-o",
        "json",
    ];
    let cancelled = here(&pair, &cancel, 0).await?;
    assert_eq!(cancelled.json()["status"], "failed");
    let after = batches(&pair, "%").await?;
    let ended = drover::finish(child).await?;
    assert_eq!(ended.code, Some(8), "{}", ended.stderr);
    assert_eq!(batches(&pair, "%").await?, after);
    let refused = here(&pair, &["migration", "pause", "pair"], 4).await?;
    ensure!(
        refused
            .stderr
            .contains("legal now: rollback, finalize, delete"),
        "{}",
        refused.stderr
    );
    here(&pair, &["migration", "finalize", "pair", "--yes"], 0).await?;
    here(
        &pair,
        &["migration", "delete", "pair", "--yes", "--confirm", "pair"],
        0,
    )
    .await?;
    here(&pair, &["migration", "get", "pair"], 3).await?;
    Ok(())
}
