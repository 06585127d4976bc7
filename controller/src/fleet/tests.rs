//! Agents come, go and come back. Nothing here waits for a time to pass: what ends a grace is called.

mod credits;
mod leaving;
mod questions;
mod work;

use std::collections::BTreeSet;

use proto::domain::compiled::CODEC_VERSION;
use proto::domain::failure::FailureKind;
use proto::domain::frame::{BatchReport, Counts, Hello, Order, Release};
use proto::runtime::pipe;

use super::*;

const CONTROLLER: Uuid = Uuid::from_u128(0xC0);
const EPOCH: i64 = 7;
const MIGRATION: Uuid = Uuid::from_u128(0xA1);
const OTHER: Uuid = Uuid::from_u128(0xA2);

/// The agent's side of a stream that is served.
struct Agent {
    frames: mpsc::Sender<AgentFrame>,
    orders: mpsc::Receiver<Order>,
}

impl Agent {
    async fn say(&self, frame: AgentFrame) {
        self.frames.send(frame).await.unwrap();
    }

    async fn order(&mut self) -> ControllerFrame {
        let order = soon(self.orders.recv()).await.expect("an order");
        assert_eq!(order.epoch, EPOCH);
        order.frame
    }

    /// Whatever is ready to run has run, and there is no order.
    async fn has_no_order(&mut self) -> bool {
        settle().await;
        self.orders.try_recv().is_err()
    }
}

fn fleet() -> Fleet {
    Fleet::new(CONTROLLER, EPOCH)
}

fn hello(holder: Uuid, name: &str) -> Hello {
    Hello {
        holder,
        agent_id: name.to_owned(),
        region: "eu".to_owned(),
        labels: BTreeMap::new(),
        connections: vec!["legacy".to_owned(), "app".to_owned()],
        capacity: 4,
        codec_version: CODEC_VERSION,
        version: "1.2.3".to_owned(),
        held: Vec::new(),
        snapshots: Vec::new(),
    }
}

fn held(migration_id: Uuid, partition: u128, generation: i64) -> HeldPartition {
    HeldPartition {
        migration_id,
        partition_id: Uuid::from_u128(partition),
        generation,
    }
}

fn released(held: HeldPartition) -> AgentFrame {
    AgentFrame::Released {
        migration_id: held.migration_id,
        partition_id: held.partition_id,
        generation: held.generation,
        reason: Release::Done,
    }
}

fn batch(migration_id: Uuid, seq: i64) -> AgentFrame {
    let report = BatchReport {
        partition_id: Uuid::from_u128(1),
        entity: "customer".to_owned(),
        attempt: 1,
        seq,
        token: 1,
        cursor: None,
        counts: Counts::default(),
        totals: Counts::default(),
        retry_count: 0,
        started_at: chrono::DateTime::UNIX_EPOCH,
        written_at: chrono::DateTime::UNIX_EPOCH,
        errors: Vec::new(),
        was_bisected: false,
        is_last: false,
    };
    AgentFrame::Batch {
        migration_id,
        report: Box::new(report),
    }
}

fn progress(migration_id: Uuid) -> AgentFrame {
    AgentFrame::Progress {
        migration_id,
        partition_id: Uuid::from_u128(1),
        rows_in_flight: 1,
        throttle: None,
    }
}

/// Fails the test instead of hanging it.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future)
        .await
        .expect("in time")
}

/// On the one thread of a test: lets everything run that can.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Opens a stream whose first frame is this.
async fn dial(fleet: &Fleet, first: AgentFrame) -> (Result<Stay, Refusal>, Agent) {
    let (ours, theirs) = pipe::pair::<Order, AgentFrame>(8);
    let agent = Agent {
        frames: theirs.tx,
        orders: theirs.rx,
    };
    agent.say(first).await;
    (soon(fleet.greet(ours)).await, agent)
}

/// An agent that was welcomed and is served.
async fn connect(fleet: &Fleet, hello: Hello) -> Agent {
    let (stay, mut agent) = dial(fleet, AgentFrame::Hello(hello)).await;
    tokio::spawn(stay.unwrap().serve());
    let welcome = agent.order().await;
    assert!(matches!(welcome, ControllerFrame::Welcome { .. }));
    agent
}

async fn until_disconnected(fleet: &Fleet, holder: Uuid) {
    let mut changes = fleet.changes();
    let is_connected = || fleet.line(holder).is_some();
    soon(async {
        while is_connected() {
            changes.changed().await.unwrap();
        }
    })
    .await;
}

