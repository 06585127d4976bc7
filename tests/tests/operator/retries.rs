//! Rows that failed are tried again once they are mended: after the end, amid a block, and with their children.

use anyhow::{Result, ensure};
use drover_tests::pair::Pair;
use serde_json::Value;

use super::*;

/// Counters of an entity: read, processed, failed, held.
async fn counts(pair: &Pair, entity: &str) -> Result<String> {
    let sql = format!(
        "select concat_ws(' ', records_read, records_processed, records_failed, records_held) \
         from drover_meta.entity_migration_status where entity = '{entity}'"
    );
    Ok(pair.app.texts(&sql).await?.remove(0))
}

/// Errors that are open, as `entity key code`.
async fn open(pair: &Pair) -> Result<Vec<String>> {
    pair.app
        .texts(
            "select concat_ws(' ', entity, source_record_id, error_code) from drover_meta.migration_error \
             where not is_resolved order by 1",
        )
        .await
}

fn retried(outcome: &Outcome) -> (i64, i64, i64) {
    let found = outcome.json();
    let items = found["items"].as_array().cloned().unwrap_or_default();
    let sum = |name: &str| items.iter().filter_map(|it| it[name].as_i64()).sum();
    (sum("rows_written"), sum("rows_failed"), sum("rows_gone"))
}

#[tokio::test]
async fn mended_rows_of_a_completed_migration_come_in_with_their_children_and_nothing_doubles()
-> Result<()> {
    let (pair, path) = shop("defaults: {max_quarantined: 100%, batch_size: 100}").await?;
    let run = drover::run(&["run", &path], &pair.env()).await?;
    ensure!(run.code == Some(0), "{}", run.stderr);
    assert_eq!(counts(&pair, "customers").await?, "300 297 3 0");
    // Orders of customers 7, 77 and 177, and the one without a total.
    assert_eq!(counts(&pair, "orders").await?, "1200 1187 13 12");
    assert_eq!(counts(&pair, "items").await?, "2400 2374 26 26");
    let groups = here(&pair, &["error", "group", "-o", "json"], 0)
        .await?
        .json();
    let group = |entity: &str, code: &str| -> Value {
        let items = groups["items"].as_array().cloned().unwrap_or_default();
        let is_it = |it: &&Value| it["entity"] == entity && it["error_code"] == code;
        items.iter().find(is_it).cloned().unwrap_or_default()
    };
    assert_eq!(group("customers", "DROVER_EMAIL_INVALID")["open"], 3);
    assert_eq!(group("orders", "23502")["place"], "total");
    assert_eq!(group("orders", "DROVER_PARENT_QUARANTINED")["count"], 12);

    pair.legacy
        .run(
            "update customer set email = 'Customer-' || id || '@Example.com' where id in (7, 77);
             update orders set total = 11 where id = 11;
             delete from item where order_id in (select id from orders where customer_id = 77 limit 1)",
        )
        .await?;
    let gone = pair
        .legacy
        .number("select 2400 - count(*) from item")
        .await?;
    let again = here(&pair, &["error", "retry", "--all", "-o", "json"], 0).await?;
    // Customers 7 and 77 with their eight orders and those orders' items; order 11 with its own; 177 fails again.
    let (written, failed, _) = retried(&again);
    assert_eq!(written, 2 + 8 + 1 + (16 - gone) + 2, "{}", again.stderr);
    ensure!(failed >= 1, "{}", again.stdout);
    ensure!(again.stderr.contains("a later moment"), "{}", again.stderr);
    let held = |entity: &str, keys: &[i32]| -> Vec<String> {
        let named = keys
            .iter()
            .map(|key| format!("{entity} {key} DROVER_PARENT_QUARANTINED"));
        named.collect()
    };
    let mut expected = vec!["customers 177 DROVER_EMAIL_INVALID".to_owned()];
    expected.extend(held("orders", &[176, 476, 776, 1076]));
    expected.extend(held(
        "items",
        &[175, 475, 775, 1075, 1375, 1675, 1975, 2275],
    ));
    expected.sort();
    assert_eq!(open(&pair).await?, expected);
    assert_eq!(counts(&pair, "customers").await?, "300 299 1 0");
    assert_eq!(counts(&pair, "orders").await?, "1200 1196 4 4");
    // What is gone from the source stays counted as set aside, and is decided.
    let items = format!("2400 {} {} {}", 2392 - gone, 8 + gone, 8 + gone);
    assert_eq!(counts(&pair, "items").await?, items);
    let state = "select concat_ws(' ', status, attempt) from drover_meta.migration_orchestration";
    assert_eq!(pair.app.texts(state).await?, ["completed 1"]);

    let get = here(&pair, &["migration", "get", "pair"], 0).await?;
    let later = format!("; {written} rows that were retried, at a later one");
    ensure!(get.stdout.contains(&later), "{}", get.stdout);

    // The same as if it had been so from the beginning.
    let found = rows(&pair).await?;
    let batches_before = batches(&pair, "%").await?;
    let nothing = here(
        &pair,
        &["error", "retry", "--entity", "orders", "-o", "json"],
        0,
    )
    .await?;
    assert_eq!(retried(&nothing).0, 0);
    ensure!(batches(&pair, "%").await? > batches_before);
    assert_eq!(open(&pair).await?, expected);
    let calm = pair.with_fresh_target(APP).await?;
    let run = drover::run(&["run", &path], &calm.env()).await?;
    ensure!(run.code == Some(0), "{}", run.stderr);
    assert_eq!(found, rows(&calm).await?);
    Ok(())
}

