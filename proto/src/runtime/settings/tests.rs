//! Layers, their order and their problems; nothing is shown that may be a secret.

use super::*;

#[test]
fn values_and_secrets_are_never_printed() {
    let environment = Environment::from_iter([("PASSWORD", "hunter2")]);
    assert_eq!(format!("{environment:?}"), r#"{"PASSWORD"}"#);
    assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
}

#[test]
fn an_empty_variable_is_unset() {
    let environment = Environment::from_iter([("A", ""), ("B", "TRUE"), ("C", "yes")]);
    assert_eq!(environment.get("A"), None);
    assert!(environment.is_true("B") && !environment.is_true("C") && !environment.is_true("D"));
    assert_eq!(environment.iter().count(), 2);
}

/// Settings of a made-up server.
#[derive(Debug, Default, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    name: Option<String>,
    lanes: i64,
    is_on: bool,
    servers: Vec<String>,
    labels: std::collections::BTreeMap<String, String>,
    store: RawStore,
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    links: toml::Table,
}

#[derive(Debug, Default, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct RawStore {
    server_name: String,
    wait: Option<i64>,
}

fn layers() -> Layers {
    Layers::new::<Raw>("TEST")
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment::from_iter(variables.iter().copied())
}

fn problems(layers: Layers) -> Vec<String> {
    let (_, check) = layers.read::<Raw>().parts().expect("they fit");
    let invalid = check.finish::<()>(None).expect_err("nothing was made");
    invalid.0.iter().map(ToString::to_string).collect()
}

#[test]
fn the_struct_says_which_settings_there_are() {
    let shape = Shape::of::<Raw>();
    let names: Vec<&str> = shape.names().collect();
    assert_eq!(
        names,
        [
            "is_on",
            "labels",
            "lanes",
            "links",
            "name",
            "servers",
            "store.server_name",
            "store.wait"
        ]
    );
    assert_eq!(shape.kind("store.wait"), Some(Kind::Number));
    assert_eq!(shape.kind("labels.a.b"), Some(Kind::Text));
    assert_eq!(shape.kind("links"), Some(Kind::Free));
    assert_eq!(shape.kind("store"), None);
}

#[test]
fn the_environment_is_over_the_file_and_flags_are_over_both() {
    let mut layers = layers();
    let file = "name = 'f'\nlanes = 1\nservers = ['a']\n[labels]\ntier = 'f'\n'x.y' = 'f'\n\
                [store]\nserver_name = 'f'\nwait = 1\n[links.a]\nb = 1\n";
    layers.file_text(std::path::Path::new("/etc/t.toml"), file);
    let variables = environment(&[
        ("TEST__LANES", "2"),
        ("TEST__SERVERS", "b, c,"),
        ("TEST__STORE__SERVER_NAME", "e"),
        ("TEST__LABELS__TIER", "e"),
        ("TEST__IS_ON", "true"),
        ("TEST_OTHER", "is not ours"),
    ]);
    layers.environment(&variables);
    layers.flag("--lanes", "lanes", "3");
    layers.set("store.server_name=s=t");
    layers.set("labels.zone.z = z");
    let (raw, check) = layers.read::<Raw>().parts().expect("they fit");
    let text = |text: &str| text.to_owned();
    assert_eq!(raw.name, Some(text("f")));
    assert_eq!(raw.lanes, 3);
    assert!(raw.is_on);
    assert_eq!(raw.servers, ["b", "c"]);
    let labels = [("tier", "e"), ("x.y", "f"), ("zone.z", " z")];
    assert_eq!(
        raw.labels,
        labels.map(|(name, is)| (text(name), text(is))).into()
    );
    assert_eq!(raw.store.server_name, "s=t");
    assert_eq!(raw.store.wait, Some(1));
    assert_eq!(raw.links.len(), 1);
    assert_eq!(check.place("name"), "/etc/t.toml: name");
    assert_eq!(check.place("servers"), "TEST__SERVERS");
    assert_eq!(check.place("lanes"), "--lanes");
    assert_eq!(
        check.variable("store.server_name"),
        "TEST__STORE__SERVER_NAME"
    );
    assert_eq!(
        check.path("name", "key.pem"),
        std::path::Path::new("/etc/key.pem")
    );
    assert_eq!(
        check.path("servers", "key.pem"),
        std::path::Path::new("key.pem")
    );
}

#[test]
fn every_problem_is_told_with_its_place_and_without_the_value() {
    let mut layers = layers();
    let file = "nane = 'hunter2'\nlanes = 'hunter2'\nstore = 7\nlabels = { a = 1 }\n[links]\n";
    layers.file_text(std::path::Path::new("t.toml"), file);
    layers.environment(&environment(&[
        ("TEST__IS_ON", "hunter2"),
        ("TEST__LINKS", "hunter2"),
        ("TEST__STORE", "hunter2"),
        ("TEST__STORE__Wait", "1"),
        ("TEST__WAIT", "hunter2"),
    ]));
    layers.set("hunter2");
    layers.set("name=postgres://me:hunter2@db/x");
    layers.flag("--wait", "store.wait", "soon");
    assert_eq!(
        problems(layers),
        [
            "t.toml: labels: must be a table of texts",
            "t.toml: lanes: must be a whole number",
            "t.toml: nane: is no setting",
            "t.toml: store: must be a table",
            "TEST__IS_ON: must be true or false",
            "TEST__LINKS: must be a table, in the configuration file",
            "TEST__STORE: is no setting",
            "TEST__STORE__Wait: is no setting: upper case is missing",
            "TEST__WAIT: is no setting",
            "--set: must be like name=value",
            "--set name: holds a password, which everybody on this machine can see; use a file",
            "--wait: must be a whole number",
        ]
    );
}

