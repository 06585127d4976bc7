//! Every failure has a reason of its own, and a client reads what the server said.

use std::collections::BTreeSet;

use super::*;
use crate::wire::agent_stream::PROTOCOL_VERSION;

const KINDS: [FailureKind; 20] = [
    FailureKind::Unreachable,
    FailureKind::NoAgent,
    FailureKind::AgentsLost,
    FailureKind::Denied,
    FailureKind::Busy,
    FailureKind::Timeout,
    FailureKind::Exhausted,
    FailureKind::SchemaDrift,
    FailureKind::IdentityChanged,
    FailureKind::PlanChanged,
    FailureKind::SnapshotLost,
    FailureKind::SourceWritten,
    FailureKind::TooManyErrors,
    FailureKind::RowRefused,
    FailureKind::ConstraintBroken,
    FailureKind::Unconfirmed,
    FailureKind::ChangeRefused,
    FailureKind::Fenced,
    FailureKind::AlreadyRunning,
    FailureKind::Internal,
];

#[test]
fn reasons_are_unique_and_in_upper_snake_case() {
    let texts: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(texts.len(), Reason::ALL.len());
    for reason in Reason::ALL {
        let text = reason.as_str();
        let is_snake = |letter: char| letter.is_ascii_uppercase() || letter == '_';
        assert!(text.chars().all(is_snake) && text.len() <= 63, "{text}");
        assert_eq!(Reason::parse(text), Some(*reason));
        assert_ne!(reason.code(), Code::Ok, "{text}");
    }
    assert_eq!(Reason::parse("MOON_PHASE"), None);
}

#[test]
fn every_kind_of_failure_has_the_reason_of_its_name() {
    for kind in KINDS {
        let name = crate::wire::agent_stream::kind_name(kind).to_uppercase();
        assert_eq!(reason_of(kind).as_str(), name);
        let failure = Failure {
            kind,
            message: "words".to_owned(),
            sqlstate: Some("53300".to_owned()),
        };
        let refusal = Refusal::of(&of_failure(&failure));
        assert_eq!(refusal.reason(), Some(reason_of(kind)));
        assert_eq!(refusal.message, "words");
        assert_eq!(refusal.metadata["hint"], policy(kind).1);
        assert_eq!(refusal.metadata["sqlstate"], "53300");
        let has_blocker = refusal.code == Code::FailedPrecondition;
        assert_eq!(!refusal.violations.is_empty(), has_blocker, "{name}");
    }
}

#[test]
fn what_is_unavailable_says_when_to_ask_again_and_nothing_else_does() {
    for reason in Reason::ALL {
        let refusal = Refusal::of(&status(*reason, "words"));
        let is_unavailable = reason.code() == Code::Unavailable;
        assert_eq!(refusal.retry_after.is_some(), is_unavailable, "{reason}");
        assert_eq!(refusal.is_passing(), is_unavailable, "{reason}");
        assert!(!refusal.is_transport);
    }
}

#[test]
fn a_plan_that_is_not_valid_lists_its_problems_by_path() {
    let problem = |path: &str, line| Problem {
        path: path.to_owned(),
        line,
        column: line,
        message: "is unknown".to_owned(),
    };
    let problems = Problems(vec![
        problem("entities[0].source", Some(3)),
        problem("", None),
    ]);
    let refusal = Refusal::of(&of_problems(&problems));
    assert_eq!(refusal.code, Code::InvalidArgument);
    assert_eq!(refusal.message, "the plan has 2 problems");
    let pair = |path: &str, words: &str| (path.to_owned(), words.to_owned());
    assert_eq!(
        refusal.violations,
        [
            pair("entities[0].source", "is unknown (line 3, column 3)"),
            pair("", "is unknown"),
        ]
    );
    let many = Problems(vec![problem("x", None); 4000]);
    let refusal = Refusal::of(&of_problems(&many));
    assert_eq!(refusal.violations.len(), MAX_VIOLATIONS);
    assert_eq!(refusal.metadata["problems"], "4000");
}

#[test]
fn a_follower_names_the_leader() {
    let refusal = Refusal::of(&not_leader(Some("c2:7420".to_owned())));
    assert_eq!(refusal.leader(), Some("c2:7420"));
    assert_eq!(Refusal::of(&not_leader(None)).leader(), None);
}

#[test]
fn fields_names_and_blockers_are_told() {
    let refusal = Refusal::of(&invalid("page_size", "must not be negative"));
    assert_eq!(refusal.message, "page_size: must not be negative");
    assert_eq!(refusal.violations[0].0, "page_size");

    let missing = not_found(Reason::AgentNotFound, "agent", "eu-9");
    assert_eq!(missing.message(), "there is no agent \"eu-9\"");
    let details = missing.get_error_details();
    assert_eq!(
        details
            .resource_info()
            .map(|info| info.resource_name.as_str()),
        Some("eu-9")
    );

    let blockers = ["it runs".to_owned(), "it is paused".to_owned()];
    let refusal = Refusal::of(&precondition(
        Reason::IllegalState,
        "cannot be deleted",
        "migration",
        &blockers,
    ));
    assert_eq!(refusal.violations.len(), 2);
    assert_eq!(refusal.metadata["hint"], "it runs; it is paused");
}

#[test]
fn messages_that_cannot_be_understood_name_the_field() {
    let missing = WireError::Missing {
        field: "Hello.holder",
    };
    let refusal = Refusal::of(&of_wire(&missing));
    assert_eq!(refusal.reason(), Some(Reason::FrameInvalid));
    assert_eq!(refusal.metadata["field"], "Hello.holder");
    let other = WireError::Version {
        field: "Hello.protocol_version",
        theirs: 2,
        ours: PROTOCOL_VERSION,
    };
    let refusal = Refusal::of(&of_wire(&other));
    assert_eq!(refusal.code, Code::FailedPrecondition);
    assert_eq!(refusal.reason(), Some(Reason::ProtocolVersion));
}

#[test]
fn a_status_of_somebody_else_has_no_reason_and_is_fit_for_a_terminal() {
    let refusal = Refusal::of(&Status::unknown("a\u{1b}[31mb"));
    assert_eq!((refusal.reason.as_str(), refusal.reason()), ("", None));
    assert_eq!(refusal.message, "a [31mb");
    let details = ErrorDetails::with_error_info("X", "example.org", HashMap::new());
    let theirs = Status::with_error_details(Code::Aborted, "no", details);
    assert_eq!(Refusal::of(&theirs).reason, "");
}