#[tokio::test]
async fn rows_of_a_migration_that_is_blocked_by_them_are_tried_and_it_goes_on() -> Result<()> {
    let (pair, path) = shop("defaults: {max_quarantined: 0}").await?;
    let cluster = started(&pair, &path).await?;
    until(&cluster, "blocked").await?;
    let get = cluster.json(&["migration", "get", "pair"]).await?;
    let steps = get["next_steps"].to_string();
    for step in [
        "drover error group --migration pair",
        "drover error retry --all --migration pair",
        "drover migration resume pair",
        "drover migration cancel pair",
    ] {
        ensure!(steps.contains(step), "{steps}");
    }
    // One is mended, one is agreed on, and the third still blocks.
    pair.legacy
        .run("update customer set email = 'seven@example.com' where id = 7")
        .await?;
    let retry = [
        "error",
        "retry",
        "--entity",
        "customers",
        "--wait",
        "-o",
        "json",
    ];
    let first = must(cluster.drover(&retry).await?, 0, &cluster)?;
    assert_eq!(retried(&first), (1, 2, 0), "{}", first.stdout);
    must(
        cluster.drover(&["migration", "resume", "pair"]).await?,
        0,
        &cluster,
    )?;
    until(&cluster, "blocked").await?;
    pair.legacy
        .run(
            "update customer set email = 'c' || id || '@example.com' where id in (77, 177);
              update orders set total = 0 where total is null",
        )
        .await?;
    let second = must(cluster.drover(&retry).await?, 0, &cluster)?;
    assert_eq!(retried(&second), (2, 0, 0), "{}", second.stdout);
    must(
        cluster.drover(&["migration", "resume", "pair"]).await?,
        0,
        &cluster,
    )?;
    // Order 11 was read as it was at the beginning.
    until(&cluster, "blocked").await?;
    let order = ["error", "retry", "--code", "23502", "--wait", "-o", "json"];
    let third = must(cluster.drover(&order).await?, 0, &cluster)?;
    assert_eq!(retried(&third), (1, 0, 0), "{}", third.stdout);
    must(
        cluster.drover(&["migration", "resume", "pair"]).await?,
        0,
        &cluster,
    )?;
    until(&cluster, "completed").await?;
    let found = rows(&pair).await?;
    assert_eq!(found.len(), 300 + 1200 + 2400);
    let list = cluster.json(&["error", "list", "--resolved=false"]).await?;
    let open = list["items"].as_array().cloned().unwrap_or_default();
    let of_rows = open
        .iter()
        .filter(|error| !error["source_record_id"].is_null());
    assert_eq!(of_rows.count(), 0, "{list}");
    Ok(())
}

#[tokio::test]
async fn an_error_is_skipped_with_a_reason_and_exported_without_its_secrets() -> Result<()> {
    let (pair, path) = shop("defaults: {max_quarantined: 100%}").await?;
    let run = drover::run(&["run", &path], &pair.env()).await?;
    ensure!(run.code == Some(0), "{}", run.stderr);
    here(&pair, &["error", "skip", "--reason", "agreed"], 2).await?;
    let skip = [
        "error",
        "skip",
        "--entity",
        "customers",
        "--reason",
        "agreed with the shop",
    ];
    let skipped = here(&pair, &skip, 0).await?;
    ensure!(skipped.stdout.starts_with("3 errors"), "{}", skipped.stdout);
    let list = here(&pair, &["error", "list", "--resolved", "-o", "json"], 0)
        .await?
        .json();
    let error = &list["items"][0];
    let notes = error["resolution_notes"].as_str().unwrap_or_default();
    ensure!(
        notes.starts_with("skipped by ") && notes.ends_with(": agreed with the shop"),
        "{notes}"
    );
    // Children of a row that stays away stay away.
    let again = here(
        &pair,
        &["error", "retry", "--entity", "orders", "-o", "json"],
        0,
    )
    .await?;
    assert_eq!(retried(&again).0, 0, "{}", again.stdout);
    for format in ["jsonl", "csv"] {
        let all = here(&pair, &["error", "export", "--format", format], 0).await?;
        ensure!(
            all.stdout.contains("DROVER_EMAIL_INVALID"),
            "{}",
            all.stdout
        );
        ensure!(all.stdout.contains("redacted"), "{}", all.stdout);
        ensure!(!all.stdout.contains("nobody"), "{}", all.stdout);
    }
    Ok(())
}

