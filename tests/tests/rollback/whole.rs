//! A whole migration of the clinic, taken back, and made again.

use anyhow::{Result, ensure};
use drover_tests::clinic::Clinic;
use drover_tests::drover;

use super::{effects, must_be, roll_back, state};

const VOLATILE: &[&str] = &["imported_at"];

#[tokio::test]
async fn a_completed_migration_leaves_nothing_and_can_be_made_again() -> Result<()> {
    let clinic = Clinic::new("0.05").await?;
    let before = state(&clinic.app).await?;
    let env = clinic.env();
    let run = drover::run(&["run", &clinic.plan()], &env).await?;
    ensure!(run.code == Some(0), "{}", run.stderr);
    let made = clinic.digests(VOLATILE).await?;
    let rows = clinic
        .app
        .texts(
            "select destination_table || ' ' || count(*) from drover.migration_mapping group by destination_table",
        )
        .await?
        .len();
    ensure!(rows > 5, "{rows}");

    // What the dry run tells is what is there, and it changes nothing.
    let completed = state(&clinic.app).await?;
    let told = effects(&env, "demo-clinic").await?;
    must_be(&state(&clinic.app).await?, &completed)?;
    for (entity, [delete, restore, gone, conflicts]) in &told {
        let written = format!("select count(*) from public.{entity}");
        let written = clinic.app.number(&written).await?;
        ensure!(
            (*delete, *restore, *gone, *conflicts) == (written, 0, 0, 0),
            "{entity}: {told:?}"
        );
    }

    let undone = roll_back(&env, ("demo-clinic", 0), &[]).await?;
    ensure!(
        undone
            .stderr
            .contains("tables are as they were at the start"),
        "{}",
        undone.stderr
    );
    must_be(&state(&clinic.app).await?, &before)?;
    let record = "select status || ' ' || attempt || ' ' || (started_at is null) || ' ' || progress_percentage::int \
                  from drover_meta.migration_orchestration";
    ensure!(clinic.app.texts(record).await? == ["pending 2 true 0"]);
    for (sql, expected) in [
        (
            "select count(*) from drover_meta.migration_checkpoint where is_resumable",
            0,
        ),
        (
            "select count(*) from drover_meta.entity_migration_status where status <> 'pending' or records_read <> 0",
            0,
        ),
        (
            "select count(*) from drover.migration_mapping where is_active",
            0,
        ),
        (
            "select count(*) from drover.ledger where undone_at is null",
            0,
        ),
        (
            "select coalesce(sum(rows_written), 0)::bigint from drover.partition",
            0,
        ),
        ("select count(*) from drover.ddl where state = 'dropped'", 0),
        ("select count(*) from drover.error where not is_resolved", 0),
        (
            "select count(*) from drover.partition where mode <> 'closed'",
            0,
        ),
    ] {
        ensure!(clinic.app.number(sql).await? == expected, "{sql}");
    }

    let again = drover::run(&["run", &clinic.plan()], &env).await?;
    ensure!(again.code == Some(0), "{}", again.stderr);
    let found = clinic.digests(VOLATILE).await?;
    ensure!(found == made, "{found:?}\n{made:?}");
    let void = "select count(*) from drover.migration_mapping where not is_active";
    ensure!(
        clinic.app.number(void).await? == 0,
        "mappings of the first attempt are there"
    );

    // And once more: a later attempt is taken back like the first.
    roll_back(&env, ("demo-clinic", 0), &[]).await?;
    must_be(&state(&clinic.app).await?, &before)
}

#[tokio::test]
async fn only_who_gives_the_name_rolls_back_and_only_what_ran() -> Result<()> {
    let clinic = Clinic::new("0.02").await?;
    let env = clinic.env();
    let run = drover::run(&["run", &clinic.plan()], &env).await?;
    ensure!(run.code == Some(0), "{}", run.stderr);
    let completed = state(&clinic.app).await?;
    for more in [&["--yes"][..], &["--confirm", "clinic"], &[]] {
        let args: Vec<&str> = ["migration", "rollback", "demo-clinic", "--local"]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        let refused = drover::run(&args, &env).await?;
        ensure!(
            refused.code == Some(2),
            "{more:?}: {:?} {}",
            refused.code,
            refused.stderr
        );
    }
    must_be(&state(&clinic.app).await?, &completed)?;
    roll_back(&env, ("demo-clinic", 0), &[]).await?;
    // Nothing is left to take back.
    let twice = roll_back(&env, ("demo-clinic", 0), &[]).await;
    let words = twice
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    ensure!(words.contains("nothing was written"), "{words}");
    Ok(())
}
