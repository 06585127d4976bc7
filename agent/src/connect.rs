//! Opens connections to source and destination with the session settings each needs.
//!
//! A connection that failed anywhere but on a clean path is closed and never used again: after a
//! dropped COPY the driver's replies shift by one, and a COMMIT could be reported before it ran.

use std::time::Duration;

use proto::domain::failure::{Failure, FailureKind};
use proto::runtime::backoff::Backoff;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{ConnectOptions, Connection, Executor};

use crate::failure::{from_sqlx, is_connection_loss, sqlstate};
use crate::patience::{READ_STATEMENT, WRITE_STATEMENT};
use crate::pool::Server;

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Attempts before a server counts as unreachable.
const CONNECT_ATTEMPTS: u32 = 4;

const TOO_MANY_CONNECTIONS: &str = "53300";

/// Smaller tables are scanned and indexed by one process: lanes work side by side already, and a
/// helper costs more to start than it saves.
const SMALL_SCANS: (&str, &str) = ("min_parallel_table_scan_size", "64MB");

/// What a connection is for; decides its session settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Reads the source: read-only, long statements.
    Read,
    /// Writes batches at the destination.
    Write,
    /// Schema work and rebuilds at the destination.
    Build,
}

fn statement_timeout(limit: Duration) -> (&'static str, u128) {
    ("statement_timeout", limit.as_millis())
}

impl Purpose {
    fn options(self, base: &PgConnectOptions) -> PgConnectOptions {
        let base = base.clone().disable_statement_logging();
        let common = [
            ("client_min_messages", "warning"),
            ("jit", "off"),
            // Keys and types of one database only travel as text: it is the same on both sides.
            ("DateStyle", "ISO"),
            ("IntervalStyle", "postgres"),
            ("bytea_output", "hex"),
        ];
        let base = base.options(common).extra_float_digits(3);
        match self {
            Self::Read => base
                .application_name("drover read")
                .options([statement_timeout(READ_STATEMENT)])
                .options([
                    ("default_transaction_read_only", "on"),
                    // Partitions are read side by side; a source is not to be loaded beyond that.
                    ("max_parallel_workers_per_gather", "0"),
                    // Partitions are ranges of the key's index: a sort would read the whole table for each.
                    ("enable_sort", "off"),
                    ("lock_timeout", "10000"),
                    ("idle_in_transaction_session_timeout", "0"),
                    ("TimeZone", "UTC"),
                ]),
            Self::Write => base
                .application_name("drover write")
                .options([statement_timeout(WRITE_STATEMENT)])
                .options([
                    ("lock_timeout", "10000"),
                    ("idle_in_transaction_session_timeout", "120000"),
                    ("synchronous_commit", "on"),
                    SMALL_SCANS,
                    ("TimeZone", "UTC"),
                ]),
            Self::Build => base.application_name("drover build").options([
                ("statement_timeout", "0"),
                ("lock_timeout", "5000"),
                ("maintenance_work_mem", "256MB"),
                SMALL_SCANS,
                ("TimeZone", "UTC"),
            ]),
        }
    }
}

/// A connection to a server: one that waits to be used again, or a new one. Whoever takes it gives
/// it back ([`Server::give_back`]) where nothing failed, and drops it otherwise.
///
/// # Errors
/// Those of [`connect`].
pub async fn open(server: &Server, purpose: Purpose) -> Result<PgConnection, Failure> {
    server.take(purpose).await
}

/// Makes a connection; a server that does not answer, or has no place left, is tried again a few times with
/// backoff.
///
/// # Errors
/// `Unreachable` when nothing answers in time, `Busy` when there are too many connections, `Denied` for a wrong
/// user, password or database.
pub async fn connect(base: &PgConnectOptions, purpose: Purpose) -> Result<PgConnection, Failure> {
    let options = purpose.options(base);
    let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    let mut attempt = 0;
    loop {
        let failure = match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) if is_connection_loss(&error) || is_full(&error) => {
                from_sqlx("connect", &error)
            }
            Ok(Err(error)) => return Err(refused(from_sqlx("connect", &error))),
            Err(_) => Failure::new(FailureKind::Unreachable, "connect: no answer in time"),
        };
        attempt += 1;
        if attempt >= CONNECT_ATTEMPTS {
            return Err(failure.during(format!("{}:{}", base.get_host(), base.get_port())));
        }
        tokio::time::sleep(backoff.delay(attempt, rand::random())).await;
    }
}

/// Every place is taken: one becomes free sooner or later.
fn is_full(error: &sqlx::Error) -> bool {
    sqlstate(error) == Some(TOO_MANY_CONNECTIONS)
}

/// A server that answers and says no: what follows depends on why.
fn refused(mut failure: Failure) -> Failure {
    let code = failure.sqlstate.as_deref().unwrap_or_default();
    if code.starts_with("28") || code == "42501" {
        failure.kind = FailureKind::Denied;
    } else if code == "3D000" {
        failure.kind = FailureKind::Unreachable;
    } else if code.starts_with("53") {
        failure.kind = FailureKind::Exhausted;
    }
    failure
}

/// Ends a connection politely, within bounds; what the server thinks of it no longer matters.
pub async fn close(connection: PgConnection) {
    let _ = tokio::time::timeout(Duration::from_secs(2), connection.close()).await;
}

/// Runs statements as one message of the simple protocol; what they return is thrown away.
///
/// Through the driver's own `RawSql::execute` the future would not be `Send` in general.
pub async fn run_sql(connection: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    connection.execute(sqlx::raw_sql(sql)).await.map(drop)
}

/// Like [`run_sql`], with all rows of all statements.
pub async fn fetch_sql(
    connection: &mut PgConnection,
    sql: &str,
) -> Result<Vec<PgRow>, sqlx::Error> {
    connection.fetch_all(sqlx::raw_sql(sql)).await
}
