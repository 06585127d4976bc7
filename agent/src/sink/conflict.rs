//! Rows that may be at the destination already: a batch goes through a stage, its key decides.
//!
//! What is changed is locked and kept as a pre-image before, in the same transaction, so that a rollback
//! can restore it; a batch that is tried again finds nothing of its first try.

use proto::domain::catalog::{quote_ident, quote_literal};
use proto::domain::compiled::{CompiledEntity, ConflictRule, IdRule};
use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::fence::Fence;
use super::stage;
use crate::connect::fetch_sql;
use crate::patience::{InTime, WRITE};

/// Columns of one call: a function takes at most 100 arguments.
const ARGUMENTS: usize = 40;

/// The stage's column that tells the rows of a batch apart.
pub const NUMBER: &str = "drover_n";

/// The statements of an entity whose rows are looked for before they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The stage of the rows.
    pub rows: String,
    /// The same as the target takes them.
    values: String,
    /// The stage of their mappings.
    pub map: String,
    /// Makes both, empty, for the transaction.
    pub stage: String,
    entity_no: i32,
    target: String,
    columns: String,
    key: Vec<String>,
    /// Columns that are changed in a row that is there, and their new values.
    changes: Vec<(String, String)>,
    /// Which rows that are there are changed.
    changed_if: Option<String>,
    /// Two rows of a batch can have the same key: the first counts.
    can_repeat: bool,
    word: &'static str,
    is_overwrite: bool,
}

impl Conflict {
    /// Those of an entity; none where a row that is there is an error.
    pub fn of(entity: &CompiledEntity, entity_no: i32) -> Option<Self> {
        let key: Vec<String> = entity
            .id
            .columns()
            .iter()
            .map(|it| quote_ident(it))
            .collect();
        let columns: Vec<String> = entity
            .columns
            .iter()
            .map(|column| quote_ident(&column.name))
            .collect();
        let mut changed_if = None;
        let (changes, word) = match &entity.on_conflict {
            ConflictRule::Error => return None,
            ConflictRule::Skip => (Vec::new(), "skip"),
            ConflictRule::Overwrite => {
                let others = columns.iter().filter(|column| !key.contains(column));
                let changes = others.map(|column| (column.clone(), format!("s.{column}")));
                (changes.collect(), "overwrite")
            }
            ConflictRule::Merge(names) => {
                let names: Vec<String> = names.iter().map(|name| quote_ident(name)).collect();
                let fills = |name: &String| format!("(t.{name} is null and s.{name} is not null)");
                changed_if = Some(names.iter().map(fills).collect::<Vec<_>>().join(" or "));
                let changes = names
                    .into_iter()
                    .map(|name| (name.clone(), format!("coalesce(t.{name}, s.{name})")));
                (changes.collect(), "merge")
            }
        };
        let target = entity.destination.quoted();
        let (rows, map) = (
            format!("pg_temp.drover_rows_{entity_no}"),
            format!("pg_temp.drover_map_{entity_no}"),
        );
        let columns = columns.join(", ");
        let values = match stage::is_needed(&entity.columns) {
            true => format!(
                "(select {NUMBER}, {} from {rows})",
                stage::values(&entity.columns)
            ),
            false => rows.clone(),
        };
        Some(Self {
            stage: format!(
                "create temp table if not exists drover_rows_{entity_no} on commit delete rows as \
                     select null::integer as {NUMBER}, {} from {target} with no data; \
                 create temp table if not exists drover_map_{entity_no} on commit delete rows as \
                     select null::integer as {NUMBER}, id, k, meta from drover.id_map_{entity_no} with no data",
                stage::columns(&entity.columns)
            ),
            rows,
            values,
            map,
            entity_no,
            target,
            columns,
            key,
            changes,
            changed_if,
            can_repeat: matches!(entity.id, IdRule::None { .. }),
            word,
            is_overwrite: entity.on_conflict == ConflictRule::Overwrite,
        })
    }

    /// How the server calls the stage in the context of an error.
    pub fn relation(&self) -> String {
        format!("drover_rows_{}", self.entity_no)
    }

