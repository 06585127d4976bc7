//! `kill -9` during a rollback, again and again, from every state a migration can be in: the destination is as
//! it was before, and the same migration made again is the same.
//!
//! `DROVER_ROLLBACK_RUNS`, `DROVER_ROLLBACK_SCALE` and `DROVER_ROLLBACK_SEED` make it as large as wanted; the seed
//! is printed.

use std::time::Duration;

use anyhow::{Result, ensure};
use drover_tests::clinic::Clinic;
use drover_tests::drover;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use super::{must_be, state};

/// Kills of one rollback, at least.
const KILLS: u32 = 3;

/// The states a rollback can begin in; how the records of a killed run get there.
const STATES: [(&str, &str); 5] = [
    ("running", ""),
    (
        "paused",
        "update drover_meta.migration_orchestration set activity = 'pausing';
         update drover_meta.migration_orchestration set activity = 'paused'",
    ),
    (
        "blocked",
        "update drover_meta.migration_orchestration set activity = 'blocked', activity_reason = 'a test', activity_hint = 'none'",
    ),
    (
        "cancelled",
        "update drover_meta.migration_orchestration set status = 'failed', activity = null, activity_reason = 'cancelled', activity_hint = null",
    ),
    ("completed", ""),
];

/// Rows that are there before: their tables keep their keys and go row by row.
const ROWS: &str = "
    insert into offices (id, code, name, region, address) values (gen_random_uuid(), 'x-1', 'of before', 'west', 'here');
    insert into profiles (id, email, display_name, role, active, joined_at)
        values (gen_random_uuid(), 'before@example.org', 'of before', 'staff', true, now());
    insert into products (id, sku, name, category, price, currency, sizes, active, created_at)
        values (-1, 'x-1', 'of before', 'kit', 1, 'EUR', '{}', true, now());
    insert into patients (id, created_by, full_name, status, balance, vip, registered_at)
        select gen_random_uuid(), id, 'of before', 'active', 0, false, now() from profiles;
    insert into comments (id, topic, kind, body, created_at) values (gen_random_uuid(), 't', 'note', 'of before', now())";

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[tokio::test]
async fn a_killed_rollback_ends_like_an_undisturbed_one() -> Result<()> {
    let scale: String = setting("DROVER_ROLLBACK_SCALE", "0.1".to_owned());
    let runs: usize = setting("DROVER_ROLLBACK_RUNS", STATES.len());
    let seed: u64 = setting("DROVER_ROLLBACK_SEED", rand::random());
    println!("scale {scale}, {runs} runs, DROVER_ROLLBACK_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let calm = Clinic::new(&scale).await?;
    let before = state(&calm.app).await?;
    let begun = Instant::now();
    let outcome = drover::run(&["run", &calm.plan()], &calm.env()).await?;
    ensure!(outcome.code == Some(0), "{}", outcome.stderr);
    let length = begun.elapsed();
    let begun = Instant::now();
    let undo = [
        "migration",
        "rollback",
        "demo-clinic",
        "--local",
        "--confirm",
        "demo-clinic",
    ];
    let outcome = drover::run(&undo, &calm.env()).await?;
    ensure!(outcome.code == Some(0), "{}", outcome.stderr);
    let undo_length = begun.elapsed();
    must_be(&state(&calm.app).await?, &before)?;
    for run in 1..=runs {
        let (name, sql) = STATES[(run - 1) % STATES.len()];
        let clinic = calm.with_fresh_target().await?;
        let has_rows = run % 2 == 0;
        if has_rows {
            clinic.app.run(ROWS).await?;
        }
        let before = state(&clinic.app).await?;
        // One that ended before it was killed three times is equal, too, and does not count.
        let mut kills = 0;
        let mut patience = undo_length;
        while kills < KILLS {
            bring_to(&clinic, (name, sql), (length, &mut random)).await?;
            kills = kill_until_done(&clinic, &undo, (patience, &mut random)).await?;
            let found = state(&clinic.app).await?;
            must_be(&found, &before)
                .map_err(|error| error.context(format!("run {run} from {name}")))?;
            patience = patience.mul_f64(0.8);
        }
        let rows = if has_rows { ", rows before" } else { "" };
        println!("run {run} of {runs}, from {name}{rows}: equal after {kills} kills");
        clinic.app.discard().await?;
    }
    Ok(())
}

/// A run that ended, or was killed somewhere and left in a state.
async fn bring_to(
    clinic: &Clinic,
    (name, sql): (&str, &str),
    (length, random): (Duration, &mut StdRng),
) -> Result<()> {
    let (plan, env) = (clinic.plan(), clinic.env());
    if name == "completed" {
        let outcome = drover::run(&["run", &plan], &env).await?;
        ensure!(outcome.code == Some(0), "{}", outcome.stderr);
        return Ok(());
    }
    let is_running =
        "select count(*) from drover_meta.migration_orchestration where status = 'running'";
    loop {
        let mut child = drover::command(&["run", &plan], &env).spawn()?;
        let patience = length.mul_f64(random.random_range(0.15..0.95));
        let ended = tokio::time::timeout(patience, child.wait()).await;
        if ended.is_ok() {
            // It was faster than the others: taken back at once, and tried again.
            let undo = [
                "migration",
                "rollback",
                "demo-clinic",
                "--local",
                "--confirm",
                "demo-clinic",
            ];
            drover::run(&undo, &env).await?;
            continue;
        }
        child.kill().await?;
        if clinic.app.number(is_running).await.unwrap_or(0) == 1 {
            break;
        }
    }
    if !sql.is_empty() {
        clinic.app.run(sql).await?;
    }
    Ok(())
}

/// Kills at least three times at moments spread over the length of a rollback, then lets it finish.
async fn kill_until_done(
    clinic: &Clinic,
    undo: &[&str],
    (length, random): (Duration, &mut StdRng),
) -> Result<u32> {
    let env = clinic.env();
    let mut kills = 0;
    while kills < KILLS {
        let mut child = drover::command(undo, &env).spawn()?;
        let patience = length.mul_f64(random.random_range(0.05..0.7));
        match tokio::time::timeout(patience, child.wait()).await {
            Ok(_) => break,
            Err(_) => {
                child.kill().await?;
                kills += 1;
            }
        }
    }
    let is_back =
        "select count(*) from drover_meta.migration_orchestration where status = 'pending'";
    if clinic.app.number(is_back).await? == 0 {
        let outcome = drover::run(undo, &env).await?;
        ensure!(outcome.code == Some(0), "{}", outcome.stderr);
    }
    Ok(kills)
}
