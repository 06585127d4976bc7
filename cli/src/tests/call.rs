//! Single questions: failover, retries, refusals, and what is printed.

use proto::domain::record::{Activity, AgentState, AgentStatus, EntityStatus, MigrationStatus};
use proto::pb;
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::samples::{self, agent};
use super::server::{Answer, Scripted, nowhere, refusal};
use super::tell;

fn running() -> Answer {
    let record = samples::migration(MigrationStatus::Running, Some(Activity::Running));
    Answer::Migration(Box::new(record.try_into().unwrap()))
}

fn drained(state: AgentState, partitions: u32) -> Answer {
    let record = AgentStatus {
        state,
        partitions,
        ..agent()
    };
    Answer::Agent(Box::new(record.try_into().unwrap()))
}

#[tokio::test]
async fn the_next_address_is_asked_when_one_does_not_answer() {
    let server = Scripted::start(vec![running()]).await;
    let line = format!(
        "drover migration start clinic -o name --address {},{}",
        nowhere().await,
        server.address()
    );
    let told = tell(&line).await;
    assert_eq!((told.code, told.out.as_str()), (0, "clinic\n"), "{told:?}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_controller_that_does_not_lead_says_who_does() {
    let leader = Scripted::start(vec![running()]).await;
    let status = refusal(
        Code::Unavailable,
        "NOT_LEADER",
        &[("leader", leader.address())],
    );
    let standby = Scripted::start(vec![Answer::No(status)]).await;
    let other = Scripted::start(vec![]).await;
    let line = format!(
        "drover migration start clinic -o name --address {},{}",
        standby.address(),
        other.address()
    );
    let told = tell(&line).await;
    assert_eq!(told.code, 0, "{told:?}");
    let (first, second) = (standby.asked(), leader.asked());
    assert_eq!(first[0].request_id, second[0].request_id);
    assert!(other.asked().is_empty());
}

#[tokio::test]
async fn a_repeated_command_has_the_same_request_id_and_another_command_another_one() {
    let busy = || Answer::No(refusal(Code::Unavailable, "BUSY", &[]));
    let server = Scripted::start(vec![busy(), busy(), running(), running()]).await;
    let line = format!(
        "drover migration pause clinic --reason lag --address {}",
        server.address()
    );
    assert_eq!(tell(&line).await.code, 0);
    assert_eq!(tell(&line).await.code, 0);
    let ids: Vec<String> = server
        .asked()
        .into_iter()
        .map(|one| one.request_id)
        .collect();
    assert_eq!(ids.len(), 4);
    assert!(uuid::Uuid::try_parse(&ids[0]).is_ok());
    assert!(
        ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3],
        "{ids:?}"
    );
    let asked = &server.asked()[0];
    assert_eq!(asked.detail, "lag");
    assert!(asked.actor.starts_with("me@"), "{asked:?}");
}

#[tokio::test]
async fn a_given_request_id_is_sent() {
    let server = Scripted::start(vec![running()]).await;
    let id = "019394c2-5b1e-7d3a-9c55-6f1f0a2b8e44";
    let line = format!(
        "drover migration resume clinic --request-id {id} --address {}",
        server.address()
    );
    assert_eq!(tell(&line).await.code, 0);
    assert_eq!(server.asked()[0].request_id, id);
}

#[tokio::test]
async fn each_status_has_its_exit_code() {
    use Code as C;
    for (code, reason, number) in [
        (C::InvalidArgument, "FIELD_INVALID", 2),
        (C::NotFound, "MIGRATION_NOT_FOUND", 3),
        (C::NotFound, "NAME_AMBIGUOUS", 3),
        (C::AlreadyExists, "NAME_TAKEN", 4),
        (C::FailedPrecondition, "ILLEGAL_STATE", 4),
        (C::FailedPrecondition, "TOO_MANY_ERRORS", 9),
        (C::Aborted, "ETAG_MISMATCH", 4),
        (C::Unauthenticated, "UNAUTHENTICATED", 5),
        (C::PermissionDenied, "DENIED", 5),
        (C::DeadlineExceeded, "TIMEOUT", 6),
        (C::Internal, "INTERNAL", 1),
        (C::DataLoss, "CORRUPT", 1),
        (C::ResourceExhausted, "EXHAUSTED", 1),
        (C::Unknown, "UNKNOWN", 1),
    ] {
        let status = refusal(code, reason, &[("hint", "do that")]);
        let server = Scripted::start(vec![Answer::No(status)]).await;
        let told = tell(&format!(
            "drover migration start clinic -o json --address {}",
            server.address()
        ))
        .await;
        assert_eq!((told.code, server.asked().len()), (number, 1), "{code:?}");
        let error: Value = serde_json::from_str(&told.talk).unwrap();
        let error = &error["error"];
        assert_eq!(error["reason"], reason);
        assert_eq!(error["exit_code"], number);
        assert_eq!(error["hint"], "do that");
        assert_eq!(error["message"], "it cannot be done");
    }
}

