//! squawk, an independent linter of migrations, looks at every statement that is generated.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use drover_tests::clients::python_program;
use drover_tests::drover;

use super::risks::{CASES, world};

/// Exceptions: the rule, what it may say it of (operations and their ways back), and why it is no fault.
const EXCEPTIONS: &[(&str, &[&str], &str)] = &[
    (
        "prefer-robust-stmts",
        &[""],
        "IF EXISTS would hide that a schema is not what the journal says; a step and its mark in the journal commit together instead",
    ),
    (
        "prefer-text-field",
        &["add_column", "modify_column", "drop_column-rollback"],
        "the type is the plan's, or the one that the column had",
    ),
    (
        "prefer-bigint-over-int",
        &["add_column", "modify_column", "drop_column-rollback"],
        "the type is the plan's, or the one that the column had",
    ),
    (
        "prefer-timestamp-tz",
        &["modify_column-rollback"],
        "the type is the one that the column had",
    ),
    (
        "adding-field-with-default",
        &["add_column-operation", "drop_column-rollback"],
        "the rewrite is known: medium or high risk, confirmed by name; or a generated column comes back",
    ),
    (
        "adding-required-field",
        &["add_column-operation"],
        "refused unless the table has no rows",
    ),
    (
        "adding-serial-primary-key-field",
        &["create_backup-operation"],
        "the table is made in the same transaction: nobody sees it yet",
    ),
    (
        "constraint-missing-not-valid",
        &["create_backup-operation"],
        "the table is made in the same transaction: nobody sees it yet",
    ),
    (
        "require-concurrent-index-creation",
        &["create_backup-operation"],
        "the table is made in the same transaction: nobody sees it yet",
    ),
    (
        "ban-drop-table",
        &["create_backup-rollback"],
        "it is Drover's own copy, in a schema that no client knows",
    ),
    (
        "ban-drop-column",
        &["drop_column-operation", "add_column-rollback"],
        "the plan asks for it; medium risk at least, backed up and verified",
    ),
    (
        "changing-column-type",
        &["modify_column"],
        "the plan asks for it; a rewrite is of high risk and confirmed by name",
    ),
    (
        "ban-drop-not-null",
        &["modify_column"],
        "the plan asks for it, and it is of medium risk; or it takes NOT NULL back",
    ),
    (
        "adding-not-nullable-field",
        &["modify_column", "drop_column-rollback"],
        "a check that was validated before proves it without a scan, which the linter cannot see",
    ),
    (
        "ban-drop-constraint",
        &[
            "drop_constraint-operation",
            "add_constraint-rollback",
            "modify_column",
            "drop_column-rollback",
        ],
        "the plan asks for it; or it is the check that proved NOT NULL",
    ),
    (
        "ban-drop-default",
        &["modify_column"],
        "the plan asks for it; or the default is away while the type changes, and set again in the same transaction",
    ),
    (
        "renaming-column",
        &["modify_column"],
        "the plan asks for it; high risk, confirmed by name",
    ),
    (
        "ban-alter-identity",
        &["drop_column-rollback"],
        "the column numbers rows again as it did before it was dropped",
    ),
];

/// What the executor sets before each step.
const LIMITS: &str = "set lock_timeout = '2s';\nset statement_timeout = '5s';\n";

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
            let kind = operation["operation_type"].as_str().context("a type")?;
            for (part, field) in [("operation", "operation_sql"), ("rollback", "rollback_sql")] {
                let file = format!("{at:02}.{number}.{kind}-{part}.sql");
                let sql = operation[field].as_str().context("a script")?;
                std::fs::write(dir.path().join(&file), format!("{LIMITS}{sql}\n"))?;
                files.push(file);
            }
        }
    }
    let mut command = Command::new(squawk);
    command
        .args(["--reporter", "gcc", "--pg-version", "15.0"])
        .args(&files);
    let output = command.current_dir(dir.path()).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        said.contains("prefer-robust-stmts"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let faults: Vec<&str> = said.lines().filter(|line| !is_excepted(line)).collect();
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// `FILE:LINE:COLUMN: warning: RULE words`.
fn is_excepted(line: &str) -> bool {
    let Some((place, words)) = line.split_once(": warning: ") else {
        return false;
    };
    let rule = words.split(' ').next().unwrap_or_default();
    let kind = place.split('.').nth(2).unwrap_or_default();
    EXCEPTIONS.iter().any(|(known, kinds, reason)| {
        *known == rule && !reason.is_empty() && kinds.iter().any(|one| kind.starts_with(one))
    })
}
