//! Watching and waiting: streams that are cut, resumed and ended, and the codes of their ends.

use proto::domain::record::{Activity, EntityStatus, MigrationStatus};
use proto::pb;
use proto::pb::StreamEndReason as Reason;
use proto::pb::watch_migration_response::Update;
use proto::runtime::shutdown::Shutdown;
use serde_json::Value;
use tonic::{Code, Status};

use super::samples;
use super::server::{Answer, Scripted, Step, refusal};
use super::{Told, tell, tell_with};

type State = (MigrationStatus, Option<Activity>);

const RUNNING: State = (MigrationStatus::Running, Some(Activity::Running));
const PAUSED: State = (MigrationStatus::Running, Some(Activity::Paused));
const BLOCKED: State = (MigrationStatus::Running, Some(Activity::Blocked));
const COMPLETED: State = (MigrationStatus::Completed, None);

fn migration((status, activity): State) -> pb::MigrationOrchestration {
    samples::migration(status, activity).try_into().unwrap()
}

fn snapshot(token: &'static str, state: State) -> Step {
    let entity = samples::entity("offices", EntityStatus::Running);
    Step::Say(
        token,
        Update::Snapshot(pb::MigrationSnapshot {
            migration: Some(migration(state)),
            entities: vec![entity.try_into().unwrap()],
        }),
    )
}

fn change(token: &'static str, state: State) -> Step {
    Step::Say(token, Update::Migration(migration(state)))
}

fn entity(token: &'static str) -> Step {
    let entity = samples::entity("offices", EntityStatus::Completed);
    Step::Say(token, Update::Entity(entity.try_into().unwrap()))
}

fn end(reason: Reason) -> Step {
    Step::Say(
        "",
        Update::End(pb::StreamEnd {
            reason: reason.into(),
            message: String::new(),
        }),
    )
}

/// Runs a verb against one scripted controller; what was told, and the tokens it was watched with.
async fn follow(verb: &str, streams: Vec<Vec<Step>>) -> (Told, Vec<String>) {
    let server = Scripted::start(streams.into_iter().map(Answer::Watch).collect()).await;
    let line = format!("drover migration {verb} --address {}", server.address());
    let told = tell(&line).await;
    let tokens = server.asked().into_iter().map(|one| one.detail).collect();
    (told, tokens)
}

#[tokio::test]
async fn a_cut_watch_goes_on_where_it_was_and_ends_with_the_end_of_the_migration() {
    for cut in [
        None,
        Some(Step::Break(Status::unknown("the line was cut"))),
        Some(Step::Break(Status::internal("the line was cut"))),
        Some(Step::Break(refusal(Code::Unavailable, "NOT_LEADER", &[]))),
        Some(end(Reason::Shutdown)),
        Some(end(Reason::Rotate)),
    ] {
        let mut first = vec![snapshot("t1", RUNNING), entity("t2")];
        first.extend(cut);
        let second = vec![
            snapshot("t3", RUNNING),
            change("t4", COMPLETED),
            end(Reason::Ended),
        ];
        let (told, tokens) = follow("watch clinic -o name", vec![first, second]).await;
        assert_eq!(told.code, 0, "{told:?}");
        assert_eq!(tokens, ["", "t2"], "{told:?}");
        assert_eq!(told.out, "clinic\n");
    }
}

#[tokio::test]
async fn a_lost_watch_says_so_once_and_an_old_stream_is_changed_without_a_word() {
    let second = || vec![snapshot("t3", COMPLETED)];
    let (told, _) = follow(
        "watch clinic",
        vec![vec![snapshot("t1", RUNNING)], second()],
    )
    .await;
    assert!(
        told.talk.contains("the controller is lost"),
        "{}",
        told.talk
    );
    assert!(told.talk.contains("connected again"), "{}", told.talk);
    let first = vec![snapshot("t1", RUNNING), end(Reason::Rotate)];
    let (told, _) = follow("watch clinic", vec![first, second()]).await;
    assert_eq!((told.code, told.talk.as_str()), (0, ""));
}