#[tokio::test]
async fn who_stays_unavailable_is_tried_until_the_time_is_over() {
    let server = Scripted::start(vec![]).await;
    for _ in 0..1000 {
        server.add(Answer::No(refusal(Code::Unavailable, "NO_AGENT", &[])));
    }
    let line = format!(
        "drover migration start clinic --timeout 400ms --address {}",
        server.address()
    );
    let told = tell(&line).await;
    assert_eq!(told.code, 6, "{told:?}");
    assert!(
        told.talk.ends_with("error: it cannot be done\n"),
        "{}",
        told.talk
    );
    assert!(server.asked().len() > 1);
}

#[tokio::test]
async fn who_says_nothing_is_given_up_at_the_deadline() {
    let server = Scripted::start(vec![Answer::Hang]).await;
    let line = format!(
        "drover migration get clinic --timeout 200ms --address {}",
        server.address()
    );
    let told = tell(&line).await;
    assert_eq!(told.code, 6, "{told:?}");
    assert!(told.talk.contains("no controller answers"), "{}", told.talk);
    assert!(told.talk.contains(server.address()), "{}", told.talk);
}

#[tokio::test]
async fn nobody_anywhere_is_6_and_names_every_address() {
    let (one, two) = (nowhere().await, nowhere().await);
    let line = format!("drover agent list --timeout 300ms --address {one},{two}");
    let told = tell(&line).await;
    assert_eq!(told.code, 6, "{told:?}");
    let last = told.talk.split("error: ").last().unwrap_or_default();
    assert!(last.contains(&one) && last.contains(&two), "{}", told.talk);
    assert!(last.contains("--address"), "{}", told.talk);
}

fn plan_problems() -> Status {
    let info = [("problems".to_owned(), "2".to_owned())];
    let mut details = ErrorDetails::with_error_info(
        "PLAN_INVALID",
        "drover",
        std::collections::HashMap::from(info),
    );
    details.add_bad_request_violation("entities[0].source", "no such table (line 4, column 3)");
    details.add_bad_request_violation("", "needs a name");
    Status::with_error_details(Code::InvalidArgument, "the plan has 2 problem(s)", details)
}

#[tokio::test]
async fn every_problem_of_a_plan_is_printed_with_its_path() {
    let plan = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(plan.path(), "name: clinic\n").unwrap();
    let server = Scripted::start(vec![
        Answer::No(plan_problems()),
        Answer::No(plan_problems()),
    ])
    .await;
    let line = format!(
        "drover migration create -f {} --region eu --region us --address {}",
        plan.path().display(),
        server.address()
    );
    let told = tell(&line).await;
    assert_eq!(told.code, 2);
    assert_eq!(
        told.talk,
        "error: the plan has 2 problems\n  entities[0].source: no such table (line 4, column 3)\n  needs a name\n"
    );
    let asked = &server.asked()[0];
    assert_eq!(
        (asked.detail.as_str(), asked.name.as_str()),
        ("name: clinic\n", "eu,us")
    );
    let told = tell(&format!("{line} -o json")).await;
    let error: Value = serde_json::from_str(&told.talk).unwrap();
    let problems = &error["error"]["metadata"]["problems"];
    assert_eq!(problems[0]["path"], "entities[0].source");
    assert_eq!(problems[1]["message"], "needs a name");
}

