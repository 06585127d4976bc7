//! Reads single rows again, by key and as the source is now: a row that was mended since the run began shows its
//! new values.

use bytes::Bytes;
use futures::TryStreamExt;
use proto::domain::catalog::quote_literal;
use proto::domain::compiled::RowAction;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::key::KeyValue;
use serde_json::json;
use sqlx::postgres::PgConnection;

use super::parents::more_fields;
use super::tuple::{Tuple, TupleReader};
use crate::batch::{Batch, RowFailure};
use crate::connect::{Purpose, close, open, run_sql};
use crate::failure::{During, from_sqlx, read_refusal};
use crate::patience::{InTime, Patience, READ};
use crate::run::{EntityContext, RunContext};
use crate::transform::presence::{Known, Presence};
use crate::transform::row::{HeldKeys, Scratch};

/// What rows are read again for.
pub struct Again<'a> {
    /// The run.
    pub run: &'a RunContext,
    /// The entity.
    pub entity: &'a EntityContext,
    /// Keys of failed parents, as they are now.
    pub held: &'a HeldKeys,
}

/// Opens a read-only transaction at the present moment; `zone` as for [`super::read::begin`].
///
/// # Errors
/// The source's.
pub async fn begin_now(run: &RunContext, zone: Option<&str>) -> Result<PgConnection, Failure> {
    let mut connection = open(&run.source, Purpose::Read).await?;
    run.know_source(&mut connection).await?;
    let mut sql = "begin transaction isolation level repeatable read read only".to_owned();
    if let Some(zone) = zone {
        sql.push_str(&format!("; set local time zone {}", quote_literal(zone)));
    }
    run_sql(&mut connection, &sql)
        .in_time(READ)
        .await
        .during("begin to read rows again")?;
    Ok(connection)
}

impl Again<'_> {
    /// Appends the rows of these keys to a batch: those that are there and that the filter lets through. The
    /// connection, in a transaction, is kept for the next ones.
    ///
    /// # Errors
    /// `RowRefused` where a rule says `fail`; the source's.
    pub async fn read(
        &self,
        keys: &[KeyValue],
        kept: Option<PgConnection>,
        batch: &mut Batch,
    ) -> Result<PgConnection, Failure> {
        // The source looks for parents itself: what is known of them is of another moment.
        let first = self.entity.compiled.read.fields.len();
        let checks = self.entity.compiled.orphans.len();
        let presence = Presence((first..first + checks).map(Known::Field).collect());
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.begin().await?,
        };
        let mut pending = vec![keys];
        while let Some(keys) = pending.pop() {
            match self.fetch(&mut connection, keys, &presence).await {
                Ok(chunks) => self.take(chunks, &presence, batch)?,
                Err(error) => {
                    let Some((code, message)) = read_refusal(&error) else {
                        return Err(from_sqlx("read rows again", &error));
                    };
                    close(connection).await;
                    connection = self.begin().await?;
                    match keys {
                        [only] => self.reject(only, (code, message), batch)?,
                        several => {
                            let (before, after) = several.split_at(several.len() / 2);
                            pending.extend([after, before]);
                        }
                    }
                }
            }
        }
        Ok(connection)
    }

    async fn begin(&self) -> Result<PgConnection, Failure> {
        begin_now(self.run, self.entity.compiled.read.time_zone.as_deref()).await
    }

    /// The answer as a whole, so that nothing is half taken where it breaks off.
    async fn fetch(
        &self,
        connection: &mut PgConnection,
        keys: &[KeyValue],
        presence: &Presence,
    ) -> Result<Vec<Bytes>, sqlx::Error> {
        let more = more_fields(self.entity, presence);
        let read = &self.entity.compiled.read;
        let select = read.select_keyed(keys, &self.run.constants, &more);
        let copy = format!("copy ({select}\n) to stdout (format binary)");
        let mut stream = connection.copy_out_raw(&copy).in_time(READ).await?;
        let mut patience = Patience::new(READ);
        let mut chunks = Vec::new();
        while let Some(chunk) = patience.wait(stream.try_next()).await? {
            chunks.push(chunk);
        }
        Ok(chunks)
    }

    fn take(
        &self,
        chunks: Vec<Bytes>,
        presence: &Presence,
        batch: &mut Batch,
    ) -> Result<(), Failure> {
        let (mut reader, mut tuple) = (TupleReader::default(), Tuple::default());
        let mut scratch = Scratch::default();
        for chunk in chunks {
            reader.push(chunk);
            while reader.next(&mut tuple)? {
                let with = (self.held, presence);
                self.entity
                    .transform
                    .append(&mut tuple, with, &mut scratch, batch)?;
            }
        }
        match reader.has_ended() {
            true => Ok(()),
            false => Err(Failure::new(
                FailureKind::Unreachable,
                "the source's answer was cut short",
            )),
        }
    }

    fn reject(
        &self,
        key: &KeyValue,
        (code, message): (String, String),
        batch: &mut Batch,
    ) -> Result<(), Failure> {
        if *self.entity.transform.default_action() == RowAction::Fail {
            let words = format!("row {} is refused ({code}): {message}", key.to_record_id());
            return Err(Failure::new(FailureKind::RowRefused, words));
        }
        batch.failures.push(RowFailure {
            at: batch.rows.len(),
            key: key.clone(),
            code,
            message,
            context: json!({ "stage": "read" }),
            is_held: false,
        });
        Ok(())
    }
}
