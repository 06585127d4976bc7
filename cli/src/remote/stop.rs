//! A refusal as the end of a command: exit code, words, next step.

use proto::wire::status::{Reason, Refusal};
use serde_json::{Value, json};
use tonic::Code as Grpc;

use super::refusal::{name, reason};
use crate::exit::Code;
use crate::stop::Stop;

/// The end of a command that was refused.
pub fn stop(refusal: &Refusal) -> Stop {
    let mut stop = Stop::new(code(refusal), reason(refusal), message(refusal))
        .with("grpc_status", json!(name(refusal.code)));
    for (key, value) in refusal.metadata.iter().filter(|(key, _)| *key != "hint") {
        stop = stop.with(key, json!(value));
    }
    if !refusal.violations.is_empty() {
        let problems: Vec<Value> = refusal
            .violations
            .iter()
            .map(|(path, message)| json!({"path": path, "message": message}))
            .collect();
        stop = stop.with("problems", json!(problems));
    }
    if is_plan(refusal) {
        stop = stop.listing(lines(refusal));
    }
    match refusal
        .metadata
        .get("hint")
        .map(String::as_str)
        .or(hint(refusal))
    {
        Some(hint) => stop.hinting(hint),
        None => stop,
    }
}

/// The exit code of a refusal.
pub fn code(refusal: &Refusal) -> Code {
    match refusal.code {
        Grpc::Ok => Code::Done,
        Grpc::InvalidArgument => Code::Usage,
        Grpc::NotFound => Code::NotFound,
        Grpc::FailedPrecondition if refusal.reason() == Some(Reason::TooManyErrors) => {
            Code::Threshold
        }
        Grpc::FailedPrecondition | Grpc::Aborted | Grpc::AlreadyExists => Code::WrongState,
        Grpc::Unauthenticated | Grpc::PermissionDenied => Code::Denied,
        Grpc::Unavailable | Grpc::DeadlineExceeded => Code::Unreachable,
        Grpc::Cancelled
        | Grpc::Unknown
        | Grpc::ResourceExhausted
        | Grpc::OutOfRange
        | Grpc::Unimplemented
        | Grpc::Internal
        | Grpc::DataLoss => Code::Failed,
    }
}

fn is_plan(refusal: &Refusal) -> bool {
    refusal.reason() == Some(Reason::PlanInvalid)
}

/// Problems that the plan has: a status does not list more than fit into it.
fn problem_count(refusal: &Refusal) -> usize {
    let told = refusal.metadata.get("problems");
    let told: usize = told.and_then(|count| count.parse().ok()).unwrap_or(0);
    told.max(refusal.violations.len())
}

/// As `drover rules check` says it.
fn message(refusal: &Refusal) -> String {
    match (is_plan(refusal), problem_count(refusal)) {
        (false, _) | (true, 0) => refusal.message.clone(),
        (true, 1) => "the plan has one problem".to_owned(),
        (true, count) => format!("the plan has {count} problems"),
    }
}

/// One line for each problem, and how many are not listed.
fn lines(refusal: &Refusal) -> Vec<String> {
    let mut lines: Vec<String> = refusal.violations.iter().map(line).collect();
    match problem_count(refusal) - refusal.violations.len() {
        0 => {}
        more => lines.push(format!("and {more} more")),
    }
    lines
}

fn line((path, message): &(String, String)) -> String {
    match path.is_empty() {
        true => message.clone(),
        false => format!("{path}: {message}"),
    }
}

fn hint(refusal: &Refusal) -> Option<&'static str> {
    match refusal.code {
        Grpc::Unavailable | Grpc::DeadlineExceeded if refusal.is_transport => {
            Some("check that a controller runs, and name it with --address or DROVER_ADDRESS")
        }
        Grpc::Unavailable if refusal.reason() == Some(Reason::NotLeader) => {
            Some("name every controller with --address, or try again in a moment")
        }
        Grpc::DeadlineExceeded => Some("give it more time with --timeout"),
        Grpc::Unauthenticated => Some("check --tls-cert and --tls-key"),
        Grpc::Unimplemented => {
            Some("controller and command should be of one version: `drover --version`")
        }
        Grpc::Aborted if refusal.reason() == Some(Reason::EtagMismatch) => {
            Some("somebody else was faster: look at it with `drover migration get`, then try again")
        }
        _ => None,
    }
}
