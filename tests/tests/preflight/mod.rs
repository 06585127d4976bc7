//! `drover migration plan`: what it says beforehand is what happens, and it leaves nothing.

mod checks;
mod rights;
mod sample;

use anyhow::{Result, ensure};
use drover_tests::drover::{self, Outcome};
use drover_tests::pg::{PASSWORD, TestDatabase};
use serde_json::Value;
use uuid::Uuid;

/// The preflight of a plan file, from this machine; `code` is how it must end.
pub async fn preflight(
    env: &[(String, String)],
    plan: &str,
    more: &[&str],
    code: i32,
) -> Result<Value> {
    let outcome = plan_locally(env, plan, &[more, &["-o", "json"]].concat()).await?;
    ensure!(
        outcome.code == Some(code),
        "{:?}\n{}\n{}",
        outcome.code,
        outcome.stdout,
        outcome.stderr
    );
    Ok(outcome.json())
}

/// `drover migration plan --local` of a plan file.
pub async fn plan_locally(env: &[(String, String)], plan: &str, more: &[&str]) -> Result<Outcome> {
    let args = ["migration", "plan", "--local", "-f", plan];
    drover::run(&[&args, more].concat(), env).await
}

/// Verdict and words of a check.
#[track_caller]
pub fn check<'a>(found: &'a Value, place: &str, name: &str) -> (&'a str, &'a str) {
    let checks = found["checks"].as_array().expect("checks");
    let check = checks
        .iter()
        .find(|check| check["place"] == place && check["name"] == name);
    let check = check.unwrap_or_else(|| panic!("no check {place} {name}: {found}"));
    let text = |key: &str| check[key].as_str().unwrap_or_default();
    (text("verdict"), text("found"))
}

/// A role that may log in and nothing else; its name.
pub async fn new_role(database: &TestDatabase) -> Result<String> {
    let role = format!("r_{}", Uuid::new_v4().simple());
    let sql = format!("create role {role} login password '{PASSWORD}'");
    database.run(&sql).await?;
    Ok(role)
}

/// The database's URL for another role.
pub fn url_as(database: &TestDatabase, role: &str) -> String {
    database
        .url()
        .replace("postgres://postgres:", &format!("postgres://{role}:"))
}
