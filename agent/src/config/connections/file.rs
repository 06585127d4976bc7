//! `[connections]` of a configuration file, and the files that it names.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use proto::runtime::settings::Secret;
use sqlx::postgres::PgConnectOptions;
use toml::{Table, Value};

use super::error::ConnectionsError;
use super::parse_at;

/// One `[connections.NAME]`, checked.
#[derive(Debug, Clone)]
pub struct Entry {
    place: String,
    url: Url,
    password_file: Option<PathBuf>,
}

#[derive(Debug, Clone)]
enum Url {
    Text(Secret),
    File(PathBuf),
}

impl Entry {
    /// Reads the files it names.
    pub(super) fn options(&self) -> Result<PgConnectOptions, ConnectionsError> {
        let options = match &self.url {
            Url::Text(text) => parse_at(&self.place, text.expose())?,
            Url::File(path) => parse_at(&self.place, read_secret(path, &self.place)?.expose())?,
        };
        match &self.password_file {
            Some(path) => Ok(options.password(read_secret(path, &self.place)?.expose())),
            None => Ok(options),
        }
    }
}

/// Every connection of a file that has nothing else. A missing file is empty unless it must be there.
pub(super) fn read(
    path: &Path,
    must_exist: bool,
) -> Result<BTreeMap<String, Entry>, ConnectionsError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound && !must_exist => {
            return Ok(BTreeMap::new());
        }
        Err(source) => {
            let path = path.to_owned();
            return Err(ConnectionsError::ReadFile { path, source });
        }
    };
    let base = path.parent().unwrap_or(Path::new("."));
    check(&text, base).map_err(|problems| ConnectionsError::CheckFile {
        path: path.to_owned(),
        problems,
    })
}

/// A secret out of a file: its content without the line end.
pub(super) fn read_secret(path: &Path, place: &str) -> Result<Secret, ConnectionsError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Secret::new(text.trim_end_matches(['\r', '\n']))),
        Err(source) => Err(ConnectionsError::ReadSecret {
            place: place.to_owned(),
            path: path.to_owned(),
            source,
        }),
    }
}

/// The connections of a text that has nothing else, or every problem of it. The parser's own words are
/// not repeated: they quote the line, which may hold a password.
pub(super) fn check(text: &str, base: &Path) -> Result<BTreeMap<String, Entry>, Vec<String>> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        vec![format!("line {line} is not TOML")]
    })?;
    let mut problems = Vec::new();
    let mut entries = BTreeMap::new();
    for (key, value) in &table {
        match (key.as_str(), value) {
            ("connections", Value::Table(connections)) => {
                entries.extend(check_entries(connections, base, &mut problems));
            }
            ("connections", _) => problems.push("connections: must be a table".to_owned()),
            (key, _) => problems.push(format!("{key}: unknown key; only `connections` is known")),
        }
    }
    if problems.is_empty() {
        Ok(entries)
    } else {
        Err(problems)
    }
}

/// The entries of a table `connections`; those with problems are left out. Paths are relative to `base`.
pub fn check_entries(
    connections: &Table,
    base: &Path,
    problems: &mut Vec<String>,
) -> BTreeMap<String, Entry> {
    let mut entries = BTreeMap::new();
    for (name, value) in connections {
        if let Some(entry) = entry(name, value, base, problems) {
            entries.insert(name.clone(), entry);
        }
    }
    entries
}

fn entry(name: &str, value: &Value, base: &Path, problems: &mut Vec<String>) -> Option<Entry> {
    let place = format!("connections.{name}");
    let Value::Table(table) = value else {
        problems.push(format!("{place}: must be a table with `url` or `url_file`"));
        return None;
    };
    let mut texts: BTreeMap<&str, &str> = BTreeMap::new();
    for (key, value) in table {
        match (key.as_str(), value.as_str()) {
            ("url" | "url_file" | "password_file", Some(text)) => {
                texts.insert(key, text);
            }
            ("url" | "url_file" | "password_file", None) => {
                problems.push(format!("{place}.{key}: must be a text"));
            }
            _ => problems.push(format!(
                "{place}.{key}: unknown key; known are url, url_file and password_file"
            )),
        }
    }
    let url = match (texts.get("url"), texts.get("url_file")) {
        (Some(text), None) => Url::Text(Secret::new(*text)),
        (None, Some(path)) => Url::File(base.join(path)),
        _ => {
            problems.push(format!("{place}: needs either `url` or `url_file`"));
            return None;
        }
    };
    let password_file = texts.get("password_file").map(|path| base.join(path));
    Some(Entry {
        place,
        url,
        password_file,
    })
}
