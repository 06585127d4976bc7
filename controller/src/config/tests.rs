//! The sample, precedence, and every problem at once.

use std::collections::BTreeSet;

use clap::Parser;
use proto::runtime::settings::Shape;

use super::*;

const SAMPLE: &str = include_str!("../../../deploy/config/controller.toml");
/// What must be given.
const LEAST: &str =
    "metadata.url = 'postgres://db/meta'\netcd.endpoints = ['http://127.0.0.1:2379']\n";

fn args(arguments: &[&str]) -> Args {
    let all = std::iter::once(&"drover-controller").chain(arguments);
    Args::try_parse_from(all).expect("arguments")
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment::from_iter(variables.iter().copied())
}

fn config(
    file: &str,
    variables: &[(&str, &str)],
    arguments: &[&str],
) -> Result<ControllerConfig, Invalid> {
    let mut layers = Layers::new::<RawController>(PREFIX);
    layers.file_text(Path::new("/etc/drover/controller.toml"), file);
    lay(layers, &args(arguments), &environment(variables)).try_into()
}

/// The sample with every setting that it only mentions: `#name = value`.
fn uncommented(sample: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|first: char| first.is_ascii_lowercase()) => rest.to_owned(),
        _ => line.to_owned(),
    };
    sample.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Names of settings, down to what the shape knows.
fn names(table: &toml::Table, before: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (key, value) in table {
        let name = format!("{before}{key}");
        match value {
            toml::Value::Table(below) => all.extend(names(below, &format!("{name}."))),
            _ => drop(all.insert(name)),
        }
    }
    all
}

#[test]
fn the_sample_is_valid_and_shows_the_defaults() {
    let variables = [("DROVER_METADATA_URL", "postgres://db/meta")];
    let sample = config(SAMPLE, &variables, &[]).unwrap();
    let least = config(LEAST, &[], &[]).unwrap();
    assert_eq!(format!("{sample:?}"), format!("{least:?}"));
}

#[test]
fn the_sample_has_every_setting_and_no_other() {
    let text = uncommented(SAMPLE);
    let shown = names(&text.parse().unwrap(), "");
    let known: BTreeSet<String> = Shape::of::<RawController>()
        .names()
        .map(str::to_owned)
        .collect();
    assert_eq!(shown, known);
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = format!("{LEAST}listen = '10.0.0.1:1'\nlog.level = 'warn'\nlog.format = 'json'\n");
    let variables = [
        ("DROVER_CONTROLLER__LISTEN", "10.0.0.2:2"),
        ("DROVER_CONTROLLER__ETCD__ENDPOINTS", "a,https://b:1"),
        ("DROVER_LOG", "debug"),
        ("DROVER_LOG_FORMAT", "text"),
        ("DROVER_CONTROLLER__LOG__FORMAT", "json"),
        ("DROVER_METADATA_URL", "postgres://other/meta"),
    ];
    let from = |arguments: &[&str]| config(&file, &variables, arguments).unwrap();
    let config = from(&[]);
    assert_eq!(config.listen.to_string(), "10.0.0.2:2");
    assert_eq!(config.advertise, "10.0.0.2:2");
    assert_eq!(config.etcd.endpoints, ["http://a:2379", "https://b:1"]);
    assert_eq!(
        (config.log.level.as_str(), config.log.format.as_str()),
        ("debug", "json")
    );
    assert_eq!(config.metadata.get_host(), "other");
    let config = from(&["--listen", "10.0.0.3:3", "--set", "etcd.leader_ttl=9s"]);
    assert_eq!(config.listen.to_string(), "10.0.0.3:3");
    assert_eq!(config.etcd.times.leader.as_secs(), 9);
    let config = from(&["--listen", "0.0.0.0:3", "--advertise", "c1"]);
    assert_eq!(config.advertise, "c1:3");
}

