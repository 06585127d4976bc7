//! Looks rows up at the destination: what they should be is staged in a temporary table made of the target's
//! own types, and compared there, so that nothing differs but what the destination itself calls different.

use proto::domain::catalog::quote_ident;
use proto::domain::compiled::{CompiledEntity, ConflictRule, IdRule};
use proto::domain::failure::{Failure, FailureKind, SqlAction};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{FromRow, Row};

use super::super::copy::copy_rows;
use super::super::stage::{columns as stage_columns, is_needed, values};
use super::{begin, end, key_text, our_transactions, same_key};
use crate::batch::{Batch, Encoded};
use crate::connect::{Purpose, open, run_sql};
use crate::failure::{During, from_sqlx, sqlstate};
use crate::patience::{InTime, READ};
use crate::pool::Server;
use crate::run::EntityContext;
use crate::transform::encode::put;
use crate::transform::map_entry::KeyShape;
use crate::verify::rows::{HEAD, field};

const COMPARING: &str = "compare rows";
/// Number of a row in its batch.
const NUMBER: &str = "drover_n";
/// Its legacy key, as the id map has it.
const KEY: &str = "drover_k";

/// A row that is not at the destination as it should be.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Differing {
    /// Its number in the batch.
    pub row: i32,
    /// The destination has a row of its key.
    pub is_there: bool,
    /// It is still as we wrote it.
    pub is_ours: bool,
    /// The id map has it.
    pub is_mapped: bool,
    /// Its key at the destination.
    pub destination_id: String,
    /// Columns that differ.
    pub columns: Vec<String>,
}

/// Compares batches of one entity, on one connection.
pub struct Stager {
    connection: PgConnection,
    copy: String,
    select: String,
    /// The load numbers its rows.
    is_numbered: bool,
    has_texts: bool,
}

impl Stager {
    /// Makes the stage.
    ///
    /// # Errors
    /// `Denied` where the role may not make temporary tables.
    pub async fn open(destination: &Server, entity: &EntityContext) -> Result<Self, Failure> {
        let (compiled, number) = (&entity.compiled, entity.entity_no);
        let mut connection = open(destination, Purpose::Write).await?;
        let key_type = match KeyShape::of(compiled) {
            KeyShape::Int8 => "bigint",
            KeyShape::Text => "text",
        };
        // Rows are looked up by their key: a plan that reads the whole target for every batch is none.
        let make = format!(
            "create temp table if not exists drover_verify_{number} on commit delete rows as \
                 select null::integer as {NUMBER}, null::{key_type} as {KEY}, {} from {} with no data; \
             set enable_seqscan = off; set enable_mergejoin = off",
            stage_columns(&compiled.columns),
            compiled.destination.quoted()
        );
        run_sql(&mut connection, &make)
            .in_time(READ)
            .await
            .during(COMPARING)?;
        Ok(Self {
            copy: format!("copy pg_temp.drover_verify_{number} from stdin (format binary)"),
            select: select(entity),
            is_numbered: compiled.on_conflict != ConflictRule::Error,
            has_texts: is_needed(&compiled.columns),
            connection,
        })
    }

    /// The rows of the batch that are not at the destination as they should be.
    ///
    /// # Errors
    /// The destination's. A row that its types refuse is not told apart from one that differs: it is given
    /// back as one that is not there.
    pub async fn compare(&mut self, batch: &Batch) -> Result<Vec<Differing>, Failure> {
        let numbered = self.number(batch)?;
        let mut found = Vec::new();
        let mut parts = vec![(0, numbered.len())];
        while let Some((from, to)) = parts.pop() {
            if from == to {
                continue;
            }
            match self.compare_part(numbered.rows(from, to)).await {
                Ok(rows) => found.extend(rows),
                Err(error) if self.is_row_fault(&error) => {
                    run_sql(&mut self.connection, "rollback")
                        .in_time(READ)
                        .await
                        .during(COMPARING)?;
                    if to - from == 1 {
                        found.push(refused(from));
                        continue;
                    }
                    let middle = from.midpoint(to);
                    parts.extend([(from, middle), (middle, to)]);
                }
                Err(error) => return Err(from_sqlx(COMPARING, &error)),
            }
        }
        found.sort_by_key(|row| row.row);
        Ok(found)
    }

    /// Gives the connection back.
    pub async fn close(self, destination: &Server) {
        destination.give_back(Purpose::Write, self.connection).await;
    }

    fn is_row_fault(&self, error: &sqlx::Error) -> bool {
        let action = |code: &str| match self.has_texts {
            true => proto::domain::failure::text_action(code),
            false => proto::domain::failure::sql_action(code),
        };
        sqlstate(error).is_some_and(|code| action(code) == SqlAction::Row)
    }

    async fn compare_part(&mut self, rows: &[u8]) -> Result<Vec<Differing>, sqlx::Error> {
        begin(&mut self.connection)
            .await
            .map_err(|failure| sqlx::Error::Protocol(failure.message))?;
        copy_rows(&mut self.connection, &self.copy, rows)
            .in_time(READ)
            .await?;
        let found = sqlx::query(&self.select)
            .fetch_all(&mut self.connection)
            .in_time(READ)
            .await?;
        end(&mut self.connection)
            .await
            .map_err(|failure| sqlx::Error::Protocol(failure.message))?;
        found.iter().map(differing).collect()
    }

