//! A server as the agent reaches it, with the clean connections that wait to be used again.
//!
//! A connection costs a process at the server, with its caches and page tables. It goes back only by
//! [`Server::give_back`], which the last line of a path without an error calls: whatever is dropped
//! on the way (an error, a deadline, a dropped COPY) is closed by that and never used again.
//!
//! The server may be far: it is cleaned while nobody waits for it, and one that is just being cleaned is not
//! asked whether it is alive.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::domain::failure::Failure;
use sqlx::Row;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::connect::{Purpose, close, connect, fetch_sql, run_sql};

/// Connections that wait, for each purpose; more are closed.
const IDLE: usize = 8;
/// A connection that waited so long is closed.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// How long a server may take to answer for a connection that waits.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// Every setting as it was after the login, the marker among them; no stage, no lock, and no transaction: in
/// one, `now()` is older than the message.
const CLEAN: &str =
    "reset all; discard temp; select now() = statement_timestamp() from pg_advisory_unlock_all()";

/// A server: how to log in, and connections that wait. Clones share them. Not printable: the
/// options hold a password.
#[derive(Clone)]
pub struct Server {
    options: PgConnectOptions,
    idle: Arc<Mutex<Vec<Idle>>>,
}

struct Idle {
    purpose: Purpose,
    since: Instant,
    /// Gives the connection, or nothing where it is not clean or the server is gone.
    cleaned: JoinHandle<Option<PgConnection>>,
}

impl Server {
    /// A server nobody is connected to yet.
    pub fn new(options: PgConnectOptions) -> Self {
        Self {
            options,
            idle: Arc::default(),
        }
    }

    /// A connection for this purpose: one that waited and still answers, or a new one.
    ///
    /// # Errors
    /// Those of [`connect`].
    pub async fn take(&self, purpose: Purpose) -> Result<PgConnection, Failure> {
        while let Some(cleaned) = self.pop(purpose) {
            let has_waited = cleaned.is_finished();
            let Ok(Some(mut connection)) = cleaned.await else {
                continue;
            };
            if !has_waited {
                return Ok(connection);
            }
            let answer = timeout(ANSWER_TIME, run_sql(&mut connection, "select 1")).await;
            if matches!(answer, Ok(Ok(()))) {
                return Ok(connection);
            }
        }
        connect(&self.options, purpose).await
    }

    /// Takes back a connection that was taken for this purpose, on a path without an error and
    /// outside of any transaction. One that is not clean, or one too many, is closed.
    pub async fn give_back(&self, purpose: Purpose, connection: PgConnection) {
        let one = Idle {
            purpose,
            since: Instant::now(),
            cleaned: tokio::spawn(clean(connection)),
        };
        if let Some(one) = self.push(one) {
            close_all(vec![one]).await;
        }
    }

    /// Closes what has waited too long.
    pub async fn close_old(&self) {
        let old = {
            let mut idle = self.idle();
            let now = Instant::now();
            let (old, kept) = std::mem::take(&mut *idle)
                .into_iter()
                .partition(|one| now.duration_since(one.since) > IDLE_TIME);
            *idle = kept;
            old
        };
        close_all(old).await;
    }

    /// Closes everything that waits.
    pub async fn close_idle(&self) {
        let idle = std::mem::take(&mut *self.idle());
        close_all(idle).await;
    }

    /// The one that waited least: the others get old.
    fn pop(&self, purpose: Purpose) -> Option<JoinHandle<Option<PgConnection>>> {
        let mut idle = self.idle();
        let at = idle.iter().rposition(|one| one.purpose == purpose)?;
        Some(idle.remove(at).cleaned)
    }

    /// Keeps a connection, or returns it where enough of its kind wait.
    fn push(&self, one: Idle) -> Option<Idle> {
        let mut idle = self.idle();
        let alike = idle.iter().filter(|other| other.purpose == one.purpose);
        if alike.count() >= IDLE {
            return Some(one);
        }
        idle.push(one);
        None
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection as it was after the login, or nothing.
async fn clean(mut connection: PgConnection) -> Option<PgConnection> {
    let is_clean = timeout(ANSWER_TIME, is_clean(&mut connection)).await;
    matches!(is_clean, Ok(Ok(true))).then_some(connection)
}

async fn is_clean(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let rows = fetch_sql(connection, CLEAN).await?;
    rows.last().map_or(Ok(false), |row| row.try_get(0))
}

async fn close_all(idle: Vec<Idle>) {
    for one in idle {
        if let Ok(Some(connection)) = one.cleaned.await {
            close(connection).await;
        }
    }
}
