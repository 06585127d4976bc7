//! The one place where errors of the database driver become [`Failure`]s.
//!
//! A server's message may quote a row value, so for data errors the text is made here from the
//! SQLSTATE and the names of column and constraint; `detail` is never used.

use proto::domain::failure::{Failure, FailureKind, SqlAction, read_action, sql_action};
use sqlx::postgres::PgDatabaseError;

/// The PostgreSQL part of an error, if the server sent one.
pub fn database_error(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error
        .as_database_error()?
        .try_downcast_ref::<PgDatabaseError>()
}

/// SQLSTATE of an error, if the server sent one.
pub fn sqlstate(error: &sqlx::Error) -> Option<&str> {
    database_error(error).map(PgDatabaseError::code)
}

/// Code and words where a row of the source is at fault for an error of a SELECT.
pub fn read_refusal(error: &sqlx::Error) -> Option<(String, String)> {
    if is_garbled(error) {
        let (code, words) = (INVALID_TEXT, condition(INVALID_TEXT));
        return Some((code.to_owned(), format!("the source: {words} ({code})")));
    }
    let refusal = database_error(error)?;
    (read_action(refusal.code()) == SqlAction::Row).then(|| {
        let words = format!("the source: {}", describe(refusal));
        (refusal.code().to_owned(), words)
    })
}

/// What the server says quotes bytes that are no UTF-8: the driver refuses the whole message.
fn is_garbled(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Protocol(words) => words.contains("returned a non-UTF-8 string"),
        _ => false,
    }
}

/// SQLSTATEs of a prepared statement that is there already, or is not there.
const POOLED: [&str; 2] = ["42P05", "26000"];

/// SQLSTATE of a text that is not valid in its encoding.
const INVALID_TEXT: &str = "22021";

/// Whether the connection is gone, so that nothing is known of what was under way.
pub fn is_connection_loss(error: &sqlx::Error) -> bool {
    match sqlstate(error) {
        Some(code) => sql_action(code) == SqlAction::UnknownOutcome,
        None => true,
    }
}

/// What the action for an SQLSTATE says of the failure's kind.
fn kind_of_sqlstate(code: &str) -> FailureKind {
    match sql_action(code) {
        SqlAction::Row => FailureKind::SchemaDrift,
        SqlAction::Retry => FailureKind::Busy,
        SqlAction::SmallerBatch => FailureKind::Timeout,
        SqlAction::UnknownOutcome => FailureKind::Unreachable,
        SqlAction::BlockRun(kind) | SqlAction::BlockEntity(kind) => kind,
        SqlAction::Fenced => FailureKind::Fenced,
    }
}

/// An error of the driver as a failure; `action` is what was tried, in words.
pub fn from_sqlx(action: &str, error: &sqlx::Error) -> Failure {
    match database_error(error) {
        // A statement of another session is there, or one of this session is not: its backend is not its own.
        Some(db) if POOLED.contains(&db.code()) => Failure {
            kind: FailureKind::Denied,
            message: format!(
                "{action}: sessions share backends, a pooler in transaction mode is in between: connect to the \
                 server itself, or to the pooler's session mode ({})",
                db.code()
            ),
            sqlstate: Some(db.code().to_owned()),
        },
        Some(db) => Failure {
            kind: kind_of_sqlstate(db.code()),
            message: format!("{action}: {}", describe(db)),
            sqlstate: Some(db.code().to_owned()),
        },
        None => Failure::new(
            kind_without_answer(error),
            format!("{action}: {}", plain(error)),
        ),
    }
}

fn kind_without_answer(error: &sqlx::Error) -> FailureKind {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut => {
            FailureKind::Unreachable
        }
        sqlx::Error::Protocol(_) => FailureKind::Unreachable,
        _ => FailureKind::Internal,
    }
}

/// Words for an error that did not come from the server; never a value.
fn plain(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Io(io) => io.to_string(),
        sqlx::Error::Tls(tls) => format!("TLS: {tls}"),
        sqlx::Error::Protocol(_) => "the connection broke".to_owned(),
        sqlx::Error::ColumnDecode { index, .. } => format!("column {index} has another type"),
        other => other.to_string(),
    }
}

/// Words for a server's error. Messages of classes that can quote a value are replaced.
pub fn describe(error: &PgDatabaseError) -> String {
    let code = error.code();
    // Only PostgreSQL's own words about itself are repeated; a function or a trigger could say
    // anything, and it leaves a context.
    let is_own = error.r#where().is_none()
        && matches!(
            code.get(..2).unwrap_or_default(),
            "08" | "0A"
                | "25"
                | "28"
                | "3D"
                | "3F"
                | "40"
                | "42"
                | "53"
                | "54"
                | "55"
                | "57"
                | "58"
        );
    let mut words = if is_own {
        error.message().to_owned()
    } else {
        condition(code).to_owned()
    };
    if let Some(column) = column(error) {
        words.push_str(&format!(", column {column}"));
    }
    if let Some(constraint) = constraint(error) {
        words.push_str(&format!(", constraint {constraint}"));
    }
    format!("{words} ({code})")
}

/// The column that an error names. A function or a trigger may name anything there, a value too: then none.
pub fn column(error: &PgDatabaseError) -> Option<&str> {
    error.column().filter(|_| is_plain(error))
}

/// Likewise the constraint.
pub fn constraint(error: &PgDatabaseError) -> Option<&str> {
    error.constraint().filter(|_| is_plain(error))
}

/// Nothing but a COPY stands behind the error.
fn is_plain(error: &PgDatabaseError) -> bool {
    error
        .r#where()
        .is_none_or(|context| context.starts_with("COPY ") && !context.contains('\n'))
}

/// PostgreSQL's condition names for the codes a row meets most often.
fn condition(code: &str) -> &'static str {
    match code {
        "22001" => "value too long",
        "22003" => "number out of range",
        "22007" => "not a valid date or time",
        "22008" => "date or time out of range",
        "22012" => "division by zero",
        "22021" => "not valid in this encoding",
        "22023" => "invalid parameter value",
        "22P02" => "not a valid text for its type",
        "22P05" => "a character cannot be stored",
        "21000" => "several rows where one may be",
        "23502" => "NULL in a NOT NULL column",
        "23503" => "the referenced row is missing",
        "23505" => "a row with this key is already there",
        "23514" => "a check constraint refuses the row",
        "23P01" => "an exclusion constraint refuses the row",
        "42501" => "a right is missing",
        "53100" => "the disk is full",
        "54000" => "the value is too large",
        "54001" => "the value is nested too deep",
        "DR001" => "the partition has another holder",
        _ => match code.get(..2).unwrap_or_default() {
            "22" => "the data does not fit",
            "23" => "a constraint refuses the row",
            "53" => "a resource is used up",
            "XX" => "an internal error of the server",
            _ => "refused inside a function or trigger",
        },
    }
}

/// Attaches the action to a driver error: `query.await.during("read the catalog")?`.
pub trait During<T> {
    /// Turns the driver's error into a [`Failure`] that says what was tried.
    fn during(self, action: &str) -> Result<T, Failure>;
}

impl<T> During<T> for Result<T, sqlx::Error> {
    fn during(self, action: &str) -> Result<T, Failure> {
        self.map_err(|error| from_sqlx(action, &error))
    }
}
