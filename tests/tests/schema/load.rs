//! Schema changes around a load: before it, after it, and long after it.

use anyhow::{Result, ensure};
use drover_tests::drover;
use drover_tests::pair::{HEAD, Pair};

use super::{must, state};

const LEGACY: &str = "create table a (id int primary key, name text, ssn text, born timestamp); \
    insert into a select i, 'n' || i, 's' || i, '2026-01-01'::timestamp + i * interval '1 d' from generate_series(1, 500) i";

const APP: &str = "create table a (id uuid primary key, name varchar(8), ssn text, old int, created_at timestamp); \
    create index a_name on a (name); create table flags (id int primary key, f text); insert into flags values (1, 'f')";

const ENTITIES: &str = "entities:
- entity: a
  source_entity: a
  destination_entity: a
  entity_type: a
  transformation_rules:
    name: [{col: name}]
    ssn: [{col: ssn}]
    legacy_id: [{col: id}]
    created_at: [{col: born}, {tz: {from: UTC}}]
schema_changes:
- {operation_type: create_backup, table_name: flags, when: before}
- {operation_type: add_column, table_name: a, column_name: legacy_id, type: bigint, not_null: true, when: before}
- {operation_type: modify_column, table_name: a, column_name: name, type: 'varchar(40)', when: before}
- {operation_type: drop_column, table_name: a, column_name: old, when: before}
- {operation_type: modify_column, table_name: a, column_name: created_at, type: timestamptz, when: before}
- {operation_type: create_index, table_name: a, object_name: a_legacy, columns: [legacy_id], unique: true, when: after}
- {operation_type: modify_column, table_name: a, column_name: ssn, not_null: true, when: after}
- {operation_type: drop_column, table_name: a, column_name: ssn, when: cleanup}
";

#[tokio::test]
async fn changes_come_before_after_and_long_after_the_rows() -> Result<()> {
    let pair = Pair::new(LEGACY, APP).await?;
    let before = state(&pair).await?;
    let plan = format!("{HEAD}{ENTITIES}");
    let path = pair.write_as("plan.yaml", &plan)?;
    let env = pair.env();
    let drover = async |args: &[&str]| drover::run(args, &env).await;
    // The rules are checked against the columns as they will be.
    let checked = drover(&["rules", "check", &path]).await?;
    ensure!(checked.code == Some(0), "{}", checked.stderr);
    let blocked = drover(&["run", &path]).await?;
    ensure!(
        blocked.code == Some(8) && blocked.stderr.contains("a.old is of medium risk"),
        "{}",
        blocked.stderr
    );
    ensure!(pair.app.number("select count(*) from a").await? == 0);
    must(&pair, &["apply", "pair", "--yes"]).await?;
    let blocked = drover(&["run", &path]).await?;
    ensure!(
        blocked.code == Some(8) && blocked.stderr.contains("a.a_legacy is of medium risk"),
        "{:?} {}",
        blocked.code,
        blocked.stderr
    );
    ensure!(
        pair.app
            .number("select count(*) from a where legacy_id > 0 and ssn is not null")
            .await?
            == 500
    );
    must(&pair, &["apply", "pair", "--yes"]).await?;
    let done = drover(&["run", &path]).await?;
    ensure!(done.code == Some(0), "{}", done.stderr);
    // Nothing of the clean-up yet; what was dropped for the load is shown and was put back.
    let status = must(&pair, &["status", "pair", "-o", "json"]).await?.json();
    let items = status["items"].as_array().cloned().unwrap_or_default();
    let load: Vec<&serde_json::Value> = items
        .iter()
        .filter(|one| one["validation_results"]["when"] == "load")
        .collect();
    ensure!(load.len() == 2, "{status:#}");
    for (kind, object) in [("drop_constraint", "a_pkey"), ("drop_index", "a_name")] {
        ensure!(
            load.iter().any(|one| one["operation_type"] == kind
                && one["object_name"] == object
                && one["status"] == "rolled_back"),
            "{status:#}"
        );
    }
    let stored = "select count(*) from drover_meta.schema_change_operation where operation_type in ('drop_constraint', 'drop_index')";
    ensure!(pair.app.number(stored).await? == 2);
    ensure!(
        pair.app
            .number("select count(*) from a where ssn = 's' || legacy_id")
            .await?
            == 500
    );
    must(&pair, &["apply", "pair", "--yes"]).await?;
    ensure!(pair.app.number("select count(*) from information_schema.columns where table_name = 'a' and column_name = 'ssn'").await? == 0);
    // What a rollback of the rows must know: the restored column writes every row anew.
    ensure!(
        pair.app
            .number("select count(*) from drover.rewritten_table")
            .await?
            == 0
    );
    must(&pair, &["rollback", "pair", "--confirm", "pair"]).await?;
    ensure!(
        pair.app
            .texts("select table_name from drover.rewritten_table")
            .await?
            == ["a"]
    );
    let after = state(&pair).await?;
    let lines = drover_tests::catalog::differences(&before.catalog, &after.catalog);
    ensure!(lines.is_empty(), "{}", lines.join("\n"));
    ensure!(
        pair.app
            .number("select count(*) from a where ssn is not null")
            .await?
            == 500
    );
    Ok(())
}

#[tokio::test]
async fn what_rewrites_rows_of_this_migration_is_refused_after_them() -> Result<()> {
    let pair = Pair::new(LEGACY, "create table a (id uuid primary key, n int)").await?;
    let plan = "defaults: {unmapped_columns: ignore}
entities:
- {entity: a, source_entity: a, destination_entity: a, entity_type: a, transformation_rules: {n: [{col: id}]}}
schema_changes:
- {operation_type: modify_column, table_name: a, column_name: n, type: bigint, when: cleanup}
";
    pair.must_end(plan, 0).await?;
    let refused = super::schema(&pair, &["apply", "pair", "--yes", "--confirm", "a.n"]).await?;
    ensure!(
        refused.code == Some(4) && refused.stderr.contains("when: before"),
        "{:?} {}",
        refused.code,
        refused.stderr
    );
    Ok(())
}
