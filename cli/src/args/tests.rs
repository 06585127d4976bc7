//! Which command lines are taken, and what the others get.

use clap::CommandFactory;

use super::*;

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
    ];
    for (line, kind) in cases {
        assert_eq!(refused(line), kind, "{line}");
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
