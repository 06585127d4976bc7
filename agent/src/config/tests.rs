//! The sample, precedence, and every problem at once.

use std::collections::BTreeSet;

use clap::Parser;
use proto::runtime::settings::Shape;

use super::*;

const SAMPLE: &str = include_str!("../../../deploy/config/agent.toml");
/// What must be given.
const LEAST: &str = "region = 'eu'\ncontrollers = ['127.0.0.1:7420']\n\
                     etcd.endpoints = ['http://127.0.0.1:2379']\n";
const CONNECTION: (&str, &str) = ("DROVER_CONNECTION_APP", "postgres://me:hunter2@env/x");

fn args(arguments: &[&str]) -> Args {
    let all = std::iter::once(&"drover-agent").chain(arguments);
    Args::try_parse_from(all).expect("arguments")
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment::from_iter(variables.iter().copied())
}

fn config(
    file: &str,
    variables: &[(&str, &str)],
    arguments: &[&str],
) -> Result<AgentConfig, Invalid> {
    let mut layers = Layers::new::<RawAgent>(PREFIX);
    layers.file_text(Path::new("/etc/drover/agent.toml"), file);
    let environment = environment(variables);
    let given = Given {
        read: lay(layers, &args(arguments), &environment),
        environment,
        machine: Machine {
            name: Some("box-7".to_owned()),
            cores: Some(3),
        },
    };
    given.try_into()
}

/// The sample with every setting that it only mentions: `#name = value`.
fn uncommented(sample: &str) -> String {
    let is_setting = |rest: &&str| rest.starts_with(|first: char| first.is_ascii_lowercase());
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if is_setting(&rest) || rest.starts_with('[') => rest.to_owned(),
        _ => line.to_owned(),
    };
    sample.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Names of settings, down to what the shape knows.
fn names(table: &Table, before: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (key, value) in table {
        let name = format!("{before}{key}");
        match value {
            toml::Value::Table(below) if key != "labels" && key != "connections" => {
                all.extend(names(below, &format!("{name}.")));
            }
            _ => drop(all.insert(name)),
        }
    }
    all
}

#[test]
fn the_sample_is_valid_and_shows_the_defaults() {
    let sample = config(SAMPLE, &[CONNECTION], &[]).unwrap();
    let least = config(LEAST, &[CONNECTION], &[]).unwrap();
    assert_eq!(format!("{sample:?}"), format!("{least:?}"));
}

#[test]
fn the_sample_has_every_setting_and_no_other() {
    let shown = names(&uncommented(SAMPLE).parse().unwrap(), "");
    let known: BTreeSet<String> = Shape::of::<RawAgent>().names().map(str::to_owned).collect();
    assert_eq!(shown, known);
    let mut problems = Vec::new();
    let table: Table = uncommented(SAMPLE).parse().unwrap();
    let connections = table["connections"].as_table().unwrap();
    let entries = check_entries(connections, Path::new("/etc"), &mut problems);
    assert_eq!((entries.len(), problems.len()), (2, 0), "{problems:?}");
}

#[test]
fn what_is_not_set_comes_from_the_machine() {
    let config = |file: &str| config(&format!("{LEAST}{file}"), &[CONNECTION], &[]).unwrap();
    let given = config("");
    assert_eq!((given.name.as_str(), given.capacity), ("box-7", 3));
    let given = config("name = 'eu-1'\ncapacity = 256\n");
    assert_eq!((given.name.as_str(), given.capacity), ("eu-1", 256));
    assert!(Machine::here().cores.is_some());
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = format!(
        "{LEAST}capacity = 1\n[labels]\ntier = 'f'\n[connections.app]\nurl = 'postgres://file/x'\n\
         [connections.legacy-db]\nurl = 'postgres://file/y'\n"
    );
    let variables = [
        CONNECTION,
        ("DROVER_AGENT__CAPACITY", "2"),
        ("DROVER_AGENT__REGION", "us"),
        ("DROVER_AGENT__CONTROLLERS", "a,https://b:1,a:7420"),
        ("DROVER_AGENT__LABELS__TIER", "e"),
    ];
    let given = config(
        &file,
        &variables,
        &["--region", "ap", "--set", "orphan_limit=2m"],
    )
    .unwrap();
    assert_eq!((given.region.as_str(), given.capacity), ("ap", 2));
    let addresses: Vec<String> = given.controllers.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["a:7420", "b:1"]);
    assert_eq!(given.labels["tier"], "e");
    assert_eq!(given.orphan_limit, Duration::from_secs(120));
    assert_eq!(given.connections["app"].get_host(), "env");
    assert_eq!(given.connections["legacy-db"].get_host(), "file");
    let given = config(&file, &variables, &["--controllers", "c,d", "--name", "n"]).unwrap();
    assert_eq!((given.controllers.len(), given.name.as_str()), (2, "n"));
}