#[tokio::test]
async fn a_watch_finds_another_controller() {
    let other = Scripted::start(vec![Answer::Watch(vec![snapshot("t9", COMPLETED)])]).await;
    let first = vec![snapshot("t1", RUNNING), end(Reason::Shutdown)];
    let one = Scripted::start(vec![Answer::Watch(first)]).await;
    let line = format!(
        "drover migration watch clinic -o name --address {},{}",
        one.address(),
        other.address()
    );
    assert_eq!(tell(&line).await.code, 0);
    let asked = &other.asked()[0];
    // By its id: the name may belong to another migration by then.
    let id = samples::migration(RUNNING.0, RUNNING.1).id.to_string();
    assert_eq!((asked.name.clone(), asked.detail.as_str()), (id, "t1"));
}

#[tokio::test]
async fn a_token_that_is_no_longer_kept_is_dropped() {
    let expired = || refusal(Code::OutOfRange, "RESUME_TOKEN_EXPIRED", &[]);
    let server = Scripted::start(vec![
        Answer::Watch(vec![snapshot("t1", RUNNING)]),
        Answer::No(expired()),
        Answer::Watch(vec![snapshot("t2", RUNNING), Step::Break(expired())]),
        Answer::Watch(vec![snapshot("t3", COMPLETED)]),
    ])
    .await;
    let line = format!(
        "drover migration watch clinic --address {}",
        server.address()
    );
    assert_eq!(tell(&line).await.code, 0);
    let tokens: Vec<String> = server.asked().into_iter().map(|one| one.detail).collect();
    assert_eq!(tokens, ["", "t1", "", ""]);
}

#[tokio::test]
async fn each_end_of_a_watch_has_its_code() {
    let pending = (MigrationStatus::Pending, None);
    let failed = (MigrationStatus::Failed, None);
    for (steps, code) in [
        (vec![snapshot("t1", COMPLETED)], 0),
        (vec![snapshot("t1", BLOCKED)], 8),
        (vec![snapshot("t1", RUNNING), change("t2", BLOCKED)], 8),
        (vec![snapshot("t1", failed), end(Reason::Ended)], 8),
        (vec![snapshot("t1", pending), end(Reason::Ended)], 8),
        (vec![snapshot("t1", RUNNING), end(Reason::Deleted)], 3),
    ] {
        let (told, _) = follow("watch clinic", vec![steps]).await;
        assert_eq!(told.code, code, "{told:?}");
    }
}

#[tokio::test]
async fn a_blocked_watch_says_why_and_what_to_do() {
    let mut record = samples::migration(BLOCKED.0, BLOCKED.1);
    record.activity_reason = Some("the disk is full".to_owned());
    record.activity_hint = Some("make room, then resume".to_owned());
    let message = pb::MigrationOrchestration::try_from(record).unwrap();
    let steps = vec![
        snapshot("t1", RUNNING),
        Step::Say("t2", Update::Migration(message)),
    ];
    let (told, _) = follow("watch clinic", vec![steps]).await;
    assert_eq!(told.code, 8);
    let expected =
        "error: the migration is blocked: the disk is full\nnext: make room, then resume\n";
    assert!(told.talk.ends_with(expected), "{}", told.talk);
}

#[tokio::test]
async fn who_is_gone_when_the_stream_is_opened_again_was_deleted() {
    let server = Scripted::start(vec![
        Answer::Watch(vec![snapshot("t1", RUNNING)]),
        Answer::No(refusal(Code::NotFound, "MIGRATION_NOT_FOUND", &[])),
    ])
    .await;
    let line = format!(
        "drover migration watch clinic --address {}",
        server.address()
    );
    let told = tell(&line).await;
    assert_eq!(told.code, 3);
    assert!(
        told.talk.ends_with("the migration was deleted\n"),
        "{}",
        told.talk
    );
}

