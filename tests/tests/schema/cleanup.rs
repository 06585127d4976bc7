//! A migration of schema changes alone, from its plan to its rollback and once more; on the source, too.

use anyhow::{Result, ensure};
use drover_tests::catalog::{catalog, contents};
use drover_tests::drover;
use drover_tests::pair::Pair;

use super::{apply_all, cleanup_plan, must, must_be, run, schema, state};

#[tokio::test]
async fn a_cleanup_is_a_migration_that_can_be_made_twice() -> Result<()> {
    let pair = Pair::new(
        "",
        "create table t (id int primary key, c text); insert into t values (1, 'x')",
    )
    .await?;
    let before = state(&pair).await?;
    let plan = cleanup_plan(&[
        "operation_type: add_column, table_name: t, column_name: d, type: int, default: '4'"
            .to_owned(),
        "operation_type: create_index, table_name: t, object_name: t_d, columns: [d]".to_owned(),
    ]);
    for _ in 0..2 {
        run(&pair, &plan, 0).await?;
        let again = run(&pair, &plan, 0).await?;
        ensure!(
            again.stderr.contains("already completed"),
            "{}",
            again.stderr
        );
        ensure!(pair.rows("select * from t").await? == [r#"{"id":1,"c":"x","d":4}"#]);
        let status = pair.app.texts("select status::text || ' ' || migration_type::text from drover_meta.migration_orchestration").await?;
        ensure!(status == ["completed schema_cleanup"], "{status:?}");
        let refused = schema(&pair, &["rollback", "pair", "--confirm", "other"]).await?;
        ensure!(refused.code == Some(2), "{}", refused.stderr);
        must(&pair, &["rollback", "pair", "--confirm", "pair"]).await?;
        must_be(&pair, &before).await?;
        let undone = pair
            .app
            .texts("select distinct status::text from drover_meta.schema_change_operation")
            .await?;
        ensure!(undone == ["rolled_back"], "{undone:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_source_is_changed_by_a_connection_of_its_own_alone() -> Result<()> {
    let legacy = "create table s (id int primary key, c text not null); insert into s select i, 'v' || i from generate_series(1, 50) i";
    let pair = Pair::new(legacy, "").await?;
    let plan = cleanup_plan(&[
        "operation_type: create_index, on: source, table_name: s, object_name: s_c, columns: [c]"
            .to_owned(),
        "operation_type: drop_column, on: source, table_name: s, column_name: c".to_owned(),
    ]);
    let before = (catalog(&pair.legacy).await?, contents(&pair.legacy).await?);
    let blocked = run(&pair, &plan, 8).await?;
    ensure!(
        blocked.stderr.contains("DROVER_CONNECTION_LEGACY_ADMIN"),
        "{}",
        blocked.stderr
    );
    ensure!(
        catalog(&pair.legacy).await? == before.0,
        "the source was changed"
    );
    let mut env = pair.env();
    env.push((
        "DROVER_CONNECTION_LEGACY_ADMIN".to_owned(),
        pair.legacy.url(),
    ));
    let drover = async |args: &[&str]| drover::run(args, &env).await;
    let planned = drover(&["schema", "plan", "pair", "--local", "-o", "json"])
        .await?
        .json();
    let first = &planned["items"][0]["operations"][0];
    ensure!(
        first["risk_level"] == "medium",
        "one level worse at the source: {first:#}"
    );
    let apply = [
        "schema",
        "apply",
        "pair",
        "--yes",
        "--confirm",
        "s",
        "--confirm",
        "s.c",
        "--local",
    ];
    let applied = drover(&apply).await?;
    ensure!(applied.code == Some(0), "{}", applied.stderr);
    ensure!(
        pair.legacy
            .number("select count(*) from information_schema.columns where table_name = 's'")
            .await?
            == 1
    );
    let undone = drover(&["schema", "rollback", "pair", "--confirm", "pair", "--local"]).await?;
    ensure!(undone.code == Some(0), "{}", undone.stderr);
    ensure!((catalog(&pair.legacy).await?, contents(&pair.legacy).await?) == before);
    Ok(())
}

#[tokio::test]
async fn rows_that_change_between_backup_and_drop_are_backed_up_again() -> Result<()> {
    use sqlx::Executor;
    let pair = Pair::new(
        "",
        "create table t (id int primary key, c text); insert into t select i, 'v' || i from generate_series(1, 1000) i",
    )
    .await?;
    let plan =
        cleanup_plan(&["operation_type: drop_column, table_name: t, column_name: c".to_owned()]);
    run(&pair, &plan, 8).await?;
    // Held back between its backup and the drop: somebody else writes meanwhile.
    let mut writer = pair.app.connect().await;
    writer
        .execute(sqlx::raw_sql(
            "begin; update t set c = 'changed' where id = 7",
        ))
        .await?;
    let env = pair.env();
    let applying = tokio::spawn(async move {
        drover::run(&["schema", "apply", "pair", "--yes", "--local"], &env).await
    });
    let waits = "select count(*) from pg_locks where not granted and relation = 't'::regclass";
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    while pair.app.number(waits).await? == 0 {
        ensure!(
            tokio::time::Instant::now() < deadline,
            "nobody waits for the writer"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    writer.execute(sqlx::raw_sql("commit")).await?;
    let outcome = applying.await??;
    ensure!(outcome.code == Some(0), "{}", outcome.stderr);
    must(&pair, &["rollback", "pair", "--confirm", "pair"]).await?;
    ensure!(
        pair.rows("select c from t where id in (6, 7) order by id")
            .await?
            == [r#"{"c":"v6"}"#, r#"{"c":"changed"}"#]
    );
    Ok(())
}

#[tokio::test]
async fn a_change_that_fails_half_way_leaves_nothing_behind() -> Result<()> {
    let pair = Pair::new(
        "",
        "create table p (id int primary key); create table t (id int primary key, c int); insert into t values (1, 1); insert into p values (1)",
    )
    .await?;
    let before = state(&pair).await?;
    let plan = cleanup_plan(&[
        "operation_type: add_constraint, table_name: t, object_name: t_fk, columns: [c], \
         references: {table_name: p, columns: [id]}"
            .to_owned(),
    ]);
    // The row goes away behind the check and before the constraint is validated: the journal's own step is the moment.
    pair.app
        .run(
            "create function public.meddle() returns event_trigger language plpgsql as $$ begin \
                 if exists (select from pg_constraint where conname = 't_fk' and not convalidated) and tg_tag = 'ALTER TABLE' then \
                     set local session_replication_role = replica; delete from public.p; set local session_replication_role = origin; end if; end $$; \
             create event trigger meddle on ddl_command_end when tag in ('ALTER TABLE') execute function public.meddle()",
        )
        .await?;
    let blocked = run(&pair, &plan, 8).await?;
    ensure!(blocked.stderr.contains("t_fk"), "{}", blocked.stderr);
    let status = must(&pair, &["status", "pair", "-o", "json"]).await?.json();
    ensure!(status["items"][0]["status"] == "failed", "{status:#}");
    pair.app
        .run("drop event trigger meddle; drop function public.meddle; insert into p values (1)")
        .await?;
    must_be(&pair, &before).await?;
    must(&pair, &["apply", "pair"]).await?;
    ensure!(
        pair.app
            .number("select count(*) from pg_constraint where conname = 't_fk' and convalidated")
            .await?
            == 1
    );
    apply_all(&pair, &[]).await?;
    Ok(())
}
