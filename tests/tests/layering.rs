//! Imports go down only, and files stay small: read off our own sources.

use std::path::{Path, PathBuf};

const MAX_LINES: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("invariant: the folder is there") {
        let path = entry.expect("invariant: the folder can be read").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}

fn is_test(path: &Path) -> bool {
    let inside = path.strip_prefix(root()).unwrap_or(path);
    inside
        .components()
        .any(|part| part.as_os_str().to_string_lossy().contains("tests"))
}

/// Lines of a file that name one of the words outside of comments.
fn uses(path: &Path, words: &[&str]) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("invariant: a source is text");
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let hits = code.filter(|line| words.iter().any(|word| line.contains(word)));
    hits.map(|line| format!("{}: {}", path.display(), line.trim()))
        .collect()
}

fn must_not_use(folder: &str, words: &[&str], except: &[&str]) {
    let files = sources(&root().join(folder));
    let checked = files
        .iter()
        .filter(|path| !except.iter().any(|end| path.ends_with(end)));
    let hits: Vec<String> = checked.flat_map(|path| uses(path, words)).collect();
    assert!(
        hits.is_empty(),
        "{folder} must not use {words:?}:\n{}",
        hits.join("\n")
    );
}

#[test]
fn the_domain_does_no_io_and_knows_no_clock() {
    let words = [
        "tokio",
        "sqlx",
        "crate::runtime",
        "crate::lease",
        "std::env",
        "std::fs",
        "Utc::now",
    ];
    must_not_use("proto/src/domain", &words, &["tests.rs"]);
    must_not_use(
        "agent/src/transform",
        &["tokio", "sqlx", "crate::sink"],
        &[],
    );
}

#[test]
fn the_runtime_knows_no_domain_word() {
    must_not_use("proto/src/runtime", &["crate::domain", "crate::lease"], &[]);
}

#[test]
fn decisions_are_pure() {
    for file in ["schedule.rs", "partition.rs", "quarantine.rs", "intake.rs"] {
        let hits = uses(
            &root().join("controller/src").join(file),
            &["sqlx", "tokio", "clock::"],
        );
        assert!(hits.is_empty(), "{}", hits.join("\n"));
    }
}

#[test]
fn the_controller_speaks_sql_in_its_store_only() {
    let files = sources(&root().join("controller/src"));
    let outside = files
        .iter()
        .filter(|path| !path.components().any(|part| part.as_os_str() == "store"));
    let hits: Vec<String> = outside
        .flat_map(|path| uses(path, &["sqlx::query", "raw_sql"]))
        .collect();
    assert!(hits.is_empty(), "{}", hits.join("\n"));
}

#[test]
fn files_stay_small() {
    for folder in ["proto/src", "controller/src", "agent/src", "cli/src"] {
        let files = sources(&root().join(folder));
        for path in files.iter().filter(|path| !is_test(path)) {
            let text = std::fs::read_to_string(path).expect("invariant: a source is text");
            assert!(
                text.lines().count() <= MAX_LINES,
                "{} is too long",
                path.display()
            );
        }
    }
}
