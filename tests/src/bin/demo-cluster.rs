//! `make demo-cluster`: a migration by three agents while one is killed, one frozen and everything else restarted.
//!
//!   demo-cluster [SCALE] [ROUNDS] [SEED]      1 is about 250,000 rows; 1, 1 and a random seed where not given
//!
//! Every round starts etcd, a controller and three agents in two regions as processes of their own, disturbs them at
//! moments that the seed decides, and compares rows and schema with what an undisturbed `drover run` made. The
//! exit code is 0 only when all rounds are equal.

use std::fmt::Display;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use drover_tests::clinic::Clinic;
use drover_tests::cluster::Cluster;
use drover_tests::drover;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tokio::time::Instant;

/// Columns whose values are the moment of the migration.
const VOLATILE: &[&str] = &["imported_at"];
const AGENTS: [(&str, &str); 3] = [("eu-1", "eu"), ("eu-2", "eu"), ("us-1", "us")];
const MIGRATION: &str = "demo-clinic";
/// How long the frozen agent stays so.
const FREEZE: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let scale = args.next().unwrap_or_else(|| "1".to_owned());
    let rounds: usize = args.next().map_or(Ok(1), |text| text.parse())?;
    let seed: u64 = args
        .next()
        .map_or(Ok(rand::random()), |text| text.parse())?;
    println!("a clinic at scale {scale}, migrated by one undisturbed process (seed {seed})");
    let calm = Clinic::new(&scale).await?;
    let outcome = drover::run(&["run", &calm.plan()], &calm.env()).await?;
    ensure!(outcome.code == Some(0), "{}", outcome.stderr);
    let expected = calm.digest(VOLATILE).await?;
    let mut moments = StdRng::seed_from_u64(seed);
    let mut equal = 0;
    for round in 1..=rounds {
        println!("round {round} of {rounds}");
        let clinic = calm.with_fresh_target().await?;
        let found = match disturbed(&clinic, &mut moments).await {
            Ok(()) => clinic.digest(VOLATILE).await?,
            Err(error) => format!("none: {error:#}"),
        };
        println!("         one process    {expected}");
        println!("         three agents   {found}");
        println!(
            "         {}",
            if found == expected {
                "equal"
            } else {
                "DIFFERENT"
            }
        );
        equal += usize::from(found == expected);
        clinic.app.discard().await?;
    }
    println!("{equal} of {rounds} equal");
    ensure!(equal == rounds, "not every round was equal");
    Ok(())
}

/// One migration with everything that can happen to it.
async fn disturbed(clinic: &Clinic, moments: &mut StdRng) -> Result<()> {
    let mut cluster = Cluster::start(&AGENTS, clinic.env()).await?;
    let told = story(&mut cluster, clinic, moments).await;
    told.with_context(|| cluster.logs())
}

async fn story(cluster: &mut Cluster, clinic: &Clinic, moments: &mut StdRng) -> Result<()> {
    let clock = Clock(Instant::now());
    clock.say("etcd, a controller and the agents eu-1, eu-2 (eu) and us-1 (us) are up");
    let agents = cluster.json(&["agent", "list"]).await?;
    cluster
        .json(&["migration", "create", "-f", &clinic.plan()])
        .await?;
    cluster.json(&["migration", "start", MIGRATION]).await?;
    clock.say("the migration is created and started");
    let total = clinic.legacy_rows().await?;
    let mut at = |from: i64, to: i64| total * moments.random_range(from..to) / 100;

    clock.until(cluster, at(3, 20)).await?;
    cluster.agent("eu-1").kill().await?;
    let killed = Instant::now();
    clock.say("eu-1 is killed with -9");
    clock.until(cluster, at(20, 30)).await?;
    cluster.agent("eu-2").freeze()?;
    let frozen = Instant::now();
    clock.say("eu-2 is frozen");
    clock.until(cluster, at(30, 45)).await?;
    cluster.restart_controller().await?;
    clock.say("the controller is killed with -9 and started again");
    clock.until(cluster, at(45, 60)).await?;
    cluster.etcd.restart().await;
    clock.say("etcd is killed with -9 and started again");
    for (name, since) in [("eu-1", killed), ("eu-2", frozen)] {
        let left = until_taken_over(clinic, &agent_id(&agents, name)?).await?;
        clock.say(format!(
            "{left}; {name}'s work is in other hands {:.1} s after it stopped",
            since.elapsed().as_secs_f64()
        ));
    }
    tokio::time::sleep_until(frozen + FREEZE).await;
    cluster.agent("eu-2").thaw()?;
    clock.say("eu-2 is thawed, 30 s after it froze");
    let wait = [
        "migration",
        "wait",
        MIGRATION,
        "--for=state=completed",
        "--wait-timeout",
        "240s",
    ];
    let outcome = cluster.drover(&wait).await?;
    ensure!(
        outcome.code == Some(0),
        "{:?} {}",
        outcome.code,
        outcome.stderr
    );
    cluster.until_agents(2).await?;
    clock.say("the migration is completed, eu-2 is back");
    Ok(())
}

/// Waits until no unfinished partition has this holder; how many it had left when asked.
async fn until_taken_over(clinic: &Clinic, holder: &str) -> Result<String> {
    let held = format!(
        "select count(*) from drover.partition where holder = '{holder}' and not done and number >= 0"
    );
    let left = clinic.app.number(&held).await?;
    let deadline = Instant::now() + PATIENCE;
    while clinic.app.number(&held).await? > 0 {
        ensure!(
            Instant::now() < deadline,
            "partitions of {holder} were not taken over"
        );
        tokio::time::sleep(POLL).await;
    }
    Ok(match left {
        0 => "taken over already".to_owned(),
        left => format!("{left} partitions taken over"),
    })
}

/// The id of an agent in a list of them.
fn agent_id(list: &Value, name: &str) -> Result<String> {
    let agents = list["items"].as_array();
    let agent = agents.and_then(|agents| agents.iter().find(|agent| agent["name"] == name));
    let id = agent.and_then(|agent| agent["id"].as_str());
    Ok(id
        .with_context(|| format!("no agent {name} in {list}"))?
        .to_owned())
}

/// Tells what happens with the seconds since the start.
struct Clock(Instant);

impl Clock {
    fn say(&self, what: impl Display) {
        println!("{:6.1} s  {what}", self.0.elapsed().as_secs_f64());
    }

    async fn until(&self, cluster: &Cluster, rows: i64) -> Result<()> {
        cluster.until_processed(rows).await
    }
}
