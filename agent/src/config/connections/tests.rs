//! Names, precedence, and that nothing is shown.

use super::*;

const SECRET: &str = "postgres://me:hunter2@db:6543/clinic";

fn connections(variables: &[(&str, &str)], file: &str) -> Connections {
    let entries = file::check(file, Path::new("/etc/drover")).unwrap();
    Connections::new(Environment::from_iter(variables.iter().copied()), entries)
}

#[test]
fn names_become_variables_in_upper_case_with_underscores() {
    assert_eq!(variable("legacy-db"), "DROVER_CONNECTION_LEGACY_DB");
    let connections = connections(&[("DROVER_CONNECTION_LEGACY_DB", SECRET)], "");
    assert_eq!(
        connections.get("legacy-db").unwrap().options.get_port(),
        6543
    );
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = "[connections.app]\nurl = \"postgres://file/x\"\n[connections.old-db]\nurl = \"postgres://old/x\"\n";
    let connections = connections(
        &[
            ("DROVER_CONNECTION_APP", "postgres://env/x"),
            ("DROVER_CONNECTION_NEW_DB", "postgres://new/x"),
        ],
        file,
    );
    let host = |name: &str| connections.get(name).unwrap().options.get_host().to_owned();
    assert_eq!(
        (host("app").as_str(), host("old-db").as_str()),
        ("env", "old")
    );
    let names: Vec<String> = connections
        .all()
        .unwrap()
        .into_iter()
        .map(|one| one.name)
        .collect();
    assert_eq!(names, ["app", "old-db", "new_db"]);
}

#[test]
fn a_missing_connection_says_which_variable_to_set() {
    let error = connections(&[], "").get("app").unwrap_err();
    assert_eq!(error.to_string(), "connection `app` is not configured");
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("DROVER_CONNECTION_APP="))
    );
}

#[test]
fn every_problem_of_the_file_is_listed_and_no_value_is_repeated() {
    let text = "colour = 1\n[connections.a]\nurl = 7\n[connections.b]\npasword = \"hunter2\"\nurl = \"x\"\n[connections.c]\n";
    let problems = file::check(text, Path::new(".")).unwrap_err();
    assert_eq!(problems.len(), 5, "{problems:?}");
    assert!(
        problems
            .iter()
            .any(|problem| problem.starts_with("connections.b.pasword: unknown"))
    );
    assert!(!problems.concat().contains("hunter2"));

    let broken = format!("[connections.a]\nurl = \"{SECRET}");
    let problems = file::check(&broken, Path::new(".")).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].starts_with("line ") && !problems[0].contains("hunter2"),
        "{problems:?}"
    );
}

#[test]
fn nothing_prints_a_password() {
    let file = format!("[connections.app]\nurl = \"{SECRET}\"\n");
    let connections = connections(&[("DROVER_CONNECTION_LEGACY", SECRET)], &file);
    for shown in [
        format!("{connections:?}"),
        format!("{:?}", connections.entries),
        format!("{:?}", connections.all().unwrap()),
    ] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    assert_eq!(
        format!("{:?}", connections.get("app").unwrap()),
        "app (db:6543/clinic)"
    );
}

#[test]
fn a_url_that_is_not_valid_is_never_repeated() {
    for text in [
        "hunter2",
        "mysql://me:hunter2@db/x",
        "postgres://me:hunter2#@db/x",
        "postgres://me:hunter2/@db/x",
        "postgres://me:hun?ter2@db/x",
        "postgres://me:hunter2@db:port/x",
        "postgres://me:hunter2@db/x?sslmode=hunter2",
        "postgres://me@db/x?pasword=hunter2",
    ] {
        let problem = parse_url(text).unwrap_err().to_string();
        assert!(
            !problem.contains("hunter2") && !problem.contains("ter2"),
            "{problem}"
        );
    }
    assert!(parse_url("postgres://me:p%23@db/x?connect_timeout=3&sslmode=require").is_ok());
}

#[test]
fn the_configuration_file_is_looked_for_where_the_desktop_says() {
    let path = |variables: &[(&str, &str)]| {
        default_path(&Environment::from_iter(variables.iter().copied()))
            .map(|path| path.display().to_string())
    };
    assert_eq!(
        path(&[("HOME", "/h")]).as_deref(),
        Some("/h/.config/drover/config.toml")
    );
    assert_eq!(
        path(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")]).as_deref(),
        Some("/x/drover/config.toml")
    );
    assert_eq!(path(&[]), None);
}

#[test]
fn the_sample_that_is_shipped_is_valid() {
    let text = include_str!("../../../../deploy/config/config.toml");
    let entries = file::check(text, Path::new("/etc/drover")).unwrap();
    assert_eq!(entries.keys().collect::<Vec<_>>(), ["app", "legacy"]);
}
