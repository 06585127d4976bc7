//! One real controller under N simulated agents (first argument, 500 unless given): what their streams cost it.
//!
//! Measures the controller's resident memory, its share of one core and the latency of `GetMigration` (a call
//! every 100 ms, none waiting for another), first without agents, then with N. An agent here holds a lease in
//! etcd as a real one does, says hello, and tells progress as often as one does whose batches take a second.
//! Fails when at the end a stream or lease was lost, or `ListAgents` does not show all N connected.
//!
//! Not measured: work. The migration is not started, so that frames are decoded, noted and dropped: there are no
//! assignments, claims or batches, and no supervisor. Nor a connection for each agent (20 are shared), nor TLS,
//! nor etcd with a watch for each agent. This process, PostgreSQL and etcd run on the same machine: on a
//! small one, latencies are theirs too. `DROVER_BINARY=.../release/drover` measures the release build.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};
use drover_tests::clinic::Clinic;
use drover_tests::cluster::Cluster;
use drover_tests::process::Process;
use drover_tests::simulated;
use proto::lease::{EtcdLeaseStore, EtcdSettings};
use proto::pb::agent_service_client::AgentServiceClient;
use proto::pb::agent_stream::agent_session_service_client::AgentSessionServiceClient;
use proto::pb::migration_service_client::MigrationServiceClient;
use proto::pb::{Agent, AgentState, GetMigrationRequest, ListAgentsRequest};
use proto::runtime::channel::{self, Address};
use proto::runtime::clock;
use proto::wire::PORT;
use proto::wire::agent_stream::MAX_ORDER_BYTES;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};
use tonic::transport::Channel;

/// TCP connections that the streams share.
const CHANNELS: usize = 20;
const WITHOUT: Duration = Duration::from_secs(10);
const WITH: Duration = Duration::from_secs(30);
const PROBE: Duration = Duration::from_millis(100);
/// An agent that was heard of so lately is taken in without delay.
const LATELY: i64 = 3;
/// How long the fleet may take to be as it shall be.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);
const MIGRATION: &str = "demo-clinic";

/// Simulated agents; each ends only with a reason.
type Crowd = JoinSet<Error>;

/// What the controller showed in one span of time.
struct Seen {
    rss_mib: f64,
    cpu_percent: f64,
    /// Sorted.
    latencies: Vec<Duration>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let count = match std::env::args().nth(1) {
        Some(text) => text.parse().context("how many streams?")?,
        None => 500,
    };
    // A plan is checked by an agent that reaches both databases; it leaves before anything is measured.
    let clinic = Clinic::new("0.01").await?;
    let mut cluster = Cluster::start(&[("checks-the-plan", "eu")], clinic.env()).await?;
    cluster
        .json(&["migration", "create", "-f", &clinic.plan()])
        .await?;
    cluster.agent("checks-the-plan").stop().await?;
    let address = Address::parse(&cluster.address(), PORT)?;
    let own = channel::connect(&address, None).await?;
    let mut agents = AgentServiceClient::new(channel::connect(&address, None).await?);
    let mut crowd = Crowd::new();
    until_connected(&mut agents, &mut crowd, 0).await?;

    let without = measure(&cluster.controller, &own, WITHOUT).await?;
    let began = Instant::now();
    gather(&mut crowd, &cluster, count).await?;
    until_connected(&mut agents, &mut crowd, count).await?;
    let opening = began.elapsed();
    let with = measure(&cluster.controller, &own, WITH).await?;

    print_table(count, &without, &with);
    let (connected, heard) = tally(&list(&mut agents).await?);
    println!(
        "{connected} of {count} agents connected at the end, {heard} heard of within {LATELY} s; \
         {:.1} s until all were",
        opening.as_secs_f64()
    );
    let mut lost = 0;
    while let Some(ended) = crowd.try_join_next() {
        eprintln!("{:#}", ended?);
        lost += 1;
    }
    ensure!(lost == 0, "{lost} agents were lost\n{}", cluster.logs());
    ensure!(connected == count, "{connected} of {count} are connected");
    ensure!(heard == count, "{heard} of {count} were heard of lately");
    Ok(())
}

