//! Seeded corruption: whatever is changed at the destination behind our back is found, and nothing else.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use drover_tests::clinic::Clinic;
use drover_tests::corruption::{Corruption, corrupt};
use drover_tests::drover;

use super::{found, migrated, result, results, validate};

#[tokio::test]
async fn a_completed_migration_has_no_unexplained_difference() -> Result<()> {
    let clinic = migrated("0.05").await?;
    let before = clinic.digest(&[]).await?;
    let outcome = validate(&clinic, &[]).await?;
    assert_eq!(
        outcome.code,
        Some(0),
        "{}\n{}",
        outcome.stdout,
        outcome.stderr
    );
    let results = results(&outcome);
    // Eleven entities, each with rows, contents, references and ids, and the plan's own checks.
    assert!(results.len() >= 44, "{}", results.len());
    for result in &results {
        assert_eq!(result["status"], "passed", "{result:#}");
        assert_eq!(result["issues_found"], 0, "{result:#}");
    }
    for entity in ["offices", "patients", "orders", "project_members"] {
        let content = result(&results, entity, "content");
        let target = clinic
            .app
            .number(&format!("select count(*) from {entity}"))
            .await?;
        assert_eq!(
            content["records_validated"].as_i64(),
            Some(target),
            "{entity}"
        );
        assert_eq!(content["validation_criteria"]["level"], "full");
    }
    assert_eq!(clinic.digest(&[]).await?, before, "nothing was written");
    // Told apart by sketches alone: no row had to be looked up.
    let looked_up = "select count(*) from drover_meta.validation_unit where question -> 'ask' ?| array['compare', 'explain']";
    assert_eq!(clinic.app.number(looked_up).await?, 0);
    Ok(())
}

#[tokio::test]
async fn seeded_corruption_is_found_row_by_row_and_nothing_else_is() -> Result<()> {
    let clinic = migrated("0.05").await?;
    let seeded = corrupt(&clinic.app, 48, 7).await?;
    let outcome = validate(&clinic, &["--level", "full"]).await?;
    assert_eq!(
        outcome.code,
        Some(9),
        "{}\n{}",
        outcome.stdout,
        outcome.stderr
    );
    let results = results(&outcome);
    let contents: Vec<_> = results
        .iter()
        .filter(|result| result["validation_criteria"]["check"] == "content")
        .cloned()
        .collect();
    let expected: BTreeSet<_> = seeded.iter().map(Corruption::finding).collect();
    assert_eq!(found(&contents), expected);
    for kind in ["missing", "extra", "mismatched"] {
        assert!(
            expected.iter().any(|finding| finding.1 == kind),
            "{kind} is seeded"
        );
    }
    // A changed column is named; no value is.
    for corruption in &seeded {
        let Some(column) = &corruption.column else {
            continue;
        };
        let content = result(&results, &corruption.table, "content");
        let findings = content["issue_details"]["findings"]
            .as_array()
            .context("findings")?;
        let of_row = findings
            .iter()
            .find(|finding| finding["destination_id"] == corruption.key);
        let columns = &of_row.context("the row")?["columns"];
        assert_eq!(*columns, serde_json::json!([column]), "{corruption:?}");
    }
    for text in [&outcome.stdout, &outcome.stderr] {
        assert!(!text.contains("corrupted"), "a value is told");
    }
    shows_the_same(&clinic, expected.len()).await
}

/// `get`, `list` and `diff` show what was stored.
async fn shows_the_same(clinic: &Clinic, rows: usize) -> Result<()> {
    let env = clinic.env();
    let ask = |verb: &'static str, format: &'static str| {
        let env = env.clone();
        async move {
            let args = ["validation", verb, "demo-clinic", "--local", "-o", format];
            drover::run(&args, &env).await
        }
    };
    let diff = ask("diff", "json").await?;
    assert_eq!(diff.code, Some(0), "{}", diff.stderr);
    let items = diff.json()["items"].as_array().cloned().unwrap_or_default();
    let of_content = items
        .iter()
        .filter(|item| item["check"] == "content full")
        .count();
    assert_eq!(of_content, rows);
    let table = ask("diff", "table").await?;
    assert!(table.stdout.contains("SOURCE-KEY"), "{}", table.stdout);
    let get = ask("get", "json").await?.json();
    assert_eq!(get["validation"]["status"], "completed");
    assert_eq!(get["validation"]["outcome"], "failed");
    assert_eq!(
        get["validation"]["units_done"],
        get["validation"]["units_total"]
    );
    let list = ask("list", "json").await?.json();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    Ok(())
}

#[tokio::test]
async fn a_sample_and_sums_find_what_they_can() -> Result<()> {
    let clinic = migrated("0.01").await?;
    clinic
        .app
        .run("update products set price = price + 1; delete from project_members where true")
        .await?;
    for (level, expected) in [("counts", 0), ("aggregates", 9), ("sample:40", 9)] {
        let outcome = validate(&clinic, &["--level", level, "--entity", "products"]).await?;
        assert_eq!(outcome.code, Some(expected), "{level} {}", outcome.stdout);
    }
    let outcome = validate(
        &clinic,
        &["--level", "counts", "--entity", "project_members"],
    )
    .await?;
    assert_eq!(outcome.code, Some(9), "{}", outcome.stdout);
    Ok(())
}