#[tokio::test]
async fn a_watch_that_is_refused_ends_with_the_refusal() {
    let status = refusal(Code::NotFound, "MIGRATION_NOT_FOUND", &[]);
    let server = Scripted::start(vec![Answer::No(status)]).await;
    let line = format!(
        "drover migration watch nobody --address {}",
        server.address()
    );
    let told = tell(&line).await;
    assert_eq!(told.code, 3);
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn jsonl_has_one_line_for_each_update() {
    let steps = vec![
        snapshot("t1", RUNNING),
        entity("t2"),
        Step::Say("t3", Update::Bookmark(pb::Bookmark {})),
        change("t4", COMPLETED),
    ];
    let (told, _) = follow("watch clinic -o jsonl", vec![steps]).await;
    let lines: Vec<Value> = told
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3, "{}", told.out);
    assert_eq!(lines[0]["snapshot"]["entities"][0]["entity"], "offices");
    assert_eq!(lines[1]["entity"]["status"], "completed");
    assert_eq!(lines[2]["migration"]["status"], "completed");
}

#[tokio::test]
async fn without_a_terminal_there_is_a_line_for_what_changes_and_the_table_at_the_end() {
    let event = pb::Event {
        id: 7,
        event_type: "partition_moved".to_owned(),
        migration_id: samples::migration(RUNNING.0, RUNNING.1).id.to_string(),
        timestamp: Some(prost_types::Timestamp {
            seconds: 1_795_500_000,
            nanos: 0,
        }),
        data: Some(pb::EventData {
            entity: "offices".to_owned(),
            progress_percentage: 50.0,
            throughput: 1.0,
        }),
    };
    let steps = vec![
        snapshot("t1", RUNNING),
        Step::Say("t2", Update::Event(event)),
        entity("t3"),
        change("t4", COMPLETED),
    ];
    let (told, _) = follow("watch clinic", vec![steps]).await;
    assert!(told.out.starts_with("clinic  RUNNING"), "{}", told.out);
    assert!(
        told.out.contains("partition_moved  offices  50.0%\n"),
        "{}",
        told.out
    );
    assert!(
        told.out
            .contains("offices completed: 47 rows written, 3 set aside\n")
    );
    assert!(told.out.contains("clinic  COMPLETED\n"), "{}", told.out);
    assert!(
        told.out
            .lines()
            .last()
            .unwrap_or_default()
            .starts_with("offices")
    );
}

#[tokio::test]
async fn a_wait_ends_in_its_state_or_when_its_time_is_over() {
    let steps = vec![snapshot("t1", RUNNING), change("t2", PAUSED)];
    let (told, _) = follow("wait clinic --for=state=paused -o name", vec![steps]).await;
    assert_eq!((told.code, told.out.as_str()), (0, "clinic\n"));
    let steps = vec![snapshot("t1", RUNNING), Step::Silence];
    let verb = "wait clinic --for=state=completed --wait-timeout 200ms";
    let (told, _) = follow(verb, vec![steps]).await;
    assert_eq!(told.code, 7, "{told:?}");
    assert!(
        told.talk
            .contains("not completed within 200ms: it is RUNNING"),
        "{}",
        told.talk
    );
}

#[tokio::test]
async fn a_pause_is_waited_for_until_it_is_one() {
    let pausing = (MigrationStatus::Running, Some(Activity::Pausing));
    let server = Scripted::start(vec![
        Answer::Migration(Box::new(migration(pausing))),
        Answer::Watch(vec![snapshot("t1", pausing), change("t2", PAUSED)]),
    ])
    .await;
    let line = format!(
        "drover migration pause clinic --wait -o json --address {}",
        server.address()
    );
    let told = tell(&line).await;
    assert_eq!(told.code, 0, "{told:?}");
    let shown: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(shown["activity"], "paused");
}

#[tokio::test]
async fn ctrl_c_detaches_and_says_that_the_migration_goes_on() {
    let steps = vec![snapshot("t1", RUNNING), Step::Silence];
    let server = Scripted::start(vec![Answer::Watch(steps)]).await;
    let shutdown = Shutdown::new();
    shutdown.begin();
    let line = format!(
        "drover migration watch clinic --address {}",
        server.address()
    );
    let told = tell_with(&line, shutdown).await;
    assert_eq!(told.code, 130);
    assert_eq!(told.talk, "detached, the migration goes on\n");
}
