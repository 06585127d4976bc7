//! Finds the programs of a PostgreSQL server; distributions keep them outside PATH.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proto::runtime::settings::Environment;

use crate::exit::Code;
use crate::stop::Stop;

/// Programs that must stand in one directory.
const NEEDED: [&str; 3] = ["initdb", "postgres", "pg_ctl"];

/// The directory of a server's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    /// The path of a program.
    pub fn path(&self, program: &str) -> PathBuf {
        self.directory.join(program)
    }

    /// Looks at `DROVER_POSTGRES_BIN` alone where it is set; else along PATH, where distributions put
    /// it, and where `pg_config` says.
    pub fn find(environment: &Environment) -> Result<Self, Stop> {
        if let Some(named) = environment.get("DROVER_POSTGRES_BIN") {
            return first(vec![PathBuf::from(named)], is_program).ok_or_else(|| {
                Stop::usage(format!(
                    "DROVER_POSTGRES_BIN holds no {}",
                    NEEDED.join(", ")
                ))
            });
        }
        let path = environment.get("PATH").unwrap_or_default();
        let mut places: Vec<PathBuf> = std::env::split_paths(path).collect();
        places.extend(installed());
        places.extend(pg_config());
        first(places, is_program).ok_or_else(missing)
    }
}

/// The first directory that holds every program.
fn first(places: Vec<PathBuf>, is_program: impl Fn(&Path) -> bool) -> Option<Binaries> {
    places
        .into_iter()
        .filter(|place| place.is_absolute())
        .find(|place| {
            NEEDED
                .iter()
                .all(|program| is_program(&place.join(program)))
        })
        .map(|directory| Binaries { directory })
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// Where distributions put servers, the newest version of each first.
fn installed() -> Vec<PathBuf> {
    let mut places = Vec::new();
    for (parent, prefix, rest) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
        ("/usr/local", "pgsql", "bin"),
    ] {
        let Ok(entries) = std::fs::read_dir(parent) else {
            continue;
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.starts_with(prefix))
            .collect();
        names.sort_by_key(|name| std::cmp::Reverse(version(name)));
        places.extend(
            names
                .iter()
                .map(|name| Path::new(parent).join(name).join(rest)),
        );
    }
    places
}

/// The number in a name such as `15`, `pgsql-9.6` or `postgresql@17`.
fn version(name: &str) -> u32 {
    let digits: String = name
        .chars()
        .skip_while(|letter| !letter.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap_or(0)
}

fn pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config")
        .arg("--bindir")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let line = String::from_utf8(output.stdout).ok()?;
    (!line.trim().is_empty()).then(|| PathBuf::from(line.trim()))
}

fn missing() -> Stop {
    Stop::new(Code::Failed, "POSTGRESQL_MISSING", "no PostgreSQL server is installed (initdb, postgres, pg_ctl)")
        .listing(vec![
            "Debian, Ubuntu: apt-get install postgresql".to_owned(),
            "Fedora:         dnf install postgresql-server postgresql-contrib".to_owned(),
            "macOS:          brew install postgresql@17".to_owned(),
        ])
        .hinting("install one of these; no service needs to run. In a clone of the repository, `make setup` does it. \
                  DROVER_POSTGRES_BIN names a directory elsewhere")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_clients_alone_is_passed_over() {
        let there = [
            "/a/initdb",
            "/a/psql",
            "/b/initdb",
            "/b/postgres",
            "/b/pg_ctl",
        ];
        let found = first(vec!["/a".into(), "b".into(), "/b".into()], |path| {
            there.iter().any(|one| Path::new(one) == path)
        });
        assert_eq!(
            found,
            Some(Binaries {
                directory: "/b".into()
            })
        );
        assert_eq!(first(vec!["/a".into()], |_| false), None);
    }

    #[test]
    fn the_newest_version_is_a_number_not_a_text() {
        let mut names = ["9.6", "15", "postgresql@17", "pgsql-16", "x"];
        names.sort_by_key(|name| std::cmp::Reverse(version(name)));
        assert_eq!(names, ["postgresql@17", "pgsql-16", "15", "9.6", "x"]);
    }

    #[test]
    fn a_directory_that_is_named_must_hold_a_server() {
        let environment = Environment::from_iter([("DROVER_POSTGRES_BIN", "/nowhere")]);
        assert_eq!(
            Binaries::find(&environment).unwrap_err().code(),
            Code::Usage
        );
    }
}
