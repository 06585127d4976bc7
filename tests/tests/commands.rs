//! The commands of a person: look at a migration, interrupt one, the demo.

use std::time::Duration;

use anyhow::Result;
use drover_tests::clinic::Clinic;
use drover_tests::drover;
use tokio::process::Command;

#[tokio::test]
async fn local_commands_show_what_a_run_left() -> Result<()> {
    let clinic = Clinic::new("0.01").await?;
    let env = clinic.env();
    let nothing = drover::run(&["migration", "get", "demo-clinic", "--local"], &env).await?;
    assert_eq!(nothing.code, Some(3), "{}", nothing.stderr);
    let run = drover::run(&["run", &clinic.plan()], &env).await?;
    assert_eq!(run.code, Some(0), "{}", run.stderr);

    let list = drover::run(&["migration", "list", "--local", "-o", "jsonl"], &env).await?;
    assert_eq!(list.code, Some(0), "{}", list.stderr);
    let line: serde_json::Value =
        serde_json::from_str(list.stdout.lines().next().unwrap_or_default())?;
    assert_eq!(line["name"], "demo-clinic");
    let id = line["id"].as_str().unwrap_or_default().to_owned();
    let by_id = drover::run(
        &["migration", "get", &id[..8], "--local", "-o", "json"],
        &env,
    )
    .await?;
    assert_eq!(by_id.json()["id"], id.as_str());

    let found = drover::run(
        &["mapping", "lookup", "offices", "1", "--local", "-o", "json"],
        &env,
    )
    .await?;
    assert_eq!(found.code, Some(0), "{}", found.stderr);
    assert!(
        found
            .stdout
            .contains("f5dac2b9-b767-5695-b973-b42c21cc8b50"),
        "{}",
        found.stdout
    );
    let in_sql = "select destination_id::text from drover.mapping_lookup('dispatch_office', '1')";
    assert_eq!(
        clinic.app.texts(in_sql).await?,
        ["f5dac2b9-b767-5695-b973-b42c21cc8b50"]
    );
    let missing = drover::run(&["mapping", "lookup", "offices", "4711", "--local"], &env).await?;
    assert_eq!(missing.code, Some(3), "{}", missing.stderr);

    let schema = drover::run(&["rules", "schema"], &[]).await?;
    assert!(schema.json()["properties"]["entities"].is_object());
    let explain = drover::run(
        &["rules", "explain", "orders", "--plan", &clinic.plan()],
        &env,
    )
    .await?;
    assert!(explain.stdout.contains("ORDER BY"), "{}", explain.stderr);
    Ok(())
}

#[tokio::test]
async fn one_name_in_two_databases_is_ambiguous() -> Result<()> {
    let first = Clinic::new("0.01").await?;
    let second = first.with_fresh_target().await?;
    for clinic in [&first, &second] {
        assert_eq!(
            drover::run(&["run", &clinic.plan()], &clinic.env())
                .await?
                .code,
            Some(0)
        );
    }
    let mut env = first.env();
    env.push(("DROVER_CONNECTION_OTHER".to_owned(), second.app.url()));
    let get = drover::run(&["migration", "get", "demo-clinic", "--local"], &env).await?;
    assert_eq!(get.code, Some(3), "{}", get.stderr);
    Ok(())
}

#[tokio::test]
async fn an_interrupted_run_goes_on_when_it_is_started_again() -> Result<()> {
    let clinic = Clinic::new("0.1").await?;
    let child = drover::command(&["run", &clinic.plan()], &clinic.env()).spawn()?;
    let begun = "select count(*) from pg_class where relname = 'ledger' and relnamespace = to_regnamespace('drover')";
    while clinic.app.number(begun).await? == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pid = child.id().unwrap_or_default().to_string();
    Command::new("kill").args(["-INT", &pid]).status().await?;
    let stopped = drover::finish(child).await?;
    assert_eq!(stopped.code, Some(130), "{}", stopped.stderr);
    let resumed = drover::run(&["run", &clinic.plan()], &clinic.env()).await?;
    assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
    let calm = clinic.with_fresh_target().await?;
    assert_eq!(
        drover::run(&["run", &calm.plan()], &calm.env()).await?.code,
        Some(0)
    );
    assert_eq!(
        clinic.digests(&["imported_at"]).await?,
        calm.digests(&["imported_at"]).await?
    );
    assert_eq!(clinic.definitions().await?, calm.definitions().await?);
    Ok(())
}

#[tokio::test]
async fn the_demo_shows_a_balanced_table_and_cleans_up() -> Result<()> {
    let demo = drover::run(&["dev", "--demo", "--scale", "0.01", "--exit-after"], &[]).await?;
    assert_eq!(demo.code, Some(0), "{}", demo.stderr);
    assert!(
        demo.stdout
            .contains("source = written + quarantined + held + filtered + skipped")
    );
    let total = demo
        .stdout
        .lines()
        .find(|line| line.starts_with("total"))
        .unwrap_or_default();
    let numbers: Vec<i64> = total
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    assert_eq!(numbers.len(), 6, "{total}");
    assert_eq!(numbers[0], numbers[1..].iter().sum::<i64>(), "{total}");
    Ok(())
}