fn has_changed(changes: &mut watch::Receiver<u64>) -> bool {
    let has_changed = changes.has_changed().unwrap();
    changes.mark_unchanged();
    has_changed
}

#[tokio::test]
async fn a_hello_is_welcomed_with_credits_and_the_agent_is_there() {
    let fleet = fleet();
    let mut changes = fleet.changes();
    let mut first = hello(Uuid::from_u128(1), "one");
    first.labels.insert("disk".to_owned(), "fast".to_owned());
    first.held = vec![held(MIGRATION, 1, 3)];
    first.snapshots = vec![MIGRATION];
    let (stay, mut agent) = dial(&fleet, AgentFrame::Hello(first.clone())).await;
    assert_eq!(stay.unwrap().holder, first.holder);
    let welcome = ControllerFrame::Welcome {
        controller_id: CONTROLLER,
        credits: CREDITS,
    };
    assert_eq!(agent.order().await, welcome);
    assert!(has_changed(&mut changes));
    let [member] = fleet.members().try_into().unwrap();
    assert_eq!(member.holder, first.holder);
    assert_eq!(member.name, "one");
    assert_eq!(member.region, "eu");
    assert_eq!(member.labels, first.labels);
    assert_eq!(member.connections, first.connections);
    assert_eq!(member.capacity, 4);
    assert_eq!(member.held, first.held);
    assert_eq!(member.snapshots, BTreeSet::from([MIGRATION]));
    assert_eq!(member.duty, Duty::Active);
    assert!(member.is_connected);
    assert_eq!(member.version, "1.2.3");
    assert_eq!(member.codec_version, CODEC_VERSION);
}

#[tokio::test]
async fn members_are_listed_by_region_and_name() {
    let fleet = fleet();
    let mut agents = Vec::new();
    for (id, region, name) in [(1, "us", "a"), (2, "eu", "z"), (3, "eu", "b")] {
        let mut hello = hello(Uuid::from_u128(id), name);
        hello.region = region.to_owned();
        agents.push(connect(&fleet, hello).await);
    }
    let names: Vec<String> = fleet.members().into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["b", "z", "a"]);
}

#[tokio::test]
async fn who_does_not_say_hello_first_is_refused() {
    let fleet = fleet();
    let (stay, mut agent) = dial(&fleet, batch(MIGRATION, 1)).await;
    assert_eq!(stay.unwrap_err(), Refusal::NoHello);
    assert_eq!(agent.orders.recv().await, None);
    let (ours, theirs) = pipe::pair::<Order, AgentFrame>(8);
    drop(theirs);
    let refusal = soon(fleet.greet(ours)).await.unwrap_err();
    assert_eq!(refusal, Refusal::NoHello);
    assert!(fleet.members().is_empty());
}

#[tokio::test]
async fn another_codec_version_is_refused() {
    let fleet = fleet();
    for theirs in [CODEC_VERSION - 1, CODEC_VERSION + 1] {
        let mut hello = hello(Uuid::from_u128(1), "one");
        hello.codec_version = theirs;
        let (stay, mut agent) = dial(&fleet, AgentFrame::Hello(hello)).await;
        let ours = CODEC_VERSION;
        assert_eq!(stay.unwrap_err(), Refusal::CodecVersion { theirs, ours });
        assert_eq!(agent.orders.recv().await, None);
    }
    assert!(fleet.members().is_empty());
}

#[tokio::test]
async fn the_name_of_an_agent_whose_stream_is_open_is_taken() {
    let fleet = fleet();
    let (mut inbox, _) = fleet.subscribe(MIGRATION);
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let mut agent = connect(&fleet, hello(first, "one")).await;
    let _ = inbox.recv().await;
    let mut changes = fleet.changes();
    let (stay, mut refused) = dial(&fleet, AgentFrame::Hello(hello(second, "one"))).await;
    let name = "one".to_owned();
    assert_eq!(stay.unwrap_err(), Refusal::NameTaken { name });
    assert_eq!(refused.orders.recv().await, None);
    // The first goes on as if nothing had been, and nobody hears of the second.
    assert_eq!(fleet.members().len(), 1);
    fleet.set_duty(first, Duty::Draining);
    let drain = ControllerFrame::Drain { migration_id: None };
    assert_eq!(agent.order().await, drain);
    assert!(inbox.try_recv().is_err());
    assert!(has_changed(&mut changes), "by the duty");
    connect(&fleet, hello(second, "two")).await;
    assert_eq!(fleet.members().len(), 2);
}