#[test]
fn every_problem_is_told_at_once_and_no_value_is_repeated() {
    let file = "capacity = 257\ncontrollers = ['ftp://a', 'b/hunter2']\norphan_limit = 'hunter2'\n\
                [connections.a]\nurl = 7\n[connections.b]\npasword = 'hunter2'\nurl = 'hunter2'\n\
                [connections.c]\nurl_file = '/nowhere/hunter-file'\n[tls]\ncert = 'x'\n";
    let variables = [
        ("DROVER_CONNECTION_D", "postgres://me:hunter2#@db/x"),
        ("DROVER_AGENT__CONNECTIONS__E__URL", "hunter2"),
        ("DROVER_AGENT__REGON", "hunter2"),
    ];
    let invalid = config(file, &variables, &["--set", "log.level=a=b=c"]).unwrap_err();
    let text = invalid.to_string();
    assert!(!text.contains("hunter2"), "{text}");
    let at = "/etc/drover/agent.toml: ";
    for place in [
        "region: is missing".to_owned(),
        format!("{at}capacity: must be between 1 and 256"),
        format!("{at}controllers: `ftp` is no scheme"),
        format!("{at}orphan_limit: must be a duration"),
        format!("{at}connections.a.url: must be a text"),
        format!("{at}connections.a: needs either"),
        format!("{at}connections.b.pasword: unknown key"),
        format!("{at}connections.b: must be a URL"),
        format!("{at}connections.c: /nowhere/hunter-file: "),
        "DROVER_CONNECTION_D: special characters".to_owned(),
        format!("{at}tls.cert: a certificate and its key belong together"),
        "etcd.endpoints: is missing".to_owned(),
        "DROVER_AGENT__CONNECTIONS__E__URL: is no setting".to_owned(),
        "DROVER_AGENT__REGON: is no setting".to_owned(),
        "--set log.level: must be a level".to_owned(),
    ] {
        assert!(text.contains(&place), "{place}\nis not in\n{text}");
    }
    assert_eq!(invalid.0.len(), 15, "{text}");
}

#[test]
fn an_agent_needs_a_connection_and_shows_none_of_its_secrets() {
    let text = config(LEAST, &[], &[]).unwrap_err().to_string();
    assert!(
        text.starts_with("connections: none is configured"),
        "{text}"
    );
    let given = config(LEAST, &[CONNECTION], &[]).unwrap();
    assert!(!format!("{given:?}").contains("hunter2"));
}

#[test]
fn a_check_says_that_it_is_valid_or_what_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.toml");
    std::fs::write(folder.path().join("url"), "postgres://me:hunter2@db/x\n").unwrap();
    let text = format!("{LEAST}[connections.app]\nurl_file = 'url'\n");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let given = load(&args(&["--config", path]), &environment(&[])).unwrap();
    assert_eq!(given.connections["app"].get_host(), "db");
    let check = |arguments: &[&str]| load(&args(arguments), &environment(&[])).unwrap_err();
    let leave = check(&["--config", path, "--check-config"]);
    assert_eq!(
        (leave.code, leave.words.as_str()),
        (0, "configuration is valid")
    );
    let leave = check(&["--config", path, "--check-config", "--set", "capacity=0"]);
    assert_eq!(leave.code, 2);
    assert_eq!(
        leave.words,
        "configuration is not valid:\n--set capacity: must be between 1 and 256"
    );
}
