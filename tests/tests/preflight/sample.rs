//! The sample: real rows through the real rules.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use drover_tests::clinic::Clinic;
use drover_tests::drover;
use drover_tests::pair::Pair;
use drover_tests::pg::TestDatabase;
use serde_json::Value;

use super::{check, preflight};

/// Rows by entity and code.
type Errors = BTreeMap<(String, String), i64>;

fn predicted(found: &Value) -> Errors {
    let trials = found["trials"].as_array().expect("trials");
    let errors = trials.iter().flat_map(|trial| {
        let entity = trial["entity"].as_str().unwrap_or_default();
        let errors = trial["errors"].as_array().expect("errors");
        errors.iter().map(move |error| {
            let code = error["code"].as_str().unwrap_or_default().to_owned();
            let rows = error["rows"].as_i64().unwrap_or_default();
            ((entity.to_owned(), code), rows)
        })
    });
    let mut sum = Errors::new();
    errors.for_each(|(key, rows)| *sum.entry(key).or_default() += rows);
    sum
}

async fn made(app: &TestDatabase) -> Result<Errors> {
    let lines = app
        .texts(
            "select e.entity || ' ' || r.error_code || ' ' || count(*) from drover.error r \
             join drover.entity e using (entity_no) where not r.is_held group by e.entity, r.error_code",
        )
        .await?;
    let read = lines.iter().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let key = (words[0].to_owned(), words[1].to_owned());
        (key, words[2].parse().unwrap_or_default())
    });
    Ok(read.collect())
}

#[tokio::test]
async fn a_sample_of_all_rows_predicts_the_errors_that_the_run_makes_and_leaves_nothing()
-> Result<()> {
    let clinic = Clinic::new("0.05").await?;
    let env = clinic.env();
    let before = clinic.digest(&[]).await?;
    let found = preflight(&env, &clinic.plan(), &["--sample", "100000"], 0).await?;
    ensure!(
        clinic.digest(&[]).await? == before,
        "the target is not as it was"
    );
    let left = "select count(*) from pg_class where relname like 'drover%' or relpersistence = 't'";
    ensure!(clinic.app.number(left).await? == 0, "something is left");
    let schemas = "select count(*) from pg_namespace where nspname like 'drover%'";
    ensure!(clinic.app.number(schemas).await? == 0, "a schema is left");

    let run = drover::run(&["run", &clinic.plan()], &env).await?;
    ensure!(run.code == Some(0), "{}", run.stderr);
    let (predicted, made) = (predicted(&found), made(&clinic.app).await?);
    ensure!(made.len() >= 8, "{made:?}");
    // A row that is held for its parent fails with that, and not with its own error.
    let held = clinic
        .app
        .number("select count(*) from drover.error where is_held")
        .await?;
    let mut beyond = 0;
    for (key, rows) in &made {
        let expected = predicted.get(key).copied().unwrap_or_default();
        ensure!(
            expected >= *rows,
            "{key:?}: {rows} rows, {expected} predicted"
        );
        beyond += expected - rows;
    }
    let unseen: Vec<_> = predicted
        .iter()
        .filter(|(key, _)| !made.contains_key(*key))
        .collect();
    beyond += unseen.iter().map(|(_, rows)| **rows).sum::<i64>();
    ensure!(
        beyond <= held,
        "{beyond} beyond {held} held ones: {unseen:?}"
    );

    // What it says of the whole is near: all rows were in the sample.
    let written = clinic
        .app
        .number("select sum(rows_written)::bigint from drover.partition")
        .await?;
    let rows = found["load"]["rows"].as_i64().unwrap_or_default();
    ensure!(
        (rows - written).abs() * 5 < written,
        "{rows} predicted, {written} written"
    );
    let bytes = found["load"]["data_bytes"].as_i64().unwrap_or_default();
    let real = clinic
        .app
        .number(
            "select sum(pg_total_relation_size(oid))::bigint from pg_class \
             where relnamespace = 'public'::regnamespace and relkind = 'r'",
        )
        .await?;
    ensure!(
        bytes * 3 > real && bytes < real * 3,
        "{bytes} bytes predicted, {real} there"
    );
    Ok(())
}

const LEGACY: &str = "
create table item (id int primary key, name text, amount int, code text);
insert into item select n, case when n % 7 > 0 then 'n' || n end, n - 3, 'c' || n % 99 from generate_series(1, 90000) n;
";
const APP: &str = "
create sequence drawn;
create table item (id uuid primary key, name text not null, amount int check (amount > 0), code text,
    serial_no serial, drawn int not null default nextval('drawn'), always int generated always as identity,
    twice int generated always as (amount * 2) stored);
create table audit (n int);
create function noted() returns trigger language plpgsql as $$ begin insert into audit values (1); return new; end $$;
create trigger noted after insert on item for each row execute function noted();
";
const PLAN: &str = "
defaults: {max_quarantined: 100000}
entities:
- entity: items
  source_entity: item
  destination_entity: item
  entity_type: item
  transformation_rules:
    name: [{col: name}]
    amount: [{col: amount}]
    code: [{col: code}, {null_if: [c0]}]
  sensitive: [name]
";

#[tokio::test]
async fn a_small_sample_comes_from_all_over_the_table_and_draws_no_number_of_the_targets_sequences()
-> Result<()> {
    let pair = Pair::new(LEGACY, APP).await?;
    pair.legacy.run("analyze").await?;
    let plan = pair.write(PLAN)?;
    let found = preflight(&pair.env(), &plan, &["--sample", "500"], 0).await?;
    let trial = &found["trials"][0];
    let sampled = trial["sampled"].as_i64().unwrap_or_default();
    ensure!((450..=500).contains(&sampled), "{trial}");
    let missing = trial["errors"]
        .as_array()
        .and_then(|errors| errors.iter().find(|error| error["code"] == "23502"));
    let missing = missing.expect("NULL in a NOT NULL column");
    let rows = missing["rows"].as_i64().unwrap_or_default();
    ensure!(missing["at"] == "name", "{missing}");
    ensure!(
        (rows * 7 - sampled).abs() < 90,
        "every seventh row: {rows} of {sampled}"
    );
    // One row in 30,000 breaks the check: those at the table's beginning are in it.
    ensure!(trial["errors"].to_string().contains("23514"), "{trial}");
    let nulls = trial["nulls"].as_array().expect("nulls");
    ensure!(
        nulls.iter().all(|null| null["column"] == "code") && nulls.len() == 1,
        "{trial}"
    );
    let (verdict, words) = check(&found, "destination", "triggers_and_publications");
    ensure!(verdict == "warn" && words.contains("noted"), "{words}");
    let drawn = "select count(*) from pg_sequences where last_value is not null";
    ensure!(pair.app.number(drawn).await? == 0, "a number was drawn");
    let fired = "select (select count(*) from audit) + (select count(*) from item)";
    ensure!(pair.app.number(fired).await? == 0, "a row was written");
    ensure!(found["load"]["seconds"].as_i64() > Some(0), "{found}");

    let none = preflight(&pair.env(), &plan, &["--sample", "0"], 0).await?;
    ensure!(none["trials"] == serde_json::json!([]), "{none}");
    ensure!(none["load"]["seconds"].is_null(), "{none}");
    Ok(())
}
