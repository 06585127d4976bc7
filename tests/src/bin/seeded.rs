//! Seeded corruption at scale: migrates a clinic, validates it, corrupts it, validates it again, and says what
//! was found and what it cost beside the load.
//!
//! `seeded [SCALE [COUNT [SEED]]]`: a clinic of 250,000 rows times SCALE (1), COUNT (500) things done to it. Ends
//! with 1 where a thing was not found, or something that was not done was. `DROVER_BINARY` names the binary.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use anyhow::{Context, Result, ensure};
use drover_tests::clinic::Clinic;
use drover_tests::corruption::{Corruption, corrupt};
use drover_tests::drover::{self, Outcome};
use serde_json::Value;

fn argument(at: usize, default: &str) -> String {
    std::env::args()
        .nth(at)
        .unwrap_or_else(|| default.to_owned())
}

#[tokio::main]
async fn main() -> Result<()> {
    let (scale, count, seed) = (argument(1, "1"), argument(2, "500"), argument(3, "1"));
    let clinic = Clinic::new(&scale).await?;
    let rows = clinic.legacy_rows().await?;
    println!("{rows} rows at the source");
    let (load, outcome) = timed(&clinic, &["run", &clinic.plan()]).await?;
    ensure!(outcome.code == Some(0), "{}", outcome.stderr);
    println!("load: {:.1} s", load.as_secs_f64());

    let (calm, outcome) = validate(&clinic).await?;
    let nothing = outcome.json();
    report("validation of a clean copy", calm, load);
    slowest(&nothing);
    ensure!(
        outcome.code == Some(0),
        "{}\n{}",
        outcome.stdout,
        outcome.stderr
    );
    ensure!(findings(&nothing).is_empty(), "found where nothing is");

    let seeded = corrupt(&clinic.app, count.parse()?, seed.parse()?).await?;
    let (found_in, outcome) = validate(&clinic).await?;
    report("validation of a corrupted copy", found_in, load);
    ensure!(
        outcome.code == Some(9),
        "{:?} {}",
        outcome.code,
        outcome.stderr
    );
    let found = findings(&outcome.json());
    let expected: BTreeSet<_> = seeded.iter().map(Corruption::finding).collect();
    for what in seeded.iter().map(|one| one.what).collect::<BTreeSet<_>>() {
        let of_kind: Vec<&Corruption> = seeded.iter().filter(|one| one.what == what).collect();
        let hit = of_kind.iter().filter(|one| found.contains(&one.finding()));
        println!("  {what}: {} of {} found", hit.count(), of_kind.len());
    }
    let hit = expected.intersection(&found).count();
    let more = found.difference(&expected).count();
    println!(
        "{hit} of {} found, {more} found that were not done",
        expected.len()
    );
    ensure!(
        hit == expected.len() && more == 0,
        "{:#?}",
        found.symmetric_difference(&expected)
    );
    Ok(())
}

async fn validate(clinic: &Clinic) -> Result<(Duration, Outcome)> {
    let args = [
        "validation",
        "start",
        "demo-clinic",
        "--local",
        "--level",
        "full",
        "-o",
        "json",
    ];
    timed(clinic, &args).await
}

async fn timed(clinic: &Clinic, args: &[&str]) -> Result<(Duration, Outcome)> {
    let begun = Instant::now();
    let child = drover::command(args, &clinic.env())
        .spawn()
        .context("start drover")?;
    let output = child.wait_with_output().await?;
    let outcome = Outcome {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    Ok((begun.elapsed(), outcome))
}

fn report(what: &str, took: Duration, load: Duration) {
    let share = took.as_secs_f64() / load.as_secs_f64();
    println!(
        "{what}: {:.1} s, {share:.2} of the load",
        took.as_secs_f64()
    );
}

/// Seconds of agents' time for each kind of check.
fn slowest(results: &Value) {
    let mut times = std::collections::BTreeMap::<String, f64>::new();
    for result in results["items"].as_array().into_iter().flatten() {
        let check = result["validation_criteria"]["check"]
            .as_str()
            .unwrap_or_default();
        let took = result["execution_duration_ms"].as_f64().unwrap_or_default();
        *times.entry(check.to_owned()).or_default() += took / 1000.0;
    }
    for (check, seconds) in times {
        println!("  {check}: {seconds:.1} s in lanes");
    }
}

/// What contents' checks found: entity, kind, key.
fn findings(results: &Value) -> BTreeSet<(String, String, String)> {
    let mut all = BTreeSet::new();
    for result in results["items"].as_array().into_iter().flatten() {
        if result["validation_criteria"]["check"] != "content" {
            continue;
        }
        let findings = result["issue_details"]["findings"].as_array();
        for finding in findings.into_iter().flatten() {
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let id = [&finding["destination_id"], &finding["source_id"]];
            let id = id.into_iter().map(word).find(|id| !id.is_empty());
            all.insert((
                word(&result["entity"]),
                word(&finding["kind"]),
                id.unwrap_or_default(),
            ));
        }
    }
    all
}