#[tokio::test]
async fn a_migration_that_nobody_can_be_asked_about_is_not_deleted() {
    let server = Scripted::start(vec![]).await;
    let line = format!(
        "drover migration delete clinic --no-input --address {}",
        server.address()
    );
    let told = tell(&line).await;
    assert_eq!(told.code, 2);
    assert!(
        told.talk.contains("--yes --confirm clinic"),
        "{}",
        told.talk
    );
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_confirmed_delete_is_guarded_and_a_wrong_name_deletes_nothing() {
    let server = Scripted::start(vec![running(), Answer::Empty, running()]).await;
    let line = format!(
        "drover migration delete 0193 --yes --address {} --confirm",
        server.address()
    );
    assert_eq!(tell(&format!("{line} clinic")).await.code, 0);
    let asked = server.asked();
    assert_eq!(asked[1].method, "delete");
    assert_eq!(asked[1].name, "019394c2-5b1e-7d3a-9c55-6f1f0a2b8e44");
    assert_eq!(asked[1].etag, "1-3");
    assert_eq!(tell(&format!("{line} shop")).await.code, 2);
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_migration_is_shown_with_its_entities_and_the_next_step() {
    let entities = || {
        let entity = samples::entity("offices", EntityStatus::Running);
        Answer::Entities(vec![pb::EntityMigrationStatus::try_from(entity).unwrap()])
    };
    let server = Scripted::start(vec![running(), entities(), running(), entities()]).await;
    let line = format!("drover migration get clinic --address {}", server.address());
    let told = tell(&line).await;
    assert!(
        told.out.starts_with("clinic  RUNNING  41.3%  1/2 entities"),
        "{}",
        told.out
    );
    assert!(told.out.contains("offices"), "{}", told.out);
    assert_eq!(told.talk, "next: drover migration watch clinic\n");
    let told = tell(&format!("{line} -o json")).await;
    let shown: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(shown["entities"][0]["records_processed"], 47);
    assert_eq!(shown["status"], "running");
    assert_eq!(shown["next_steps"][0], "drover migration watch clinic");
}

#[tokio::test]
async fn lists_page_by_themselves_and_say_when_they_are_cut() {
    let record = samples::migration(MigrationStatus::Pending, None);
    let one = pb::MigrationOrchestration::try_from(record).unwrap();
    let page = |token| Answer::Migrations(vec![one.clone(), one.clone()], token);
    let server = Scripted::start(vec![page("a"), page("b"), page("")]).await;
    let line = format!(
        "drover migration list -o name --limit 4 --address {}",
        server.address()
    );
    let told = tell(&line).await;
    assert_eq!(told.out, "clinic\n".repeat(4));
    assert!(
        told.talk.starts_with("only the first 4 are shown"),
        "{}",
        told.talk
    );
    let asked = server.asked();
    let pages: Vec<(&str, &str)> = asked
        .iter()
        .map(|one| (one.name.as_str(), one.detail.as_str()))
        .collect();
    assert_eq!(pages, [("4", ""), ("2", "a")]);
}

#[tokio::test]
async fn a_drain_is_waited_for_until_the_agent_holds_nothing_or_is_gone() {
    let gone = || Answer::No(refusal(Code::NotFound, "AGENT_NOT_FOUND", &[]));
    let draining = |held| drained(AgentState::Draining, held);
    for (answers, code) in [
        (vec![draining(2), draining(1), draining(0)], 0),
        (vec![draining(2), gone()], 0),
        (vec![draining(2), drained(AgentState::Active, 2)], 4),
    ] {
        let server = Scripted::start(answers).await;
        let line = format!(
            "drover agent drain eu-1 --wait --address {}",
            server.address()
        );
        let told = tell(&line).await;
        assert_eq!(told.code, code, "{told:?}");
    }
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_an_error_of_its_own() {
    let odd = pb::MigrationOrchestration {
        id: "no uuid".to_owned(),
        ..pb::MigrationOrchestration::default()
    };
    let server = Scripted::start(vec![Answer::Migration(Box::new(odd))]).await;
    let line = format!(
        "drover migration start clinic --address {}",
        server.address()
    );
    let told = tell(&line).await;
    assert_eq!(told.code, 1);
    assert!(
        told.talk.contains("MigrationOrchestration.id"),
        "{}",
        told.talk
    );
}

#[tokio::test]
async fn verbose_says_who_was_asked_and_what_came_of_it() {
    let server = Scripted::start(vec![running()]).await;
    let line = format!(
        "drover migration start clinic -v --address {}",
        server.address()
    );
    let told = tell(&line).await;
    let first = told.talk.lines().next().unwrap_or_default();
    let expected = format!("StartMigration at {}: OK after ", server.address());
    assert!(first.starts_with(&expected), "{first}");
}
