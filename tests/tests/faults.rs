//! What bad input and bad luck get: one clear error, the right exit code, nothing half done.

use std::time::Duration;

use anyhow::Result;
use drover_tests::clinic::Clinic;
use drover_tests::drover::{self, Outcome};
use drover_tests::pg::TestDatabase;
use sqlx::Connection;
use tokio::time::Instant;

const VOLATILE: &[&str] = &["imported_at"];

async fn run(clinic: &Clinic) -> Result<Outcome> {
    drover::run(&["run", &clinic.plan()], &clinic.env()).await
}

/// Refuses every row of a table as a full disk would.
async fn fill_disk(clinic: &Clinic, table: &str) -> Result<()> {
    clinic
        .app
        .run(&format!(
            "create function full_disk() returns trigger language plpgsql as
                 $$ begin raise exception 'disk full' using errcode = '53100'; end $$;
             create trigger full_disk before insert on {table} for each row execute function full_disk()"
        ))
        .await
}

async fn empty_disk(clinic: &Clinic, table: &str) -> Result<()> {
    clinic
        .app
        .run(&format!(
            "drop trigger full_disk on {table}; drop function full_disk()"
        ))
        .await
}

#[tokio::test]
async fn a_wrong_plan_gets_every_problem_with_its_path() -> Result<()> {
    let clinic = Clinic::new("0.01").await?;
    let original = std::fs::read_to_string(clinic.plan())?;
    let cases = [
        (
            "entity_type: office\n",
            "entity_type: office\n  colour: red\n",
            "entities[0].colour",
        ),
        (
            "{col: region_code}",
            "{col: no_such_column}",
            "entities[0].transformation_rules.region[0].col",
        ),
        (
            "source_entity: dispatch_office",
            "source_entity: dispatch_nowhere",
            "entities[0].source_entity",
        ),
        (
            "destination_entity: offices",
            "destination_entity: nowhere",
            "entities[0].destination_entity",
        ),
        (
            "    name:          [{col: name}, trim, collapse_ws]\n",
            "",
            "entities[0]",
        ),
        (
            "code:          [{col: code}]",
            "code:          [{col: tags}]",
            "entities[0].transformation_rules.code",
        ),
        (
            "  dependency_entities: []\n  version: \"1\"",
            "  dependency_entities: [orders]\n  version: \"1\"",
            "offices",
        ),
        (
            "migration_type: full_migration",
            "migration_type: incremental",
            "migration_type: ",
        ),
        (
            "deleted_at is null\"      # SQL",
            "no_such_column is null\"      # SQL",
            "entities[0].where",
        ),
    ];
    for (from, to, path) in cases {
        clinic.write_plan(&original)?;
        clinic.edit_plan(from, to)?;
        for verb in [&["rules", "check"][..], &["run"]] {
            let args: Vec<&str> = verb
                .iter()
                .copied()
                .chain([clinic.plan().leak() as &str])
                .collect();
            let outcome = drover::run(&args, &clinic.env()).await?;
            assert_eq!(outcome.code, Some(2), "{to:?}: {}", outcome.stderr);
            assert!(outcome.stderr.contains(path), "{to:?}: {}", outcome.stderr);
        }
    }
    clinic.write_plan(&original)?;
    clinic.edit_plan("{col: region_code}", "{col: no_such_column}")?;
    clinic.edit_plan(
        "code:          [{col: code}]",
        "code:          [{col: nor_this}]",
    )?;
    let outcome = run(&clinic).await?;
    assert!(outcome.stderr.contains("no_such_column") && outcome.stderr.contains("nor_this"));
    let traces = "select count(*) from pg_namespace where nspname like 'drover%'";
    assert_eq!(clinic.app.number(traces).await?, 0, "nothing was made");
    Ok(())
}