    /// Brings what is staged into the target and the id map; the number of rows that were not written.
    ///
    /// # Errors
    /// The driver's.
    pub async fn apply(
        &self,
        connection: &mut PgConnection,
        fence: &Fence,
        seq: i64,
    ) -> Result<i64, sqlx::Error> {
        let mut statements = self.statements(fence, seq);
        if self.is_overwrite {
            statements.push(self.refuse_overtaken(fence, seq));
        }
        let answers = fetch_sql(connection, &statements.join("; "))
            .in_time(WRITE)
            .await?;
        answers.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)
    }

    /// How many staged rows the target has not, though nothing refused them: a trigger dropped them.
    ///
    /// # Errors
    /// The driver's.
    pub async fn dropped(&self, connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
        let sql = format!(
            "select count(*) from {} s where not exists (select from {} t where {})",
            self.values,
            self.target,
            self.matches("t", "s")
        );
        let answers = fetch_sql(connection, &sql).in_time(WRITE).await?;
        answers.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)
    }

    /// Does the same below a savepoint that is given up later, and empties the stage; how many rows were
    /// dropped without a word.
    ///
    /// # Errors
    /// The driver's.
    pub async fn probe(
        &self,
        connection: &mut PgConnection,
        fence: &Fence,
    ) -> Result<i64, sqlx::Error> {
        // Nothing is kept: a place in the ledger that no batch has will do.
        let statements = self.statements(fence, 0);
        fetch_sql(connection, &statements.join("; "))
            .in_time(WRITE)
            .await?;
        let dropped = self.dropped(connection).await?;
        fetch_sql(connection, &format!("delete from {}", self.rows))
            .in_time(WRITE)
            .await?;
        Ok(dropped)
    }

    /// The statements of a batch, one message; the first answer is the number of rows not written.
    fn statements(&self, fence: &Fence, seq: i64) -> Vec<String> {
        let mut statements = Vec::new();
        if !self.changes.is_empty() {
            statements.push(self.keep(fence, seq));
            statements.push(self.change(fence, seq));
        }
        statements.push(self.insert(fence, seq));
        statements
    }

    /// Locks the rows that are changed and keeps them as they are.
    fn keep(&self, fence: &Fence, seq: i64) -> String {
        let row_key = match self.key.as_slice() {
            [one] => format!("to_jsonb(t.{one}::text)"),
            several => {
                let texts: Vec<String> = several
                    .iter()
                    .map(|name| format!("t.{name}::text"))
                    .collect();
                format!("jsonb_build_array({})", texts.join(", "))
            }
        };
        let condition = match &self.changed_if {
            Some(condition) => format!(" and ({condition})"),
            None => String::new(),
        };
        let exact = exact(self.changes.iter().map(|(column, _)| column));
        format!(
            "with found as ( \
                 select s.{NUMBER}, {row_key} as row_key, to_jsonb(t) as image, {exact} as exact \
                 from {} s join {} t on {} where true{condition}{} for no key update of t) \
             insert into drover.pre_image (partition_id, attempt, seq, ordinal, row_key, image, exact, kind) \
             select '{}', {}, {seq}, {NUMBER}, row_key, image, exact, 'changed' from found",
            self.values,
            self.target,
            self.matches("t", "s"),
            self.first_only(),
            fence.partition_id,
            fence.attempt,
        )
    }

    /// Changes the rows whose pre-images were kept.
    fn change(&self, fence: &Fence, seq: i64) -> String {
        let changes: Vec<String> = self
            .changes
            .iter()
            .map(|(column, value)| format!("{column} = {value}"))
            .collect();
        format!(
            "update {} t set {} from {} s where {} and s.{NUMBER} in ({})",
            self.target,
            changes.join(", "),
            self.values,
            self.matches("t", "s"),
            kept(fence, seq),
        )
    }

    /// Inserts the other rows, and every mapping with what became of its row.
    fn insert(&self, fence: &Fence, seq: i64) -> String {
        let changed = match self.changes.is_empty() {
            true => format!("select null::integer as {NUMBER} where false"),
            false => kept(fence, seq),
        };
        let key = self.key.join(", ");
        let first = self.key.first().map_or("", String::as_str);
        format!(
            "with changed as ({changed}), \
             put as ( \
                 insert into {target} ({columns}) overriding system value \
                 select {columns} from {values} s where s.{NUMBER} not in (select {NUMBER} from changed) \
                 order by s.{NUMBER} on conflict ({key}) do nothing returning {key}), \
             mapped as ( \
                 insert into drover.id_map_{entity_no} (id, k, meta) \
                 select m.id, m.k, \
                     case when c.{NUMBER} is not null \
                          then coalesce(m.meta, '{{}}') || '{{\"on_conflict\": \"{word}\"}}' \
                          when p.{first} is null \
                          then coalesce(m.meta, '{{}}') || '{{\"on_conflict\": \"skip\"}}' \
                          else m.meta end \
                 from {map} m join {values} s using ({NUMBER}) \
                 left join changed c using ({NUMBER}) left join put p on {same}) \
             select (select count(*) from {rows}) - (select count(*) from changed) - (select count(*) from put)",
            target = self.target,
            columns = self.columns,
            rows = self.rows,
            values = self.values,
            map = self.map,
            entity_no = self.entity_no,
            word = self.word,
            same = self.matches("p", "s"),
        )
    }

    /// Rows that another session inserted since they were looked for have no pre-image.
    fn refuse_overtaken(&self, fence: &Fence, seq: i64) -> String {
        format!(
            "select drover.refuse_overtaken(count(*)) from {} s join {} t on {} \
             where t.xmin <> pg_current_xact_id()::xid and s.{NUMBER} not in ({})",
            self.values,
            self.target,
            self.matches("t", "s"),
            kept(fence, seq),
        )
    }

    fn matches(&self, one: &str, other: &str) -> String {
        let tests: Vec<String> = self
            .key
            .iter()
            .map(|name| format!("{one}.{name} = {other}.{name}"))
            .collect();
        tests.join(" and ")
    }

    /// Of rows of the batch with the same key, the first.
    fn first_only(&self) -> String {
        if !self.can_repeat {
            return String::new();
        }
        format!(
            " and not exists (select from {} d where {} and d.{NUMBER} < s.{NUMBER})",
            self.values,
            self.matches("d", "s")
        )
    }
}

/// The columns that are changed, each as text: JSON keeps neither the sign of a zero nor the bytes of a document.
fn exact<'a>(columns: impl Iterator<Item = &'a String>) -> String {
    let pairs: Vec<String> = columns
        .map(|column| {
            let name = column.trim_matches('"').replace("\"\"", "\"");
            format!("{}, t.{column}::text", quote_literal(&name))
        })
        .collect();
    let objects = pairs
        .chunks(ARGUMENTS)
        .map(|some| format!("jsonb_build_object({})", some.join(", ")));
    let objects: Vec<String> = objects.collect();
    objects.join(" || ")
}

/// Numbers of the rows whose pre-images a batch has kept.
fn kept(fence: &Fence, seq: i64) -> String {
    format!(
        "select ordinal as {NUMBER} from drover.pre_image where partition_id = '{}' and attempt = {} \
         and seq = {seq} and kind = 'changed'",
        fence.partition_id, fence.attempt
    )
}
