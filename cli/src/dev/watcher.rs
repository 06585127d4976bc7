//! Ends the private server when we die without a word (`kill -9`).
//!
//! A shell waits at the end of a pipe whose other end only we hold; when it closes, the server is
//! stopped and its temporary directory removed. After an orderly end it finds nothing to do.

use std::process::{Child, Command, Stdio};

use std::os::unix::process::CommandExt;

use super::home::Home;

/// `$1` is the home, `$2` says whether it stays.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
read -r _
pid=$(head -n 1 "$1/pg/postmaster.pid" 2>/dev/null)
case $pid in '' | *[!0-9]*) ;; *)
    kill -INT "$pid" 2>/dev/null
    tries=0
    while kill -0 "$pid" 2>/dev/null && [ $tries -lt 100 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    kill -0 "$pid" 2>/dev/null && kill -QUIT "$pid" ;;
esac
[ "$2" = keep ] || rm -rf "$1"
"#;

/// A shell that outlives us for a moment.
#[derive(Debug)]
pub struct Watcher(Child);

impl Watcher {
    /// Starts one for the server of this home. Without a shell there is none, and nothing is lost but
    /// the cleaning up after a `kill -9`.
    pub fn start(home: &Home) -> Option<Self> {
        Command::new("/bin/sh")
            .args(["-c", SCRIPT, "drover-dev"])
            .arg(home.root())
            .arg(if home.is_kept { "keep" } else { "remove" })
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .ok()
            .map(Self)
    }

    /// Lets it go once everything is stopped and removed.
    pub fn end(mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
