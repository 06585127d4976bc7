//! Rows of 16 MB and a destination that stalls: the process stays small.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use drover_tests::drover;
use drover_tests::pair::Pair;
use drover_tests::pg;
use drover_tests::proxy::Proxy;
use tokio::process::Child;
use tokio::time::Instant;

const LIMIT_MIB: f64 = 256.0;
const POLL: Duration = Duration::from_millis(50);

const PLAN: &str = "limits: {parallel_partitions: 4}
entities:
- entity: films
  source_entity: film
  destination_entity: films
  entity_type: film
  id: {kind: keep}
  transformation_rules: {body: [{col: body}]}
- entity: scans
  source_entity: scan
  destination_entity: scans
  entity_type: scan
  id: {kind: keep}
  transformation_rules: {body: [{col: body}]}
- entity: notes
  source_entity: note
  destination_entity: notes
  entity_type: note
  id: {kind: keep}
  transformation_rules: {body: [{col: body}]}
";

/// Two tables with rows of 16 MB, small ones between them, and one of small rows only.
async fn world() -> Result<Pair> {
    let large = "case when n % 10 = 0 then 'small ' || n else repeat(chr(97 + n % 26) || n, 16 * 1024 * 1024 / length('a' || n)) end";
    Pair::new(
        &format!(
            "create table film (id bigint primary key, body text);
             insert into film select n, {large} from generate_series(1, 24) n;
             create table scan (id bigint primary key, body bytea);
             insert into scan select n, convert_to({large}, 'UTF8') from generate_series(1, 20) n;
             create table note (id bigint primary key, body text);
             insert into note select n, 'note ' || n from generate_series(1, 60000) n"
        ),
        "create table films (id bigint primary key, body text);
         create table scans (id bigint primary key, body bytea);
         create table notes (id bigint primary key, body text)",
    )
    .await
}

/// Digests of all rows of the three tables.
fn digest(names: [&str; 3]) -> String {
    let [films, scans, notes] = names;
    format!(
        "select md5(string_agg(id || md5(body), ',' order by id)) from {films} \
         union all select md5(string_agg(id || md5(body), ',' order by id)) from {scans} \
         union all select md5(string_agg(id || md5(body), ',' order by id)) from {notes}"
    )
}

/// The most memory that a process had until it ended, in MiB.
async fn peak(child: &mut Child) -> Result<f64> {
    let status = format!("/proc/{}/status", child.id().context("it has ended")?);
    let mut most = 0.0_f64;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(kib) = line.and_then(|line| line.split_whitespace().next()) {
            most = most.max(kib.parse::<f64>()? / 1024.0);
        }
        if tokio::time::timeout(POLL, child.wait()).await.is_ok() {
            return Ok(most);
        }
    }
}

async fn run(pair: &Pair, app: String) -> Result<f64> {
    let path = pair.write(PLAN)?;
    let env = [
        ("DROVER_CONNECTION_LEGACY".to_owned(), pair.legacy.url()),
        ("DROVER_CONNECTION_APP".to_owned(), app),
        ("DROVER_METADATA_URL".to_owned(), pair.app.url()),
    ];
    let mut child = drover::command(&["run", &path], &env).spawn()?;
    let most = peak(&mut child).await?;
    let outcome = drover::finish(child).await?;
    ensure!(outcome.code == Some(0), "{}", outcome.stderr);
    let (before, after) = (
        pair.legacy.texts(&digest(["film", "scan", "note"])).await?,
        pair.app.texts(&digest(["films", "scans", "notes"])).await?,
    );
    ensure!(before == after, "{before:?} {after:?}");
    println!("at most {most:.0} MiB");
    Ok(most)
}

#[tokio::test]
async fn rows_of_16_megabytes_fit_into_256() -> Result<()> {
    let pair = world().await?;
    let app = pair.app.url();
    let most = run(&pair, app).await?;
    ensure!(most < LIMIT_MIB, "{most:.0} MiB");
    Ok(())
}

#[tokio::test]
async fn nothing_piles_up_before_a_destination_that_stalls() -> Result<()> {
    let pair = world().await?;
    let upstream = pg::server().await.port;
    let proxy = Proxy::start(format!("127.0.0.1:{upstream}"), Duration::ZERO).await?;
    let app = pair
        .app
        .url()
        .replace(&format!(":{upstream}/"), &format!(":{}/", proxy.port));
    let stall = async {
        // Once rows are on their way.
        let copies = "select count(*) from pg_stat_progress_copy \
                      where command = 'COPY FROM' and datname = current_database()";
        let deadline = Instant::now() + Duration::from_secs(60);
        while pair.app.number(copies).await? == 0 {
            ensure!(Instant::now() < deadline, "no row came");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        proxy.stall();
        tokio::time::sleep(Duration::from_secs(5)).await;
        proxy.go_on();
        anyhow::Ok(())
    };
    let (most, stalled) = tokio::join!(run(&pair, app), stall);
    stalled?;
    let most = most?;
    ensure!(most < LIMIT_MIB, "{most:.0} MiB");
    Ok(())
}
