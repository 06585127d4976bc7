//! The directory of a private server: fresh and temporary, or one that is used again.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use proto::runtime::settings::{Environment, Secret};
use uuid::Uuid;

use super::account::Account;
use crate::exit::Code;
use crate::stop::Stop;

/// Unix socket paths end at about a hundred bytes; the server's own name takes some.
const SOCKET_PATH_LIMIT: usize = 80;

/// Where a private server keeps everything.
#[derive(Debug)]
pub struct Home {
    root: PathBuf,
    /// It stays when the server ends.
    pub is_kept: bool,
}

impl Home {
    /// A fresh directory that only the account can enter, or `data_dir`, made where it is missing.
    pub fn open(
        account: &Account,
        environment: &Environment,
        data_dir: Option<&Path>,
        keep: bool,
    ) -> Result<Self, Stop> {
        match data_dir {
            Some(path) => Self::named(account, path),
            None => Self::temporary(account, environment, keep),
        }
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.root.join("pg")
    }

    /// The server's log.
    pub fn log(&self) -> PathBuf {
        self.root.join("postgresql.log")
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory for a Unix socket, where its path is short enough.
    pub fn socket(&self) -> Option<&Path> {
        (self.root.as_os_str().len() <= SOCKET_PATH_LIMIT).then_some(self.root.as_path())
    }

    /// Whether a server was made here before, to the end.
    pub fn is_initialized(&self) -> bool {
        self.marker().exists()
    }

    /// Notes that the data directory is complete.
    pub fn mark_initialized(&self) -> Result<(), Stop> {
        std::fs::write(self.marker(), "").map_err(|error| failed(&self.marker(), &error))
    }

    fn marker(&self) -> PathBuf {
        self.root.join("initialized")
    }

    /// The file that holds the superuser's password.
    pub fn password_path(&self) -> PathBuf {
        self.root.join("password")
    }

    /// The superuser's password: the one that is there, or a new one.
    pub fn password(&self, account: &Account) -> Result<Secret, Stop> {
        let path = self.password_path();
        if self.is_initialized() {
            let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
            return Ok(Secret::new(text.trim()));
        }
        let password = Uuid::new_v4().simple().to_string();
        // Nobody else can enter the directory while the file is still ours.
        std::fs::write(&path, &password)
            .and_then(|()| account.take(&path, 0o600))
            .map_err(|error| failed(&path, &error))?;
        Ok(Secret::new(password))
    }

    /// Removes it, unless it is kept.
    pub fn remove(&self) {
        if !self.is_kept {
            let _ = std::fs::remove_dir_all(&self.root);
        }
    }

    fn named(account: &Account, path: &Path) -> Result<Self, Stop> {
        let is_new = !path.exists();
        make(path).map_err(|error| failed(path, &error))?;
        let root = path.canonicalize().map_err(|error| failed(path, &error))?;
        let home = Self {
            root,
            is_kept: true,
        };
        let is_empty = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        if !is_empty && !home.password_path().exists() {
            return Err(Stop::usage(format!(
                "{} is not empty and was not made by `drover dev`",
                path.display()
            )));
        }
        if is_new || is_empty {
            account
                .take(&home.root, 0o700)
                .map_err(|error| failed(path, &error))?;
        }
        if !account.can_use(&home.root) {
            return Err(Stop::usage(format!(
                "{}, whom PostgreSQL runs as, cannot enter or write {}",
                account.name,
                path.display()
            )));
        }
        Ok(home)
    }

    /// The first place that the account can reach: TMPDIR may be closed to it.
    fn temporary(account: &Account, environment: &Environment, keep: bool) -> Result<Self, Stop> {
        let places = environment
            .get("TMPDIR")
            .into_iter()
            .chain(["/tmp", "/var/tmp"]);
        for place in places.map(Path::new).filter(|place| place.is_absolute()) {
            let id = Uuid::new_v4().simple().to_string();
            let root = place.join(format!("drover-dev-{}", id.get(..8).unwrap_or(&id)));
            let home = Self {
                root,
                is_kept: false,
            };
            if make(&home.root)
                .and_then(|()| account.take(&home.root, 0o700))
                .is_ok()
                && account.can_use(&home.root)
            {
                return Ok(Self {
                    is_kept: keep,
                    ..home
                });
            }
            home.remove();
        }
        Err(Stop::new(
            Code::Failed,
            "NO_DIRECTORY",
            format!("no temporary directory that {} can use", account.name),
        )
        .hinting("name one with TMPDIR or --data-dir"))
    }
}

fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn failed(path: &Path, error: &io::Error) -> Stop {
    Stop::new(
        Code::Failed,
        "NO_DIRECTORY",
        format!("{}: {error}", path.display()),
    )
}