#[test]
fn a_file_that_is_no_toml_names_the_line_and_quotes_nothing() {
    let mut layers = layers();
    layers.file_text(std::path::Path::new("t.toml"), "lanes = 1\nname = 'hunter2");
    layers.file(std::path::Path::new("/nowhere/t.toml"));
    let problems = problems(layers);
    assert_eq!(problems[0], "t.toml: line 2 is not TOML");
    assert!(problems[1].starts_with("/nowhere/t.toml: "), "{problems:?}");
}

#[test]
fn one_mistake_is_one_problem_and_what_a_later_layer_mends_is_still_told() {
    let mut layers = layers();
    layers.file_text(std::path::Path::new("t.toml"), "lanes = 'x'\n");
    let (_, mut check) = layers.read::<Raw>().parts().expect("they fit");
    check.number("lanes", 0, 1..=9);
    check.missing("name");
    check.missing("name");
    let invalid = check.finish(Some(())).expect_err("problems");
    assert_eq!(
        invalid.to_string(),
        "t.toml: lanes: must be a whole number\n\
         name: is missing; set it in the configuration file or as TEST__NAME"
    );
}

#[test]
fn durations_have_a_number_and_a_unit() {
    use std::time::Duration;
    for (text, millis) in [
        ("500ms", 500),
        ("30s", 30_000),
        (" 5m ", 300_000),
        ("2h", 7_200_000),
    ] {
        assert_eq!(
            parse_duration(text),
            Some(Duration::from_millis(millis)),
            "{text}"
        );
    }
    for text in [
        "",
        "30",
        "s",
        "1.5s",
        "-1s",
        "1d",
        "30 s",
        "99999999999999999999s",
        "99999999999999999h",
    ] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
    let (_, mut check) = layers().read::<Raw>().parts().expect("they fit");
    let within = Duration::from_secs(1)..=Duration::from_secs(60);
    assert_eq!(check.duration("name", "2m", within), Duration::from_secs(1));
    let invalid = check.finish(Some(())).expect_err("too long");
    assert_eq!(invalid.to_string(), "name: must be between 1s and 60s");
}

#[test]
fn a_check_ends_with_0_or_2_and_a_start_goes_on() {
    let valid = || Ok::<_, Invalid>(7);
    assert_eq!(go_on(valid(), false), Ok(7));
    let leave = go_on(valid(), true).expect_err("only checked");
    assert_eq!(
        (leave.code, leave.words.as_str()),
        (0, "configuration is valid")
    );
    for is_check in [false, true] {
        let invalid = Err::<u8, _>(Invalid(vec![SettingProblem {
            place: "a".to_owned(),
            message: "is wrong".to_owned(),
        }]));
        let leave = go_on(invalid, is_check).expect_err("wrong");
        assert_eq!(leave.code, 2);
        assert_eq!(leave.words, "configuration is not valid:\na: is wrong");
    }
}

#[test]
fn a_configuration_file_is_chosen_by_flag_then_variable_then_where_it_usually_is() {
    use std::path::Path;
    let folder = tempfile::tempdir().expect("a folder");
    let usual = folder.path().join("t.toml");
    let choose = |flag: Option<&Path>, variables: &[(&str, &str)]| {
        choose_file(flag, &environment(variables), "TEST_CONFIG", &usual)
    };
    assert_eq!(choose(None, &[]), None);
    std::fs::write(&usual, "").expect("a file");
    assert_eq!(choose(None, &[]), Some(usual.clone()));
    let named = [("TEST_CONFIG", "v.toml")];
    assert_eq!(choose(None, &named).as_deref(), Some(Path::new("v.toml")));
    let flag = Path::new("f.toml");
    assert_eq!(choose(Some(flag), &named).as_deref(), Some(flag));
}

#[test]
fn database_urls_that_are_not_valid_are_never_repeated() {
    use database_url::{for_driver, holds_password};
    for text in [
        "hunter2",
        "mysql://me:hunter2@db/x",
        "postgres://me:hunter2#@db/x",
        "postgres://me:hunter2/@db/x",
        "postgres://me:hun?ter2@db/x",
        "postgres://me@db/x?pasword=hunter2",
    ] {
        let problem = for_driver(text).expect_err("not valid").to_string();
        assert!(!problem.contains("ter2"), "{problem}");
    }
    assert_eq!(
        for_driver("postgres://me:p%23@db/x?connect_timeout=3&sslmode=require").as_deref(),
        Ok("postgres://me:p%23@db/x?sslmode=require")
    );
    for (text, holds) in [
        ("postgres://me:hunter2@db:6543/clinic", true),
        ("--metadata-url=postgresql://a:b@c/d", true),
        ("postgres://h/d?user=a&password=b", true),
        ("postgres://me@db/x", false),
        ("postgres://me:@db/x", false),
        ("https://a:b@c", false),
        ("plan.yaml", false),
        ("", false),
    ] {
        assert_eq!(holds_password(text), holds, "{text}");
    }
}
