//! `kill -9` at random points, started again until done: the result is the same, to the byte.
//!
//! `DROVER_KILL_SCALE` and `DROVER_KILL_ROUNDS` make it as large as wanted; the seed is printed.

use std::time::Duration;

use anyhow::{Result, ensure};
use drover_tests::clinic::{Clinic, demo_file};
use drover_tests::drover;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

const VOLATILE: &[&str] = &["imported_at"];

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Everything a run leaves behind that must not depend on how it went: rows, id map, failed rows,
/// counters.
async fn fingerprint(clinic: &Clinic) -> Result<Vec<String>> {
    let mut all: Vec<String> = clinic
        .digests(VOLATILE)
        .await?
        .into_iter()
        .map(|(table, hash)| format!("{table} {hash}"))
        .collect();
    all.extend(clinic.definitions().await?);
    for sql in [
        "select 'map ' || count(*) || ' ' || coalesce(sum(hashtextextended(m, 0)), 0) from (select concat_ws(' ', source_table, source_id, \
             destination_table, destination_id, mapping_metadata) m from drover.migration_mapping) x",
        "select 'errors ' || count(*) || ' ' || coalesce(sum(hashtextextended(m, 0)), 0) from (select concat_ws(' ', n.entity, source_record_id, \
             error_code, error_message, source_data, context, is_held) m \
             from drover.error e join drover.entity n using (entity_no)) x",
        "select 'metadata errors ' || count(*) || ' ' || coalesce(sum(hashtextextended(m, 0)), 0) from (select concat_ws(' ', entity, \
             source_record_id, error_code, source_data) m from drover_meta.migration_error) x",
        "select 'counts ' || string_agg(concat_ws(' ', entity, status, records_total, records_read, records_processed, \
             records_failed, records_held, records_filtered), '; ' order by entity) from drover_meta.entity_migration_status",
        "select 'ledger ' || sum(n_read) || ' ' || sum(n_written) || ' ' || sum(n_failed) from drover.ledger",
        "select 'batches ' || sum(records_successful) || ' ' || sum(records_failed) from drover_meta.batch_processing_status b \
             where b.batch_size > 0 and b.records_successful >= 0",
    ] {
        all.extend(clinic.app.texts(sql).await?);
    }
    Ok(all)
}

#[tokio::test]
async fn a_killed_run_ends_like_an_undisturbed_one() -> Result<()> {
    let scale: String = setting("DROVER_KILL_SCALE", "0.2".to_owned());
    let rounds: u32 = setting("DROVER_KILL_ROUNDS", 4);
    let seed: u64 = setting("DROVER_KILL_SEED", rand::random());
    println!("scale {scale}, {rounds} rounds, DROVER_KILL_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let calm = Clinic::new(&scale).await?;
    let begun = Instant::now();
    let outcome = drover::run(&["run", &calm.plan()], &calm.env()).await?;
    ensure!(outcome.code == Some(0), "{}", outcome.stderr);
    let length = begun.elapsed();
    let expected = fingerprint(&calm).await?;
    check_oracle(&calm).await?;
    for round in 1..=rounds {
        let clinic = calm.with_fresh_target().await?;
        let kills = kill_until_done(&clinic, length, &mut random).await?;
        let found = fingerprint(&clinic).await?;
        for (found, expected) in found.iter().zip(&expected) {
            ensure!(
                found == expected,
                "round {round}: {found}\n   expected: {expected}"
            );
        }
        ensure!(found.len() == expected.len(), "round {round}");
        println!("round {round} of {rounds}: equal after {kills} kills");
        clinic.app.discard().await?;
    }
    Ok(())
}

/// Kills one to four times at moments spread over the length of a run, then lets it finish.
async fn kill_until_done(clinic: &Clinic, length: Duration, random: &mut StdRng) -> Result<u32> {
    let (plan, env) = (clinic.plan(), clinic.env());
    let mut kills = 0;
    for _ in 0..random.random_range(1..=4) {
        let mut child = drover::command(&["run", &plan], &env).spawn()?;
        let patience = length.mul_f64(random.random_range(0.05..1.05));
        if tokio::time::timeout(patience, child.wait()).await.is_ok() {
            break;
        }
        child.kill().await?;
        kills += 1;
    }
    let outcome = drover::run(&["run", &plan], &env).await?;
    ensure!(outcome.code == Some(0), "{}", outcome.stderr);
    Ok(kills)
}

/// Plain SQL with `uuid_generate_v5` makes the same rows.
async fn check_oracle(clinic: &Clinic) -> Result<()> {
    clinic
        .legacy
        .run(&std::fs::read_to_string(demo_file("oracle.sql"))?)
        .await?;
    for entity in ["patients", "orders"] {
        let digest = |relation: String| {
            format!(
                "set timezone = 'UTC'; set jit = off; \
                 select count(*) || ' ' || sum(hashtextextended(to_jsonb(t)::text, 0)) from {relation} t"
            )
        };
        let expected = clinic
            .legacy
            .script_text(&digest(format!("oracle.oracle_{entity}")))
            .await?;
        let written = clinic
            .app
            .script_text(&digest(format!("public.{entity}")))
            .await?;
        ensure!(
            expected == written,
            "{entity}: {written}, the oracle has {expected}"
        );
    }
    Ok(())
}
