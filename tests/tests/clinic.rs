//! The demo clinic, whole: counts, oracle, constraints, and the same result whatever happens.

use anyhow::Result;
use drover_tests::clinic::{Clinic, demo_file};
use drover_tests::drover;
use sqlx::Connection;

/// `now` differs from run to run.
const VOLATILE: &[&str] = &["imported_at"];

#[tokio::test]
async fn every_row_has_one_fate_and_the_target_is_as_it_was_declared() -> Result<()> {
    let clinic = Clinic::new("0.01").await?;
    let before = clinic.definitions().await?;
    let outcome = drover::run(&["run", &clinic.plan(), "-o", "json"], &clinic.env()).await?;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let json = outcome.json();
    assert_eq!(json["status"], "completed");
    assert_eq!(json["progress_percentage"], 100.0);
    assert_eq!(json["completed_entities"], 11);
    let entities = json["entities"].as_array().expect("entities");
    let expected = [
        ("offices", 0, 0, 11),
        ("products", 0, 0, 40),
        ("profiles", 3, 0, 117),
        ("doctors", 0, 1, 19),
        ("patients", 2, 34, 360),
        ("orders", 5, 63, 529),
        ("comments", 4, 19, 526),
        ("jaws", 2, 41, 456),
        ("projects", 2, 2, 36),
        ("project_members", 0, 18, 102),
        ("treatment_plans", 2, 21, 126),
    ];
    for (name, quarantined, held, written) in expected {
        let entity = entities
            .iter()
            .find(|entity| entity["entity"] == name)
            .expect(name);
        let number = |key: &str| entity[key].as_i64().unwrap_or(-1);
        assert_eq!(number("records_failed"), quarantined + held, "{name}");
        assert_eq!(number("records_held"), held, "{name}");
        assert_eq!(number("records_written"), written, "{name}");
        assert_eq!(number("records_processed"), written, "{name}");
        assert_eq!(entity["status"], "completed", "{name}");
        let source = entity["entity_name"].as_str().expect("entity_name");
        let rows = clinic
            .legacy
            .number(&format!("select count(*) from {source}"))
            .await?;
        let accounted =
            number("records_processed") + number("records_failed") + number("records_filtered");
        assert_eq!(rows, accounted, "{name}");
        let target = entity["target_entity"].as_str().expect("target_entity");
        assert_eq!(
            clinic
                .app
                .number(&format!("select count(*) from {target}"))
                .await?,
            written
        );
        let mapped = format!(
            "select count(*) from drover.migration_mapping where mapping_metadata ->> 'entity' = '{name}'"
        );
        assert_eq!(
            clinic.app.number(&mapped).await?,
            written,
            "id map of {name}"
        );
    }
    assert_eq!(
        clinic.definitions().await?,
        before,
        "keys, indexes and constraints are back"
    );
    let errors = clinic
        .app
        .number("select count(*) from drover_meta.migration_error")
        .await?;
    assert_eq!(
        errors,
        clinic
            .app
            .number("select count(*) from drover.error")
            .await?
    );
    assert_eq!(errors, json["error_count"].as_i64().unwrap_or(-1));
    let unlinked = "select count(*) from drover_meta.migration_error where batch_id is null or entity_status_id is null";
    assert_eq!(clinic.app.number(unlinked).await?, 0);

    let again = drover::run(&["run", &clinic.plan()], &clinic.env()).await?;
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(
        again.stderr.contains("already completed"),
        "{}",
        again.stderr
    );
    let strict = drover::run(&["run", &clinic.plan(), "--strict"], &clinic.env()).await?;
    assert_eq!(strict.code, Some(9), "{}", strict.stderr);
    Ok(())
}

/// What plain SQL with `uuid_generate_v5` makes of the same rows, for two entities.
#[tokio::test]
async fn plain_sql_makes_the_same_rows() -> Result<()> {
    let clinic = Clinic::new("0.05").await?;
    let outcome = drover::run(&["run", &clinic.plan()], &clinic.env()).await?;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    clinic
        .legacy
        .run(&std::fs::read_to_string(demo_file("oracle.sql"))?)
        .await?;
    for entity in ["patients", "orders"] {
        let expected = rows(&clinic.legacy, &format!("oracle.oracle_{entity}")).await?;
        let written = rows(&clinic.app, &format!("public.{entity}")).await?;
        assert!(!expected.is_empty());
        assert_eq!(expected.len(), written.len(), "{entity}");
        for (expected, written) in expected.iter().zip(&written) {
            assert_eq!(expected, written, "{entity}");
        }
    }
    Ok(())
}

async fn rows(database: &drover_tests::pg::TestDatabase, relation: &str) -> Result<Vec<String>> {
    let mut connection = database.connect().await;
    sqlx::query("set timezone = 'UTC'")
        .execute(&mut connection)
        .await?;
    let sql = format!("select to_jsonb(t)::text from {relation} t order by id");
    let rows = sqlx::query_scalar(&sql).fetch_all(&mut connection).await?;
    connection.close().await?;
    Ok(rows)
}

#[tokio::test]
async fn two_runs_write_the_same_bytes() -> Result<()> {
    let first = Clinic::new("0.01").await?;
    let second = first.with_fresh_target().await?;
    for clinic in [&first, &second] {
        let outcome = drover::run(&["run", &clinic.plan()], &clinic.env()).await?;
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    }
    assert_eq!(
        first.digests(VOLATILE).await?,
        second.digests(VOLATILE).await?
    );
    Ok(())
}
