//! Why connections cannot be had from the configuration.

use std::io;
use std::path::PathBuf;

use proto::runtime::settings::database_url::UrlProblem;

/// Why connections cannot be had. Its words hold no URL and no password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionsError {
    /// The configuration file cannot be read.
    #[error("configuration file {}: {source}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The configuration file is wrong.
    #[error("configuration file {} is not valid", path.display())]
    CheckFile {
        /// The file.
        path: PathBuf,
        /// Every problem of it, with its key.
        problems: Vec<String>,
    },
    /// A URL that is not valid.
    #[error("{place}: {problem}")]
    ParseUrl {
        /// Key or variable.
        place: String,
        /// What is wrong.
        problem: UrlProblem,
    },
    /// A file with a URL or password cannot be read.
    #[error("{place}: {}: {source}", path.display())]
    ReadSecret {
        /// Key or variable that names it.
        place: String,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A URL and a file with one.
    #[error("{variable} and {file_variable} are both set")]
    ChooseVariable {
        /// The variable with the URL.
        variable: String,
        /// The variable with the path.
        file_variable: String,
    },
    /// Nobody configured it.
    #[error("connection `{name}` is not configured")]
    Find {
        /// The name.
        name: String,
    },
}

impl ConnectionsError {
    /// What to do, where that is always the same.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Find { name } => Some(format!(
                "set {}=postgres://user:password@host/database",
                super::variable(name)
            )),
            Self::ReadFile { .. }
            | Self::CheckFile { .. }
            | Self::ParseUrl { .. }
            | Self::ReadSecret { .. }
            | Self::ChooseVariable { .. } => None,
        }
    }

    /// Further lines: the problems of a file.
    pub fn lines(&self) -> &[String] {
        match self {
            Self::CheckFile { problems, .. } => problems,
            Self::ReadFile { .. }
            | Self::ParseUrl { .. }
            | Self::ReadSecret { .. }
            | Self::ChooseVariable { .. }
            | Self::Find { .. } => &[],
        }
    }
}