#[tokio::test]
async fn rows_that_refer_to_each_other_come_in_once_those_they_refer_to_are_there() -> Result<()> {
    let pair = Pair::new(
        "create table node (id int primary key, parent_id int references node, label text);
         insert into node select n, nullif(n / 2, 0), 'n' || n from generate_series(1, 40) n;
         update node set label = null where id in (3, 9)",
        "create table nodes (id uuid primary key, parent_id uuid references nodes, label text not null)",
    )
    .await?;
    let path = pair.write(
        "defaults: {max_quarantined: 100%}
entities:
- {entity: nodes, source_entity: node, destination_entity: nodes, entity_type: node,
   transformation_rules: {parent_id: [{col: parent_id}, {fk: {entity: nodes}}], label: [{col: label}]}}
",
    )?;
    let run = drover::run(&["run", &path], &pair.env()).await?;
    ensure!(run.code == Some(0), "{}", run.stderr);
    // 3 with 6, 7, 12 … 15, 24 … 31, and 9 with 18, 19, 36 … 39.
    assert_eq!(counts(&pair, "nodes").await?, "40 18 22 20");
    pair.legacy
        .run("update node set label = 'three' where id = 3")
        .await?;
    let again = here(&pair, &["error", "retry", "--code", "23502"], 0).await?;
    assert_eq!(
        pair.app.number("select count(*) from nodes").await?,
        33,
        "{}",
        again.stderr
    );
    // What is below 9 waits for it, as before.
    assert_eq!(counts(&pair, "nodes").await?, "40 33 7 6");
    pair.legacy
        .run("update node set label = 'nine' where id = 9")
        .await?;
    here(&pair, &["error", "retry", "--code", "23502"], 0).await?;
    assert_eq!(counts(&pair, "nodes").await?, "40 40 0 0");
    assert_eq!(open(&pair).await?, Vec::<String>::new());
    let wrong = "select count(*) from nodes c left join nodes p on p.id = c.parent_id \
                 where c.parent_id is not null and p.id is null";
    assert_eq!(pair.app.number(wrong).await?, 0);
    Ok(())
}

#[tokio::test]
async fn rows_are_tried_again_while_the_migration_runs_and_no_child_is_left_behind() -> Result<()> {
    let head =
        "defaults: {max_quarantined: 100%, batch_size: 20}\nlimits: {max_rows_per_second: 400}";
    let (pair, path) = shop(head).await?;
    let cluster = started(&pair, &path).await?;
    // Orders are being copied, by agents that know which customers failed.
    cluster.until_processed(450).await?;
    pair.legacy
        .run(
            "update customer set email = 'c' || id || '@example.com' where id in (7, 77, 177);
              update orders set total = 11 where id = 11",
        )
        .await?;
    let retry = [
        "error",
        "retry",
        "--entity",
        "customers",
        "--wait",
        "-o",
        "json",
    ];
    let again = must(cluster.drover(&retry).await?, 0, &cluster)?;
    ensure!(
        retried(&again).0 >= 3,
        "{}\n{}",
        again.stdout,
        cluster.logs()
    );
    let get = cluster.json(&["migration", "get", "pair"]).await?;
    assert_eq!(
        (&get["status"], &get["activity"]),
        (&"running".into(), &"running".into())
    );
    let set = ["migration", "set", "pair", "max_rows_per_second=none"];
    must(cluster.drover(&set).await?, 0, &cluster)?;
    until(&cluster, "completed").await?;
    // Order 11 was read as it was; what refers to it is held.
    let open = cluster.json(&["error", "list", "--resolved=false"]).await?;
    let open = open["items"].as_array().cloned().unwrap_or_default();
    let codes: Vec<&str> = open
        .iter()
        .filter_map(|error| error["error_code"].as_str())
        .collect();
    assert_eq!(codes.len(), 3, "{codes:?}\n{}", cluster.logs());
    let all = ["error", "retry", "--all", "--wait", "-o", "json"];
    let rest = must(cluster.drover(&all).await?, 0, &cluster)?;
    assert_eq!(retried(&rest), (3, 0, 0), "{}", rest.stdout);
    assert_eq!(rows(&pair).await?.len(), 300 + 1200 + 2400);
    Ok(())
}