/// Opens so many streams, at the same time as after a restart of the controller.
async fn gather(crowd: &mut Crowd, cluster: &Cluster, count: usize) -> Result<()> {
    let address = Address::parse(&cluster.address(), PORT)?;
    for first in 0..CHANNELS.min(count) {
        let client = AgentSessionServiceClient::new(channel::connect(&address, None).await?)
            .max_decoding_message_size(MAX_ORDER_BYTES);
        let settings = EtcdSettings::new([cluster.etcd.endpoint()]);
        let lease = Arc::new(EtcdLeaseStore::open(settings)?);
        for at in (first..count).step_by(CHANNELS) {
            let (client, lease) = (client.clone(), lease.clone());
            crowd.spawn(async move {
                let entry = simulated::entry(at);
                let name = entry.agent_id.clone();
                let Err(error) = Box::pin(simulated::attend(client, &lease, entry)).await;
                error.context(name)
            });
        }
    }
    Ok(())
}

/// Waits until so many agents are connected, and no other is known.
async fn until_connected(
    agents: &mut AgentServiceClient<Channel>,
    crowd: &mut Crowd,
    count: usize,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = list(agents).await?;
        let (connected, _) = tally(&found);
        if (connected, found.len()) == (count, count) {
            return Ok(());
        }
        if let Some(ended) = crowd.try_join_next() {
            return Err(ended?.context(format!("{connected} of {count} were connected")));
        }
        ensure!(
            Instant::now() < deadline,
            "{connected} of {count} are connected, {} known",
            found.len()
        );
        sleep(POLL).await;
    }
}

async fn list(agents: &mut AgentServiceClient<Channel>) -> Result<Vec<Agent>> {
    let (mut found, mut request) = (Vec::new(), ListAgentsRequest::default());
    loop {
        request.page_size = 1000;
        let page = agents.list_agents(request.clone()).await?.into_inner();
        found.extend(page.agents);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(found);
        }
    }
}

/// How many are connected, and how many of these were heard of lately.
fn tally(agents: &[Agent]) -> (usize, usize) {
    let since = clock::now().timestamp() - LATELY;
    let is_recent = |agent: &&Agent| agent.last_seen_at.is_some_and(|time| time.seconds >= since);
    let connected = agents
        .iter()
        .filter(|agent| agent.state() == AgentState::Active);
    (
        connected.clone().count(),
        connected.filter(is_recent).count(),
    )
}

/// Looks at the controller for so long, and asks for the migration meanwhile.
async fn measure(controller: &Process, own: &Channel, span: Duration) -> Result<Seen> {
    let (began, cpu) = (Instant::now(), controller.cpu_seconds()?);
    let mut ticks = interval(PROBE);
    let mut calls = JoinSet::new();
    while began.elapsed() < span {
        ticks.tick().await;
        let mut client = MigrationServiceClient::new(own.clone());
        calls.spawn(async move {
            let name = MIGRATION.to_owned();
            let asked = Instant::now();
            let answer = client.get_migration(GetMigrationRequest { name }).await;
            answer.map(|_| asked.elapsed())
        });
    }
    let cpu_percent = (controller.cpu_seconds()? - cpu) / began.elapsed().as_secs_f64() * 100.0;
    let rss_mib = controller.rss_mib()?;
    let mut latencies = Vec::new();
    while let Some(call) = calls.join_next().await {
        latencies.push(call?.context("GetMigration")?);
    }
    latencies.sort_unstable();
    Ok(Seen {
        rss_mib,
        cpu_percent,
        latencies,
    })
}

/// The nearest rank, in milliseconds.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    let found = sorted.get(rank - 1).copied();
    found.unwrap_or_default().as_secs_f64() * 1000.0
}

fn print_table(count: usize, without: &Seen, with: &Seen) {
    let row = |name: &str, figure: &dyn Fn(&Seen) -> f64| {
        println!("{name:<24}{:>10.1}{:>14.1}", figure(without), figure(with));
    };
    println!("{:<24}{:>10}{:>14}", "streams", 0, count);
    row("RSS, MiB", &|seen| seen.rss_mib);
    row("CPU, % of one core", &|seen| seen.cpu_percent);
    for (name, percent) in [("p50", 50), ("p95", 95), ("p99", 99), ("max", 100)] {
        let name = format!("GetMigration {name}, ms");
        row(&name, &|seen| percentile(&seen.latencies, percent));
    }
    let (before, after) = (without.latencies.len(), with.latencies.len());
    println!("{:<24}{before:>10}{after:>14}", "GetMigration calls");
}
