//! Changes of a schema on real servers: made, taken back, and everything as it was.

mod cleanup;
mod kill;
mod lint;
mod load;
mod refusals;
mod remote;
mod risks;

use anyhow::{Result, ensure};
use drover_tests::catalog::{catalog, contents, differences};
use drover_tests::drover::{self, Outcome};
use drover_tests::pair::Pair;

/// A plan of schema changes alone; an item each.
pub fn cleanup_plan(changes: &[String]) -> String {
    format!(
        "version: 1
name: pair
migration_type: schema_cleanup
namespace: 6f1b6c0e-6b3e-5d0a-9a53-0c7d3b5f9e11
source: {{connection: legacy}}
destination: {{connection: app, mode: postgres}}
schema_changes:
{}",
        changes
            .iter()
            .map(|change| format!("- {{{change}, when: cleanup}}\n"))
            .collect::<String>()
    )
}

/// What a database holds beside Drover's own.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub catalog: Vec<String>,
    pub contents: Vec<String>,
}

pub async fn state(pair: &Pair) -> Result<State> {
    Ok(State {
        catalog: catalog(&pair.app).await?,
        contents: contents(&pair.app).await?,
    })
}

/// The destination is as it was, by name: a column that came back stands behind the others.
pub async fn must_be(pair: &Pair, before: &State) -> Result<()> {
    let after = state(pair).await?;
    let lines = differences(&before.catalog, &after.catalog);
    ensure!(lines.is_empty(), "{}", lines.join("\n"));
    let lines = differences(&before.contents, &after.contents);
    ensure!(lines.is_empty(), "{}", lines.join("\n"));
    let backups = "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace \
                   where n.nspname = 'drover_backup' and c.relkind = 'r'";
    ensure!(pair.app.number(backups).await? == 0, "backups are left");
    Ok(())
}

/// Runs `drover schema …` on this machine.
pub async fn schema(pair: &Pair, args: &[&str]) -> Result<Outcome> {
    let args: Vec<&str> = ["schema"]
        .iter()
        .chain(args)
        .chain(&["--local"])
        .copied()
        .collect();
    drover::run(&args, &pair.env()).await
}

/// Likewise, and it must end well.
pub async fn must(pair: &Pair, args: &[&str]) -> Result<Outcome> {
    let outcome = schema(pair, args).await?;
    ensure!(
        outcome.code == Some(0),
        "{args:?}: {:?}\n{}\n{}",
        outcome.code,
        outcome.stdout,
        outcome.stderr
    );
    Ok(outcome)
}

/// Runs the plan file, which must end with this exit code.
pub async fn run(pair: &Pair, plan: &str, code: i32) -> Result<Outcome> {
    let path = pair.write_as("cleanup.yaml", plan)?;
    let outcome = drover::run(&["run", &path], &pair.env()).await?;
    ensure!(
        outcome.code == Some(code),
        "{:?}\n{}\n{}",
        outcome.code,
        outcome.stdout,
        outcome.stderr
    );
    Ok(outcome)
}

/// Flags that confirm everything that is shown to need it.
pub fn confirmations(drafted: &serde_json::Value) -> Vec<String> {
    let items = drafted["items"].as_array().cloned().unwrap_or_default();
    let mut names: Vec<String> = items
        .iter()
        .filter_map(|change| change["confirmation"].as_str())
        .filter_map(|flags| {
            flags
                .split_once("--confirm ")
                .map(|(_, name)| name.to_owned())
        })
        .map(|name| match name.strip_prefix('\'') {
            Some(quoted) => quoted.trim_end_matches('\'').replace(r"'\''", "'"),
            None => name,
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// `schema apply` with these confirmations.
pub async fn apply_all(pair: &Pair, names: &[String]) -> Result<Outcome> {
    let mut args = vec!["apply", "pair", "--yes"];
    for name in names {
        args.extend(["--confirm", name]);
    }
    must(pair, &args).await
}
