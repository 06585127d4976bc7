//! Whom PostgreSQL runs as: it refuses root, so root lends it another account.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::exit::Code;
use crate::stop::Stop;

/// Accounts that root tries, in this order.
const LENT: [&str; 2] = ["postgres", "nobody"];

/// The account of the server's processes and files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name, for messages.
    pub name: String,
    /// User and group to change to; none for our own.
    lent: Option<(u32, u32)>,
}

impl Account {
    /// Our own account, or one that root lends.
    pub fn choose() -> Result<Self, Stop> {
        if number(&["-u"]) != Some(0) {
            return Ok(Self {
                name: "this user".to_owned(),
                lent: None,
            });
        }
        LENT.iter()
            .find_map(|name| {
                let lent = Some((number(&["-u", name])?, number(&["-g", name])?));
                Some(Self { name: format!("user {name}"), lent })
            })
            .ok_or_else(|| {
                Stop::new(
                    Code::Failed,
                    "NO_ACCOUNT",
                    "PostgreSQL refuses to run as root, and there is no user `postgres` to run it as",
                )
                .hinting("run this as another user, or install the distribution's PostgreSQL package")
            })
    }

    /// A program of this account, in a process group of its own, so that Ctrl-C reaches only us. It
    /// gets no environment: PGDATA and the like are not meant for it.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .envs([
                ("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"),
                ("LC_ALL", "C"),
            ])
            .current_dir("/")
            .stdin(Stdio::null())
            .process_group(0);
        if let Some((user, group)) = self.lent {
            command.uid(user).gid(group);
        }
        command
    }

    /// Makes a file or directory this account's, and nobody else's.
    pub fn take(&self, path: &Path, mode: u32) -> io::Result<()> {
        std::fs::set_permissions(path, Permissions::from_mode(mode))?;
        match self.lent {
            Some((user, group)) => chown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    /// Whether this account can enter a directory and write there.
    pub fn can_use(&self, directory: &Path) -> bool {
        self.command("/bin/sh")
            .args(["-c", "cd \"$1\" && test -w . && test -x .", "sh"])
            .arg(directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

/// What `id` says.
fn number(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id")
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