    /// The batch's rows, each behind its number and its legacy key.
    fn number(&self, batch: &Batch) -> Result<Encoded, Failure> {
        let malformed = || Failure::new(FailureKind::Internal, "a batch is not as compiled");
        let mut out = Encoded::default();
        for at in 0..batch.rows.len() {
            let (row, map) = (batch.rows.rows(at, at + 1), batch.map.rows(at, at + 1));
            let (row, map) = (
                without_number(row, self.is_numbered).ok_or_else(malformed)?,
                without_number(map, self.is_numbered).ok_or_else(malformed)?,
            );
            let (_, behind_id) = field(map).ok_or_else(malformed)?;
            let (key, _) = field(behind_id).ok_or_else(malformed)?;
            let number = i32::try_from(at).map_err(|_| malformed())?;
            let fields =
                fields_of(batch.rows.rows(at, at + 1)) + if self.is_numbered { 1 } else { 2 };
            out.bytes.extend_from_slice(&fields.to_be_bytes());
            put(&mut out.bytes, Some(&number.to_be_bytes()));
            put(&mut out.bytes, key);
            out.bytes.extend_from_slice(row);
            out.finish_row();
        }
        Ok(out)
    }
}

fn refused(row: usize) -> Differing {
    Differing {
        row: i32::try_from(row).unwrap_or(i32::MAX),
        is_there: false,
        is_ours: false,
        is_mapped: false,
        destination_id: String::new(),
        columns: Vec::new(),
    }
}

fn differing(row: &PgRow) -> Result<Differing, sqlx::Error> {
    Ok(Differing {
        row: row.try_get(0)?,
        is_there: row.try_get(1)?,
        is_ours: row.try_get(2)?,
        is_mapped: row.try_get(3)?,
        destination_id: row.try_get(4)?,
        columns: row.try_get(5)?,
    })
}

fn fields_of(tuple: &[u8]) -> i16 {
    let head = tuple.get(..HEAD).and_then(|head| head.try_into().ok());
    head.map_or(0, i16::from_be_bytes)
}

/// A tuple's fields, without the number that the load gives them.
fn without_number(tuple: &[u8], is_numbered: bool) -> Option<&[u8]> {
    let fields = tuple.get(HEAD..)?;
    match is_numbered {
        true => field(fields).map(|(_, behind)| behind),
        false => Some(fields),
    }
}

/// SELECT of the staged rows that are not at the destination as they should be.
fn select(entity: &EntityContext) -> String {
    let (compiled, number) = (&entity.compiled, entity.entity_no);
    let stage = format!("pg_temp.drover_verify_{number}");
    let staged = match is_needed(&compiled.columns) {
        true => format!(
            "(select {NUMBER}, {KEY}, {} from {stage})",
            values(&compiled.columns)
        ),
        false => stage,
    };
    let compared: Vec<(String, String)> = compiled
        .columns
        .iter()
        .filter(|column| !compiled.id.columns().contains(&column.name))
        .map(|column| {
            let literal = proto::domain::catalog::quote_literal(&column.name);
            (literal, differs(compiled, &column.name))
        })
        .collect();
    let any: Vec<&str> = compared.iter().map(|(_, test)| test.as_str()).collect();
    let any = if any.is_empty() {
        "false".to_owned()
    } else {
        any.join(" or ")
    };
    let names: Vec<String> = compared
        .iter()
        .map(|(name, test)| format!("case when {test} then {name} end"))
        .collect();
    let first = compiled
        .id
        .columns()
        .first()
        .map_or_else(String::new, |name| quote_ident(name));
    format!(
        "select s.{NUMBER}, t.{first} is not null, \
                coalesce(t.xmin::text in ({ours}), false), m.k is not null, coalesce({key}, ''), \
                array_remove(array[{names}]::text[], null) \
         from {staged} s left join {target} t on {same} \
         left join drover.id_map_{number} m on m.k = s.{KEY} and m.is_active \
         where t.{first} is null or {any}",
        ours = our_transactions(entity),
        key = key_text(compiled, "s"),
        names = names.join(", "),
        target = compiled.destination.quoted(),
        same = same_key(compiled, "t", "s"),
    )
}

/// The condition that a column is not as it should be. By text: every type has one, and it hides nothing that a
/// collation or an operator would.
fn differs(entity: &CompiledEntity, name: &str) -> String {
    let column = quote_ident(name);
    let test = format!("t.{column}::text is distinct from s.{column}::text");
    let merged = match &entity.on_conflict {
        ConflictRule::Error => return test,
        // Which of several rows of one key was written is not told apart.
        _ if matches!(entity.id, IdRule::None { .. }) => return "false".to_owned(),
        ConflictRule::Skip | ConflictRule::Overwrite => false,
        ConflictRule::Merge(names) => names.iter().any(|merged| merged == name),
    };
    let merge = match merged {
        true => format!("(t.{column} is null and s.{column} is not null)"),
        false => "false".to_owned(),
    };
    format!(
        "case m.meta ->> 'on_conflict' when 'skip' then false when 'merge' then {merge} else {test} end"
    )
}
