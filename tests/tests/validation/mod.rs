//! Validation: what was copied is compared with what should have been, and whatever is wrong is found.

mod checks;
mod cluster;
mod corruption;
mod strangers;
mod types;
mod work;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use drover_tests::clinic::Clinic;
use drover_tests::drover::{self, Outcome};
use serde_json::Value;

/// Validates a clinic in a process of its own.
async fn validate(clinic: &Clinic, args: &[&str]) -> Result<Outcome> {
    let start = [
        "validation",
        "start",
        "demo-clinic",
        "--local",
        "-o",
        "json",
    ];
    let args: Vec<&str> = start.iter().chain(args).copied().collect();
    drover::run(&args, &clinic.env()).await
}

/// Migrates a clinic.
async fn migrated(scale: &str) -> Result<Clinic> {
    let clinic = Clinic::new(scale).await?;
    let outcome = drover::run(&["run", &clinic.plan()], &clinic.env()).await?;
    ensure!(outcome.code == Some(0), "{}", outcome.stderr);
    Ok(clinic)
}

/// The results that a command printed.
fn results(outcome: &Outcome) -> Vec<Value> {
    outcome.json()["items"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

/// The result of a check of an entity.
fn result<'a>(results: &'a [Value], entity: &str, check: &str) -> &'a Value {
    let found = results.iter().find(|result| {
        result["entity"] == entity && result["validation_criteria"]["check"] == check
    });
    found.unwrap_or_else(|| panic!("no {check} of {entity} in {results:#?}"))
}

/// Everything that was found: entity, kind, and a key of the row.
fn found(results: &[Value]) -> BTreeSet<(String, String, String)> {
    let mut all = BTreeSet::new();
    for result in results {
        let findings = result["issue_details"]["findings"].as_array();
        for finding in findings.into_iter().flatten() {
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let key = match &finding["destination_id"] {
                Value::String(key) => key.clone(),
                _ => word(&finding["source_id"]),
            };
            all.insert((word(&result["entity"]), word(&finding["kind"]), key));
        }
    }
    all
}