#[tokio::test]
async fn servers_that_do_not_answer_or_say_no_have_codes_of_their_own() -> Result<()> {
    let clinic = Clinic::new("0.01").await?;
    let with = |name: &str, url: String| {
        let mut env = clinic.env();
        env.retain(|(known, _)| known != name);
        env.push((name.to_owned(), url));
        env
    };
    for name in ["DROVER_CONNECTION_LEGACY", "DROVER_CONNECTION_APP"] {
        let nobody = with(
            name,
            "postgres://postgres:secret-word@127.0.0.1:1/x".to_owned(),
        );
        let outcome = drover::run(&["run", &clinic.plan()], &nobody).await?;
        assert_eq!(outcome.code, Some(6), "{}", outcome.stderr);
        let wrong = clinic
            .legacy
            .url()
            .replace(drover_tests::pg::PASSWORD, "secret-word");
        let outcome = drover::run(&["run", &clinic.plan()], &with(name, wrong)).await?;
        assert_eq!(outcome.code, Some(5), "{}", outcome.stderr);
        assert!(
            !outcome.stderr.contains("secret-word"),
            "{}",
            outcome.stderr
        );
    }
    Ok(())
}

#[tokio::test]
async fn too_many_bad_rows_block_and_a_higher_limit_goes_on() -> Result<()> {
    let clinic = Clinic::new("0.01").await?;
    clinic.edit_plan("max_quarantined: 5%", "max_quarantined: 0")?;
    let outcome = run(&clinic).await?;
    assert_eq!(outcome.code, Some(9), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("max_quarantined"),
        "{}",
        outcome.stderr
    );
    let get = drover::run(
        &["migration", "get", "demo-clinic", "--local", "-o", "json"],
        &clinic.env(),
    )
    .await?;
    assert_eq!(
        (
            get.json()["status"].as_str(),
            get.json()["activity"].as_str()
        ),
        (Some("running"), Some("blocked"))
    );
    assert!(
        get.json()["activity_hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("max_quarantined"))
    );

    // The same command again is no way around the limit.
    let again = run(&clinic).await?;
    assert_eq!(again.code, Some(9), "{}", again.stderr);

    clinic.edit_plan("max_quarantined: 0", "max_quarantined: 5%")?;
    let outcome = run(&clinic).await?;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let calm = clinic.with_fresh_target().await?;
    assert_eq!(run(&calm).await?.code, Some(0));
    assert_eq!(
        clinic.digests(VOLATILE).await?,
        calm.digests(VOLATILE).await?
    );
    assert_eq!(clinic.definitions().await?, calm.definitions().await?);
    Ok(())
}

#[tokio::test]
async fn a_full_disk_blocks_and_blames_no_row() -> Result<()> {
    let clinic = Clinic::new("0.01").await?;
    let before = clinic.definitions().await?;
    fill_disk(&clinic, "orders").await?;
    let outcome = run(&clinic).await?;
    assert_eq!(outcome.code, Some(8), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("53100"), "{}", outcome.stderr);
    let blamed = "select count(*) from drover.error e join drover.entity n using (entity_no) where n.entity = 'orders'";
    assert_eq!(clinic.app.number(blamed).await?, 0);

    // The rules may not change any more; restored, the run goes on where it stopped.
    let plan = std::fs::read_to_string(clinic.plan())?;
    clinic.edit_plan("[{col: name}, trim, collapse_ws]", "[{col: name}, trim]")?;
    let changed = run(&clinic).await?;
    assert_eq!(changed.code, Some(4), "{}", changed.stderr);
    clinic.write_plan(&plan)?;
    empty_disk(&clinic, "orders").await?;
    let outcome = run(&clinic).await?;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(clinic.definitions().await?, before);
    Ok(())
}

#[tokio::test]
async fn a_source_that_was_written_to_while_nobody_held_the_snapshot_blocks() -> Result<()> {
    let clinic = Clinic::new("0.01").await?;
    fill_disk(&clinic, "orders").await?;
    assert_eq!(run(&clinic).await?.code, Some(8));
    empty_disk(&clinic, "orders").await?;
    clinic
        .legacy
        .run("update catalog_product set id = id where id = 1")
        .await?;
    let outcome = run(&clinic).await?;
    assert_eq!(outcome.code, Some(8), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("snapshot"), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("consistency: none"),
        "{}",
        outcome.stderr
    );
    clinic.edit_plan("consistency: snapshot", "consistency: none")?;
    let outcome = run(&clinic).await?;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    Ok(())
}

#[tokio::test]
async fn writers_of_other_databases_do_not_make_a_lost_snapshot_doubtful() -> Result<()> {
    let clinic = Clinic::new("0.01").await?;
    fill_disk(&clinic, "orders").await?;
    assert_eq!(run(&clinic).await?.code, Some(8));
    empty_disk(&clinic, "orders").await?;
    // On the same server, older than the new snapshot, and still open when the run ends.
    let elsewhere = TestDatabase::new().await?;
    let mut writer = elsewhere.connect().await;
    sqlx::raw_sql("begin; create table open_for_long ()")
        .execute(&mut writer)
        .await?;
    let outcome = run(&clinic).await?;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    Ok(())
}

#[tokio::test]
async fn lost_metadata_changes_no_outcome() -> Result<()> {
    let clinic = Clinic::new("0.01").await?;
    fill_disk(&clinic, "orders").await?;
    assert_eq!(run(&clinic).await?.code, Some(8));
    empty_disk(&clinic, "orders").await?;
    clinic.app.run("drop schema drover_meta cascade").await?;
    let outcome = run(&clinic).await?;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let calm = clinic.with_fresh_target().await?;
    assert_eq!(run(&calm).await?.code, Some(0));
    assert_eq!(
        clinic.digests(VOLATILE).await?,
        calm.digests(VOLATILE).await?
    );
    let counts = "select string_agg(concat_ws(' ', entity, status, records_total, records_processed, records_failed), ';' order by entity) \
                  from drover_meta.entity_migration_status";
    assert_eq!(
        clinic.app.texts(counts).await?,
        calm.app.texts(counts).await?
    );
    Ok(())
}

#[tokio::test]
async fn a_destination_that_is_not_what_it_was_is_refused() -> Result<()> {
    let clinic = Clinic::new("0.01").await?;
    let metadata = drover_tests::pg::TestDatabase::new().await?;
    let mut env = clinic.env();
    env.push(("DROVER_METADATA_URL".to_owned(), metadata.url()));
    fill_disk(&clinic, "orders").await?;
    let outcome = drover::run(&["run", &clinic.plan()], &env).await?;
    assert_eq!(outcome.code, Some(8), "{}", outcome.stderr);
    let other = clinic.with_fresh_target().await?;
    let mut env = other.env();
    env.push(("DROVER_METADATA_URL".to_owned(), metadata.url()));
    let outcome = drover::run(&["run", &other.plan()], &env).await?;
    assert_eq!(outcome.code, Some(4), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("knows nothing of this migration"),
        "{}",
        outcome.stderr
    );
    Ok(())
}

#[tokio::test]
async fn two_runs_of_one_migration_are_one_too_many() -> Result<()> {
    let clinic = Clinic::new("0.01").await?;
    let mut blocker = clinic.app.connect().await;
    sqlx::query("begin").execute(&mut blocker).await?;
    sqlx::query("lock table offices in share row exclusive mode")
        .execute(&mut blocker)
        .await?;
    let first = drover::command(&["run", &clinic.plan()], &clinic.env()).spawn()?;
    let running = "select count(*) from pg_locks where locktype = 'relation' and not granted";
    let deadline = Instant::now() + Duration::from_secs(60);
    while clinic.app.number(running).await? == 0 {
        anyhow::ensure!(
            Instant::now() < deadline,
            "the first run never met the lock"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let second = tokio::spawn({
        let (plan, env) = (clinic.plan(), clinic.env());
        async move { drover::run(&["run", &plan], &env).await }
    });
    let second = second.await??;
    assert_eq!(second.code, Some(4), "{}", second.stderr);
    blocker.close().await?;
    let first = drover::finish(first).await?;
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    Ok(())
}

#[tokio::test]
async fn cut_connections_change_nothing() -> Result<()> {
    let calm = Clinic::new("0.1").await?;
    assert_eq!(run(&calm).await?.code, Some(0));
    let clinic = calm.with_fresh_target().await?;
    let mut child = drover::command(&["run", &clinic.plan()], &clinic.env()).spawn()?;
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
               where datname = current_database() and application_name like 'drover%' and application_name like '% %-%'";
    let mut cuts = 0;
    while child.try_wait()?.is_none() {
        cuts += clinic.app.number(cut).await?;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let outcome = drover::finish(child).await?;
    assert_eq!(
        outcome.code,
        Some(0),
        "after {cuts} cuts: {}",
        outcome.stderr
    );
    assert_eq!(
        clinic.digests(VOLATILE).await?,
        calm.digests(VOLATILE).await?
    );
    assert_eq!(clinic.definitions().await?, calm.definitions().await?);
    Ok(())
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_one_error() -> Result<()> {
    let clinic = Clinic::new("0.01").await?;
    clinic.edit_plan(
        "code:          [{col: code}]",
        "code:          [{sql: \"code || left((1 / (id - 3))::text, 0)\"}]",
    )?;
    clinic.edit_plan(
        "    phone:         [{col: phone}",
        "    # phone\n    phone:         [{col: phone}",
    )?;
    clinic.edit_plan("unmapped_columns: error", "unmapped_columns: ignore")?;
    clinic.edit_plan("max_quarantined: 2%", "max_quarantined: 50")?;
    let outcome = run(&clinic).await?;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let errors = clinic
        .app
        .texts(
            "select source_record_id || ' ' || error_code || ' ' || (context ->> 'stage') from drover.error e \
             join drover.entity n using (entity_no) where n.entity = 'offices' and not is_held",
        )
        .await?;
    assert_eq!(errors, ["3 22012 read"]);
    Ok(())
}

#[tokio::test]
async fn sensitive_values_reach_no_error_row_and_no_output() -> Result<()> {
    let clinic = Clinic::new("0.01").await?;
    let outcome = run(&clinic).await?;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let list = drover::run(
        &[
            "error", "list", "--entity", "profiles", "--local", "-o", "json",
        ],
        &clinic.env(),
    )
    .await?;
    assert_eq!(list.code, Some(0), "{}", list.stderr);
    let items = list.json()["items"].as_array().cloned().unwrap_or_default();
    assert!(!items.is_empty());
    for item in &items {
        let id = item["source_record_id"].as_str().expect("source_record_id");
        let email = clinic
            .legacy
            .texts(&format!(
                "select coalesce(email, '-') from dispatch_user where id = {id}"
            ))
            .await?;
        let shown = serde_json::to_string(item)?;
        assert!(!shown.contains(&email[0]), "{shown}");
        assert!(item["source_data"].get("password").is_none(), "{shown}");
        assert_eq!(item["source_data"]["email"]["redacted"], true, "{shown}");
    }
    Ok(())
}

#[tokio::test]
async fn an_entity_cannot_join_a_migration_that_has_begun() -> Result<()> {
    let clinic = Clinic::new("0.01").await?;
    let plan = std::fs::read_to_string(clinic.plan())?;
    let treatment = plan
        .find("- entity: treatment_plans")
        .expect("the plan has treatment plans");
    let end = plan[treatment..]
        .find("\n- entity: ")
        .map_or(plan.len(), |at| treatment + at);
    clinic.write_plan(&format!("{}{}", &plan[..treatment], &plan[end..]))?;
    fill_disk(&clinic, "orders").await?;
    assert_eq!(run(&clinic).await?.code, Some(8));
    empty_disk(&clinic, "orders").await?;
    clinic.write_plan(&plan)?;
    let outcome = run(&clinic).await?;
    assert_eq!(outcome.code, Some(4), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("treatment_plans"),
        "{}",
        outcome.stderr
    );
    Ok(())
}

#[tokio::test]
async fn a_missing_right_is_told_before_anything_is_made() -> Result<()> {
    let clinic = Clinic::new("0.01").await?;
    let role = format!("reader_{}", clinic.legacy.name);
    let grant = "grant select on all tables in schema public to";
    clinic
        .legacy
        .run(&format!("create role {role} login password 'r'; {grant} {role}; revoke select on orders_order from {role}"))
        .await?;
    let mut env = clinic.env();
    env.retain(|(name, _)| name != "DROVER_CONNECTION_LEGACY");
    let url = clinic.legacy.url().replace(
        &format!("postgres:{}@", drover_tests::pg::PASSWORD),
        &format!("{role}:r@"),
    );
    env.push(("DROVER_CONNECTION_LEGACY".to_owned(), url));
    let outcome = drover::run(&["run", &clinic.plan()], &env).await?;
    assert_eq!(outcome.code, Some(5), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("orders_order"),
        "{}",
        outcome.stderr
    );
    let traces = "select count(*) from pg_namespace where nspname like 'drover%'";
    assert_eq!(clinic.app.number(traces).await?, 0, "nothing was made");
    clinic
        .legacy
        .run(&format!("grant select on orders_order to {role}"))
        .await?;
    let outcome = drover::run(&["run", &clinic.plan()], &env).await?;
    assert_eq!(
        outcome.code,
        Some(0),
        "a role that may only read is enough: {}",
        outcome.stderr
    );
    Ok(())
}
