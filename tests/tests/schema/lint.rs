//! squawk, an independent linter of migrations, looks at every statement that is generated.

use std::process::Command;

use anyhow::{Result, ensure};
use drover_tests::clients::python_program;
use drover_tests::drover;

use super::risks::{CASES, world};

/// Rules that do not fit, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "prefer-robust-statements",
        "IF EXISTS would hide that a schema is not what the journal says; steps commit with their mark instead",
    ),
    (
        "require-timeout-settings",
        "the session sets lock_timeout and statement_timeout for each step",
    ),
];

#[tokio::test]
async fn squawk_has_nothing_to_say_about_generated_statements() -> Result<()> {
    let squawk = python_program("squawk").await?;
    let (pair, plan) = world().await?;
    let path = pair.write_as("cleanup.yaml", &plan)?;
    let planned = drover::run(
        &["schema", "plan", "-f", &path, "--local", "-o", "json"],
        &pair.env(),
    )
    .await?;
    ensure!(planned.code == Some(0), "{}", planned.stderr);
    let planned = planned.json();
    let dir = tempfile::tempdir()?;
    let mut files = Vec::new();
    for (at, case) in CASES.iter().enumerate() {
        let operations = planned["items"][at]["operations"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        ensure!(!operations.is_empty(), "{}", case.about);
        for (number, operation) in operations.iter().enumerate() {
            for part in ["operation_sql", "rollback_sql"] {
                let file = dir.path().join(format!("{at:02}-{number}-{part}.sql"));
                std::fs::write(&file, operation[part].as_str().unwrap_or_default())?;
                files.push(file);
            }
        }
    }
    let mut command = Command::new(squawk);
    let rules: Vec<&str> = EXCEPTIONS.iter().map(|(rule, _)| *rule).collect();
    command.arg("--exclude").arg(rules.join(",")).args([
        "--reporter",
        "gcc",
        "--pg-version",
        "15.0",
    ]);
    let output = command.args(&files).current_dir(dir.path()).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
