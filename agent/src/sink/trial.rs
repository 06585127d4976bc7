//! Tries a sample of an entity's rows on a temporary table made like the target: the same reads, the same
//! transform, the same COPY, and every default, generated column, NOT NULL, CHECK and unique key. The table
//! goes with the session at the latest; nothing is left, and the target is locked for no longer than it takes
//! to look at its definition.

use std::sync::Arc;
use std::time::Duration;

use proto::domain::catalog::{TableName, quote_ident};
use proto::domain::compiled::{CompiledEntity, CompiledPlan, ConflictRule};
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::preflight::{NullCount, Trial, TrialAsk};
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgConnection;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::fence::Fence;
use super::isolate::refused_rows;
use crate::batch::{Batch, RowFailure, count};
use crate::connect::{Purpose, fetch_sql, open, run_sql};
use crate::desk::Desk;
use crate::failure::{During, from_sqlx};
use crate::patience::{InTime, WRITE};
use crate::run::{EntityContext, RunContext};
use crate::source::taste;

/// Rows that are tried at most.
const MOST_ROWS: u32 = 200_000;
/// No further range is begun beyond these bytes.
const MOST_BYTES: usize = 128 << 20;

/// Tries rows.
///
/// # Errors
/// A server out of reach; all else that keeps rows from being tried is told in the notes.
pub async fn try_rows(desk: &Desk, ask: TrialAsk) -> Result<Trial, Failure> {
    let name = ask.entity.clone();
    match Box::pin(run_trial(desk, ask)).await {
        Ok(trial) => Ok(trial),
        Err(failure) if failure.kind == FailureKind::Unreachable => Err(failure),
        Err(failure) => Ok(Trial {
            entity: name,
            notes: vec![format!("nothing was tried: {failure}")],
            ..Trial::default()
        }),
    }
}

async fn run_trial(desk: &Desk, ask: TrialAsk) -> Result<Trial, Failure> {
    let real = ask.plan.entity(&ask.entity).cloned();
    let real = real.ok_or_else(|| {
        let words = format!("the plan has no entity {}", ask.entity);
        Failure::new(FailureKind::Internal, words)
    })?;
    let place = TableName {
        schema: "pg_temp".to_owned(),
        name: "drover_trial".to_owned(),
    };
    let plan = redirected(ask.plan, &ask.entity, &place);
    let run = Arc::new(desk.trial_run(plan).await?);
    let entity = run.entity(&ask.entity)?;
    for check in &entity.compiled.orphans {
        // A sample is no reason to read every key of a parent: the source looks row by row.
        let _ = run.parents.cell(&check.keys).set(None);
    }
    let ranges = taste::ranges(&run, &entity, ask.rows.min(MOST_ROWS)).await?;
    let mut connection = open(&run.destination, Purpose::Write).await?;
    make_table(&mut connection, &real.destination, &place).await?;
    let mut bench = Bench {
        run: run.clone(),
        entity,
        connection,
        place,
        bytes: 0,
        trial: Trial {
            entity: ask.entity,
            notes: notes(&real),
            ..Trial::default()
        },
    };
    bench.begin().await?;
    for range in ranges {
        if bench.bytes > MOST_BYTES {
            let words = "rows are large: fewer were tried than was asked for";
            bench.trial.notes.push(words.to_owned());
            break;
        }
        bench.try_range(range).await?;
    }
    bench.end().await
}

/// The plan with one entity that writes elsewhere, where no row is yet.
fn redirected(mut plan: CompiledPlan, name: &str, place: &TableName) -> CompiledPlan {
    for entity in &mut plan.entities {
        entity.is_active = entity.entity == name;
        if entity.is_active {
            entity.destination = place.clone();
            entity.on_conflict = ConflictRule::Error;
        }
    }
    plan
}

/// What a trial says nothing about.
fn notes(entity: &CompiledEntity) -> Vec<String> {
    let mut notes = Vec::new();
    if !entity.parents.is_empty() {
        let words =
            "rows that would be held since their parent fails, and foreign keys, are not counted";
        notes.push(words.to_owned());
    }
    if entity.matches.is_some() || entity.on_conflict != ConflictRule::Error {
        let words =
            "rows are tried as new ones: what is at the destination already is not looked at";
        notes.push(words.to_owned());
    }
    notes
}

/// An empty temporary table like the target. Its sequences are its own: a default draws no number of theirs.
async fn make_table(
    connection: &mut PgConnection,
    like: &TableName,
    place: &TableName,
) -> Result<(), Failure> {
    let action = format!("make a table like {like}");
    let make = format!(
        "create temporary table {} (like {} including defaults including generated including constraints \
             including indexes including identity)",
        quote_ident(&place.name),
        like.quoted()
    );
    run_sql(connection, &make)
        .in_time(WRITE)
        .await
        .during(&action)?;
    let drawing: Vec<String> = sqlx::query_scalar(
        "select quote_ident(a.attname) from pg_attrdef d \
         join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum \
         where d.adrelid = $1::regclass and pg_get_expr(d.adbin, d.adrelid) ~ 'nextval\\('",
    )
    .bind(place.quoted())
    .fetch_all(&mut *connection)
    .await
    .during(&action)?;
    if drawing.is_empty() {
        return Ok(());
    }
    let mut own = "create temporary sequence drover_trial_numbers".to_owned();
    for column in drawing {
        own.push_str(&format!(
            "; alter table {} alter column {column} set default nextval('pg_temp.drover_trial_numbers')",
            place.quoted()
        ));
    }
    run_sql(connection, &own)
        .in_time(WRITE)
        .await
        .during(&action)
}

