//! Which command lines are taken, and what the others get.

use std::ffi::OsString;

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::early::{Early, parse, wanted_format};
use super::{Cli, Command, MigrationCommand, WantedState};
use crate::render::Format;

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

fn refused(line: &str) -> ErrorKind {
    match parse(words(line)) {
        Err(Early::Clap(error, _)) => error.kind(),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn the_commands_of_the_issue_are_taken() {
    for line in [
        "drover run plan.yaml",
        "drover run plan.yaml --metadata-url postgres://me@db/meta --strict -o json",
        "drover -o jsonl run - --lanes 2",
        "drover dev",
        "drover dev --demo --scale 0.01 --exit-after",
        "drover migration get clinic --local",
        "drover migration list --local --metadata-url postgres://me@db/meta",
        "drover error list --migration clinic --entity orders --local",
        "drover mapping lookup jaws 7 U --migration clinic --local",
        "drover rules check plan.yaml",
        "drover rules explain orders",
        "drover rules explain orders --plan other.yaml",
        "drover rules schema",
        "drover migration create -f plan.yaml --validate-only --region eu --region us",
        "drover migration plan -f - --address a,b:7421 --timeout 2m",
        "drover migration start clinic",
        "drover migration start clinic -f edited.yaml --request-id 019394c2-5b1e-7d3a-9c55-6f1f0a2b8e44",
        "drover migration list -o wide --no-headers --limit 10",
        "drover migration get clinic -o name",
        "drover migration watch clinic -o jsonl",
        "drover migration wait clinic --for=state=completed --wait-timeout 10m",
        "drover migration wait clinic --for rolling_back",
        "drover migration pause clinic --reason lag --wait",
        "drover migration resume clinic -f edited.yaml --wait --wait-timeout 5s",
        "drover migration delete clinic --yes --confirm clinic",
        "drover migration pause clinic --deadline 5s --wait --etag 1-4",
        "drover migration pause clinic --local",
        "drover migration resume clinic --local",
        "drover migration cancel clinic --confirm clinic --deadline 10s --wait",
        "drover migration cancel clinic --yes --local",
        "drover migration finalize clinic --yes",
        "drover migration delete clinic --yes --confirm clinic --local",
        "drover migration set clinic batch_size=500 max_rows_per_second=none --local",
        "drover migration set clinic max_quarantined=0.5% --entity orders",
        "drover entity pause clinic orders --reason later --wait",
        "drover entity resume clinic orders --local",
        "drover entity retry clinic orders",
        "drover entity skip clinic orders --reason broken --etag 1-4",
        "drover error list --type data_validation --code 23502 --resolved=false",
        "drover error group --migration clinic --entity orders --resolved",
        "drover error get 0193 --local",
        "drover error retry 0193 0194 --migration clinic --wait",
        "drover error retry --all --local",
        "drover error retry --entity orders --code 23502",
        "drover error skip --code 23502 --reason agreed",
        "drover error export --format csv --file errors.csv --local",
        "drover entity list clinic --state running --state failed",
        "drover batch list clinic orders --limit 5",
        "drover checkpoint list clinic --entity orders",
        "drover error list",
        "drover error get 0193 --migration clinic",
        "drover mapping lookup jaws 7 U",
        "drover mapping lookup offices -1",
        "drover mapping reverse 019394c2-5b1e-7d3a-9c55-6f1f0a2b8e44 --entity jaws",
        "drover rules list",
        "drover rules list clinic -o json",
        "drover rules get clinic orders --version 1.2.0",
        "drover agent list --region eu",
        "drover agent get eu-1",
        "drover agent drain eu-1 --wait --wait-timeout 10m",
        "drover agent cordon eu-1 -v",
        "drover agent uncordon eu-1 --tls-ca ca.pem --tls-server-name drover",
        "drover completion bash",
        "drover exit-codes",
    ] {
        assert!(parse(words(line)).is_ok(), "{line}");
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    use ErrorKind as K;
    let cases = [
        ("drover run", K::MissingRequiredArgument),
        ("drover run a.yaml b.yaml", K::UnknownArgument),
        ("drover run a.yaml --lanes 0", K::ValueValidation),
        ("drover run a.yaml -o yaml", K::InvalidValue),
        ("drover dev --exit-after", K::MissingRequiredArgument),
        ("drover dev --scale 2", K::MissingRequiredArgument),
        ("drover dev --demo --scale 0", K::ValueValidation),
        ("drover dev --demo --scale NaN", K::ValueValidation),
        (
            "drover mapping lookup offices --local",
            K::MissingRequiredArgument,
        ),
        (
            "drover migration list --metadata-url postgres://db/meta",
            K::MissingRequiredArgument,
        ),
        ("drover herd", K::InvalidSubcommand),
        ("drover migration create plan.yaml", K::UnknownArgument),
        ("drover migration create", K::MissingRequiredArgument),
        ("drover migration start", K::MissingRequiredArgument),
        ("drover migration start a --timeout 15", K::ValueValidation),
        (
            "drover migration start a --request-id 7",
            K::ValueValidation,
        ),
        ("drover migration wait a", K::MissingRequiredArgument),
        (
            "drover migration wait a --for=state=done",
            K::ValueValidation,
        ),
        ("drover migration list --limit 0", K::ValueValidation),
        ("drover entity list", K::MissingRequiredArgument),
        ("drover entity list a --state odd", K::InvalidValue),
        ("drover batch list a", K::MissingRequiredArgument),
        ("drover error get", K::MissingRequiredArgument),
        ("drover rules get a", K::MissingRequiredArgument),
        ("drover agent drain", K::MissingRequiredArgument),
        ("drover completion tcsh", K::InvalidValue),
    ];
    for (line, kind) in cases {
        assert_eq!(refused(line), kind, "{line}");
    }
}

#[test]
fn a_state_is_waited_for_by_its_word() {
    for (word, expected) in [
        ("state=completed", "completed"),
        ("paused", "paused"),
        ("state=running", "running"),
    ] {
        let cli = parse(words(&format!("drover migration wait a --for {word}")));
        let Ok(Cli {
            command: Command::Migration(MigrationCommand::Wait(args)),
            ..
        }) = cli
        else {
            panic!("{word}")
        };
        assert_eq!(WantedState::as_str(args.wanted), expected);
    }
}

#[test]
fn a_password_in_an_argument_is_refused_wherever_it_stands() {
    for line in [
        "drover run plan.yaml --metadata-url postgres://me:hunter2@db/meta",
        "drover run plan.yaml --metadata-url=postgresql://db/meta?user=me&password=hunter2",
        "drover run postgres://me:hunter2@db/meta",
    ] {
        let Err(Early::Stop(stop, _)) = parse(words(line)) else {
            panic!("{line}")
        };
        assert_eq!(stop.code().number(), 2);
        assert!(!stop.message().contains("hunter2"));
    }
}

#[test]
fn the_format_of_errors_is_known_even_when_the_command_is_not() {
    for (line, format) in [
        ("drover -o json herd", Format::Json),
        ("drover herd --output=jsonl", Format::Jsonl),
        ("drover herd -ojson", Format::Json),
        ("drover herd --output table", Format::Table),
        ("drover herd", Format::Table),
    ] {
        assert_eq!(wanted_format(&words(line)), format, "{line}");
    }
}

#[test]
fn every_reason_to_stand_still_names_commands_that_exist() {
    use proto::domain::failure::{FailureKind as K, Policy, policy};
    let kinds = [
        K::Unreachable,
        K::NoAgent,
        K::AgentsLost,
        K::Denied,
        K::Busy,
        K::Timeout,
        K::Exhausted,
        K::SchemaDrift,
        K::IdentityChanged,
        K::PlanChanged,
        K::SnapshotLost,
        K::SourceWritten,
        K::TooManyErrors,
        K::RowRefused,
        K::ConstraintBroken,
        K::Fenced,
        K::AlreadyRunning,
        K::Internal,
    ];
    for kind in kinds {
        let (what, hint) = policy(kind);
        let commands = hint.split('`').skip(1).step_by(2);
        let commands: Vec<&str> = commands.filter(|it| it.starts_with("drover ")).collect();
        assert!(
            !commands.is_empty() || what == Policy::Stop,
            "{kind:?}: {hint}"
        );
        for line in commands {
            let is_bare = matches!(line, "drover run");
            assert!(is_bare || parse(words(line)).is_ok(), "{kind:?}: {line}");
        }
    }
}
