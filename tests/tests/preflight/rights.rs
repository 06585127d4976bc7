//! Rights and row level security: all that is missing is told, and the scripts give just that.

use anyhow::{Result, ensure};
use drover_tests::clinic::Clinic;
use drover_tests::drover;
use drover_tests::pair::Pair;

use super::{check, new_role, plan_locally, preflight, url_as};

/// Nobody has a right that was not granted to them.
const NOTHING_FOR_PUBLIC: &str = "
do $$ begin execute format('revoke all on database %I from public', current_database()); end $$;
revoke all on schema public from public;
";

#[tokio::test]
async fn roles_with_exactly_the_scripts_rights_run_the_demo() -> Result<()> {
    let clinic = Clinic::new("0.02").await?;
    let (reader, writer) = (
        new_role(&clinic.legacy).await?,
        new_role(&clinic.app).await?,
    );
    for (database, role) in [(&clinic.legacy, &reader), (&clinic.app, &writer)] {
        let connect = format!(
            "{NOTHING_FOR_PUBLIC} do $$ begin execute format('grant connect on database %I to {role}', \
             current_database()); end $$;"
        );
        database.run(&connect).await?;
    }
    let env = [
        (
            "DROVER_CONNECTION_LEGACY".to_owned(),
            url_as(&clinic.legacy, &reader),
        ),
        (
            "DROVER_CONNECTION_APP".to_owned(),
            url_as(&clinic.app, &writer),
        ),
    ];
    // Without the schema no expression has a type: there is nothing to check yet.
    let unusable = plan_locally(&env, &clinic.plan(), &[]).await?;
    ensure!(
        unusable.code == Some(5)
            && unusable
                .stderr
                .contains("may not use schema public: grant usage"),
        "{}",
        unusable.stderr
    );
    let usage = format!("grant usage on schema public to {reader}");
    clinic.legacy.run(&usage).await?;
    let found = preflight(&env, &clinic.plan(), &[], 8).await?;
    let (verdict, words) = check(&found, "source", "grants");
    ensure!(verdict == "block", "{words}");
    for table in ["dispatch_office", "orders_order", "dispatch_treatmentplan"] {
        ensure!(words.contains(table), "{table} is not named: {words}");
    }
    let (verdict, words) = check(&found, "destination", "grants");
    ensure!(verdict == "block", "{words}");
    for part in [
        "insert into",
        "treatment_plans",
        "offices",
        "create schema drover",
    ] {
        ensure!(words.contains(part), "{part} is not named: {words}");
    }
    let refused = drover::run(&["run", &clinic.plan()], &env).await?;
    ensure!(refused.code == Some(5), "{}", refused.stderr);
    let (_, at_source) = check(&found, "source", "grants");
    ensure!(
        refused.stderr.contains(at_source) && refused.stderr.contains(words),
        "{}",
        refused.stderr
    );

    for (side, database, role) in [
        ("source", &clinic.legacy, &reader),
        ("destination", &clinic.app, &writer),
    ] {
        let args = ["--grants", side, "--role", role];
        let script = plan_locally(&clinic.env(), &clinic.plan(), &args).await?;
        ensure!(script.code == Some(0), "{}", script.stderr);
        // Twice: it can be repeated.
        database.run(&script.stdout).await?;
        database.run(&script.stdout).await?;
    }
    let found = preflight(&env, &clinic.plan(), &[], 0).await?;
    ensure!(check(&found, "source", "grants").0 == "pass", "{found}");
    let run = drover::run(&["run", &clinic.plan()], &env).await?;
    ensure!(run.code == Some(0), "{}", run.stderr);
    let twin = clinic.with_fresh_target().await?;
    let run = drover::run(&["run", &twin.plan()], &twin.env()).await?;
    ensure!(run.code == Some(0), "{}", run.stderr);
    ensure!(
        clinic.digest(&["imported_at"]).await? == twin.digest(&["imported_at"]).await?,
        "the little role's run is another one"
    );
    Ok(())
}

const LEGACY: &str = "
create table item (id int primary key, owner text, name text);
insert into item select n, case when n % 2 = 0 then 'a' else 'b' end, 'n' || n from generate_series(1, 10) n;
alter table item enable row level security;
create policy own on item using (owner = 'a');
";
const APP: &str = "create table item (id uuid primary key, owner text, name text);";
const PLAN: &str = "
entities:
- entity: items
  source_entity: item
  destination_entity: item
  entity_type: item
  transformation_rules: {owner: [{col: owner}], name: [{col: name}]}
";

#[tokio::test]
async fn rows_that_row_level_security_hides_block_the_preflight_and_the_run_alike() -> Result<()> {
    let pair = Pair::new(LEGACY, APP).await?;
    let reader = new_role(&pair.legacy).await?;
    pair.legacy
        .run(&format!("grant select on item to {reader}"))
        .await?;
    let env = [
        (
            "DROVER_CONNECTION_LEGACY".to_owned(),
            url_as(&pair.legacy, &reader),
        ),
        ("DROVER_CONNECTION_APP".to_owned(), pair.app.url()),
    ];
    let plan = pair.write(PLAN)?;
    let found = preflight(&env, &plan, &[], 8).await?;
    let (verdict, words) = check(&found, "source", "row_level_security");
    ensure!(verdict == "block" && words.contains("item"), "{words}");
    // Half of the rows would look like all of them.
    ensure!(found["trials"][0]["sampled"] == 5, "{found}");
    let run = drover::run(&["run", &plan], &env).await?;
    ensure!(
        run.code == Some(2) && run.stderr.contains(words),
        "{}",
        run.stderr
    );

    let script = plan_locally(&env, &plan, &["--grants", "source"]).await?;
    pair.legacy.run(&script.stdout).await?;
    let found = preflight(&env, &plan, &[], 0).await?;
    ensure!(found["trials"][0]["sampled"] == 10, "{found}");
    Ok(())
}