/// A trial under way.
struct Bench {
    run: Arc<RunContext>,
    entity: Arc<EntityContext>,
    connection: PgConnection,
    place: TableName,
    bytes: usize,
    trial: Trial,
}

impl Bench {
    async fn begin(&mut self) -> Result<(), Failure> {
        let mut sql = "begin; set constraints all immediate".to_owned();
        if let Some(make) = self.entity.copy.make_stages() {
            sql.push_str("; ");
            sql.push_str(make);
        }
        run_sql(&mut self.connection, &sql)
            .in_time(WRITE)
            .await
            .during("begin a trial")
    }

    /// Reads a range and tries its rows as they come.
    async fn try_range(&mut self, range: proto::domain::key::KeyRange) -> Result<(), Failure> {
        let (batches, mut read) = mpsc::channel(1);
        let (run, entity) = (self.run.clone(), self.entity.clone());
        let begun = Instant::now();
        let mut writing = Duration::ZERO;
        let take = async {
            while let Some(batch) = read.recv().await {
                let begun = Instant::now();
                self.take(batch).await?;
                writing += begun.elapsed();
            }
            Ok::<_, Failure>(())
        };
        let reading = taste::read_range(&run, &entity, range, batches);
        // The reader sees that the other side has ended when it cannot send any more.
        let (outcome, taken) = tokio::join!(Box::pin(reading), take);
        taken?;
        match outcome {
            Ok(()) => {}
            Err(failure) if failure.kind == FailureKind::RowRefused => {
                self.trial.stops.get_or_insert(failure.message);
            }
            Err(failure) => return Err(failure),
        }
        self.trial.write_us += micros(writing);
        self.trial.read_us += micros(begun.elapsed().saturating_sub(writing));
        Ok(())
    }

    async fn take(&mut self, mut batch: Batch) -> Result<(), Failure> {
        self.bytes += batch.bytes();
        self.trial.sampled += count(batch.read());
        self.trial.filtered += batch.filtered;
        for failure in std::mem::take(&mut batch.failures) {
            self.fail(&failure);
        }
        if batch.rows.is_empty() {
            return Ok(());
        }
        let nobody = Fence {
            partition_id: Uuid::nil(),
            attempt: 0,
            token: 0,
            holder: Uuid::nil(),
            entity_hash: String::new(),
        };
        let refused = refused_rows(&mut self.connection, &self.entity, &nobody, &batch).await;
        let refused = refused.map_err(|error| from_sqlx("try rows", &error))?;
        self.trial.fit += count(batch.rows.len() - refused.len());
        batch.reject(refused);
        for failure in std::mem::take(&mut batch.failures) {
            self.fail(&failure);
        }
        self.run.spares.give_back(batch);
        Ok(())
    }

    fn fail(&mut self, failure: &RowFailure) {
        let key = || match has_sensitive_key(&self.entity.compiled) {
            true => "(sensitive)".to_owned(),
            false => failure.key.to_record_id(),
        };
        self.trial
            .add(&failure.code, &failure.message, at(&failure.context), key);
    }

    /// Counts what is there, and leaves nothing.
    async fn end(mut self) -> Result<Trial, Failure> {
        if self.trial.fit > 0 {
            let written: Vec<&str> = self
                .entity
                .compiled
                .columns
                .iter()
                .map(|it| it.name.as_str())
                .collect();
            let counts: Vec<String> = written
                .iter()
                .map(|name| format!("count(*) - count({})", quote_ident(name)))
                .collect();
            let sql = format!(
                "select pg_total_relation_size('{place}'), array[{}]::bigint[] from {place}",
                counts.join(", "),
                place = self.place.quoted(),
            );
            let action = "count what was tried";
            let rows = fetch_sql(&mut self.connection, &sql)
                .in_time(WRITE)
                .await
                .during(action)?;
            let row = rows.first().ok_or(sqlx::Error::RowNotFound);
            let row = row.during(action)?;
            self.trial.bytes = row.try_get(0).during(action)?;
            let nulls: Vec<i64> = row.try_get(1).during(action)?;
            let nulls = written.into_iter().zip(nulls);
            self.trial.nulls = nulls
                .filter(|(_, rows)| *rows > 0)
                .map(|(column, rows)| NullCount {
                    column: column.to_owned(),
                    rows,
                })
                .collect();
        }
        let undo = "rollback; discard temp";
        run_sql(&mut self.connection, undo)
            .in_time(WRITE)
            .await
            .during("end a trial")?;
        self.run
            .destination
            .give_back(Purpose::Write, self.connection)
            .await;
        self.trial.sort();
        Ok(self.trial)
    }
}

/// A key column that error rows mask.
fn has_sensitive_key(entity: &CompiledEntity) -> bool {
    let mut key = entity.read.key.iter();
    key.any(|key| {
        let mut shown = entity.snapshot.iter();
        shown.any(|column| column.name == key.name && column.is_sensitive)
    })
}

/// Where an error stands: the rule, or column and constraint.
fn at(context: &Value) -> String {
    let text = |name: &str| context.get(name).and_then(Value::as_str).map(str::to_owned);
    if let Some(rule) = text("rule") {
        return rule;
    }
    let parts: Vec<String> = [text("column"), text("constraint")]
        .into_iter()
        .flatten()
        .collect();
    parts.join(" ")
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