#[test]
fn every_problem_is_told_at_once_and_no_value_is_repeated() {
    let file = "listen = 'hunter2'\nadvertise = '0.0.0.0:1'\ncontroller_id = 'hunter2'\ncolour = 1\n\
                [metadata]\nurl = 'postgres://me:hunter2#@db/x'\nschema = ''\n\
                [etcd]\nendpoints = ['ftp://a']\nprefix = 'hunter2'\nuser = 'me'\nleader_ttl = '1s'\n\
                [tls]\ncert = 'gone.pem'\n[limits]\nmax_streams = 0\n[log]\nlevel = 'a=hunter2'\n";
    let variables = [
        ("DROVER_CONTROLLER__ETCD__AGENT_TTL", "soon"),
        ("DROVER_CONTROLLER__LIMITS__MAX_MESSAGE_BYTES", "hunter2"),
        ("DROVER_CONTROLLER__NANE", "hunter2"),
    ];
    let invalid = config(file, &variables, &["--set", "log.format=xml"]).unwrap_err();
    let text = invalid.to_string();
    assert!(!text.contains("hunter2"), "{text}");
    let at = "/etc/drover/controller.toml: ";
    for place in [
        format!("{at}listen: must be"),
        format!("{at}advertise: must be an address that others can dial"),
        format!("{at}controller_id: must be a UUID"),
        format!("{at}colour: is no setting"),
        format!("{at}metadata.url: special characters"),
        "metadata.schema: is missing".to_owned(),
        format!("{at}etcd.endpoints: `ftp` is no scheme"),
        format!("{at}etcd.prefix: must begin"),
        format!("{at}etcd.user: user and password_file belong together"),
        format!("{at}etcd.leader_ttl: must be between 2s and 600s"),
        format!("{at}tls.cert: a certificate and its key belong together"),
        format!("{at}limits.max_streams: must be between"),
        format!("{at}log.level: must be a level"),
        "DROVER_CONTROLLER__ETCD__AGENT_TTL: must be a duration".to_owned(),
        "DROVER_CONTROLLER__LIMITS__MAX_MESSAGE_BYTES: must be a whole number".to_owned(),
        "DROVER_CONTROLLER__NANE: is no setting".to_owned(),
        "--set log.format: must be `text` or `json`".to_owned(),
    ] {
        assert!(text.contains(&place), "{place}\nis not in\n{text}");
    }
    assert_eq!(invalid.0.len(), 17, "{text}");
}

#[test]
fn what_must_be_given_is_asked_for_by_file_and_variable() {
    let text = config("", &[], &[]).unwrap_err().to_string();
    assert_eq!(
        text,
        "metadata.url: is missing; set it in the configuration file or as DROVER_CONTROLLER__METADATA__URL\n\
         etcd.endpoints: is missing; set it in the configuration file or as \
         DROVER_CONTROLLER__ETCD__ENDPOINTS"
    );
    let both = format!("{LEAST}metadata.url_file = 'x'\n");
    let text = config(&both, &[], &[]).unwrap_err().to_string();
    assert!(text.contains("metadata.url: is set beside"), "{text}");
    let every = format!("{LEAST}listen = '[::]:1'\n");
    let text = config(&every, &[], &[]).unwrap_err().to_string();
    assert!(
        text.starts_with("advertise: is missing: `listen`"),
        "{text}"
    );
}

#[test]
fn secrets_come_out_of_files_beside_the_configuration_and_are_not_printed() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("url", "postgres://me:hunter2@db:6543/meta\n");
    write("password", "hunter2\n");
    write(
        "controller.toml",
        "[metadata]\nurl_file = 'url'\n[etcd]\nendpoints = ['a']\nuser = 'me'\npassword_file = 'password'\n",
    );
    let path = folder.path().join("controller.toml");
    let path = path.to_str().unwrap();
    let config = load(&args(&["--config", path]), &environment(&[])).unwrap();
    assert_eq!(config.metadata.get_port(), 6543);
    let login = config.etcd.login.as_ref().unwrap();
    assert_eq!(login.password.expose(), "hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));

    let leave = load(
        &args(&["--config", path, "--check-config"]),
        &environment(&[]),
    )
    .unwrap_err();
    assert_eq!(
        (leave.code, leave.words.as_str()),
        (0, "configuration is valid")
    );
    let named = environment(&[("DROVER_CONTROLLER_CONFIG", "/nowhere/c.toml")]);
    let leave = load(&args(&["--check-config"]), &named).unwrap_err();
    assert_eq!(leave.code, 2);
    assert!(leave.words.contains("/nowhere/c.toml: "), "{}", leave.words);
}
