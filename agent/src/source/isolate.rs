//! Finds the row on which a SELECT fails: by key, halving.

use futures::TryStreamExt;
use proto::domain::compiled::ReadRule;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::key::{KeyRange, KeyValue};
use serde_json::json;
use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::read::begin;
use crate::batch::RowFailure;
use crate::connect::close;
use crate::failure::{During, from_sqlx, read_refusal};
use crate::patience::{InTime, Patience, READ};
use crate::run::RunContext;

/// Keys that are looked at in one go.
const WINDOW: usize = 2000;

/// A row that cannot be read.
#[derive(Debug, Clone, PartialEq)]
pub struct BadRow {
    /// What the row becomes.
    pub failure: RowFailure,
    /// The key right before it; none where it is the first of its table.
    pub before: Option<KeyValue>,
}

/// What is read.
pub struct Reading<'a> {
    /// The run.
    pub run: &'a RunContext,
    /// The SELECT.
    pub rule: &'a ReadRule,
    /// Fields of the SELECT beside the rule's own.
    pub more: Vec<&'a String>,
}

/// The first row of `rest`, in key order, that cannot be read.
///
/// # Errors
/// `Busy` when every row reads well after all, so that the read is tried again.
pub async fn first_bad_row(read: &Reading<'_>, rest: &KeyRange) -> Result<BadRow, Failure> {
    let mut after = rest.after.clone();
    loop {
        let range = KeyRange {
            after: after.clone(),
            upto: rest.upto.clone(),
        };
        let keys = next_keys(read.run, read.rule, &range).await?;
        let Some(last) = keys.last() else {
            return Err(Failure::new(
                FailureKind::Busy,
                "a row could not be read, then all could",
            ));
        };
        if try_read(read, &after, last).await?.is_some() {
            return bisect(read, after, &keys).await;
        }
        after = Some(last.clone());
    }
}

/// `keys` behind `after` hold a bad row; finds the shortest prefix that fails.
async fn bisect(
    read: &Reading<'_>,
    after: Option<KeyValue>,
    keys: &[KeyValue],
) -> Result<BadRow, Failure> {
    let (mut good, mut bad) = (0, keys.len());
    let mut found = None;
    while bad - good > 1 {
        let middle = good.midpoint(bad);
        let start = if good == 0 {
            after.clone()
        } else {
            keys.get(good - 1).cloned()
        };
        match try_read(read, &start, &keys[middle - 1]).await? {
            Some(failure) => (bad, found) = (middle, Some(failure)),
            None => good = middle,
        }
    }
    let key = keys[bad - 1].clone();
    let (code, message) = match found {
        Some(found) => found,
        None => {
            let start = if bad < 2 {
                after.clone()
            } else {
                keys.get(bad - 2).cloned()
            };
            try_read(read, &start, &key).await?.ok_or_else(|| {
                Failure::new(FailureKind::Busy, "a row could not be read, then it could")
            })?
        }
    };
    let before = if bad < 2 {
        after
    } else {
        keys.get(bad - 2).cloned()
    };
    let context = json!({ "stage": "read" });
    let failure = RowFailure {
        at: 0,
        key,
        code,
        message,
        context,
        is_held: false,
    };
    Ok(BadRow { failure, before })
}

/// Reads `(after, upto]` and throws it away: SQLSTATE and words when a row fails.
async fn try_read(
    read: &Reading<'_>,
    after: &Option<KeyValue>,
    upto: &KeyValue,
) -> Result<Option<(String, String)>, Failure> {
    let (run, rule) = (read.run, read.rule);
    let range = KeyRange {
        after: after.clone(),
        upto: Some(upto.clone()),
    };
    let select = rule.select_with(&range, &run.constants, &read.more);
    let copy = format!("copy ({select}\n) to stdout (format binary)");
    let mut connection = begin(run, rule.time_zone.as_deref()).await?;
    let outcome = drain(&mut connection, &copy).await;
    close(connection).await;
    match outcome {
        Ok(()) => Ok(None),
        Err(error) => match read_refusal(&error) {
            Some(refusal) => Ok(Some(refusal)),
            None => Err(from_sqlx("read rows", &error)),
        },
    }
}

async fn drain(connection: &mut PgConnection, copy: &str) -> Result<(), sqlx::Error> {
    let mut stream = connection.copy_out_raw(copy).in_time(READ).await?;
    let mut patience = Patience::new(READ);
    while patience.wait(stream.try_next()).await?.is_some() {}
    Ok(())
}

/// The first keys of a range, filter or not.
pub(super) async fn next_keys(
    run: &RunContext,
    read: &ReadRule,
    range: &KeyRange,
) -> Result<Vec<KeyValue>, Failure> {
    let sql = read.select_keys(range, WINDOW);
    let mut connection = begin(run, None).await?;
    let rows = sqlx::query(&sql)
        .fetch_all(&mut connection)
        .in_time(READ)
        .await
        .during("read keys")?;
    close(connection).await;
    let width = read.key.len();
    rows.iter()
        .map(|row| {
            (0..width)
                .map(|at| row.try_get::<String, _>(at))
                .collect::<Result<_, _>>()
        })
        .map(|key| key.map(KeyValue).during("read keys"))
        .collect()
}
