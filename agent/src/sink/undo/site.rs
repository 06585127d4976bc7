//! Where an entity's rows are, and the SQL that tells which of them are still as this migration wrote them.
//!
//! Pure but for [`find`], which looks the columns' types up. In every statement `t` is a row of the target and
//! `m` its entry in the id map. Keys travel as JSON texts, the way pre-images have them.

use std::collections::HashMap;

use proto::domain::catalog::{TableName, quote_ident, quote_literal};
use proto::domain::compiled::IdRule;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::undo::UndoTarget;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::failure::During;

/// Entries of the id map whose row was inserted, not found.
pub const INSERTED: &str = "not coalesce(m.meta ? 'on_conflict', false)";

/// A column and the type that a text is cast to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// Its name.
    pub name: String,
    /// Its type, without modifiers.
    pub type_sql: String,
}

/// An entity at the destination.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// The migration.
    pub migration_id: Uuid,
    /// Its attempt.
    pub attempt: i32,
    /// The entity.
    pub entity: String,
    /// Its number.
    pub entity_no: i32,
    /// Its table.
    pub table: TableName,
    /// How its rows are known.
    pub id: IdRule,
    /// Columns that identify a row.
    pub key: Vec<Typed>,
    /// Of a join table's key, the columns that the id map has.
    pub known: Vec<String>,
    /// Columns that it changes in a row that was there.
    pub changed: Vec<Typed>,
}

/// The sites of the entities that the destination knows.
///
/// # Errors
/// `SchemaDrift` where a table or one of its columns is no more.
pub async fn find(
    connection: &mut PgConnection,
    (migration_id, attempt): (Uuid, i32),
    targets: &[UndoTarget],
) -> Result<Vec<Site>, Failure> {
    let numbers: HashMap<String, i32> =
        crate::sink::install::entity_numbers(connection, migration_id).await?;
    let mut sites = Vec::new();
    for target in targets {
        let Some(entity_no) = numbers.get(&target.entity).copied() else {
            continue;
        };
        let types = column_types(connection, &target.destination).await?;
        let typed = |name: &String| {
            let type_sql = types.get(name).cloned().ok_or_else(|| {
                let words = format!("column {name} of {} is no more", target.destination);
                Failure::new(FailureKind::SchemaDrift, words)
            })?;
            Ok::<_, Failure>(Typed {
                name: name.clone(),
                type_sql,
            })
        };
        sites.push(Site {
            migration_id,
            attempt,
            entity: target.entity.clone(),
            entity_no,
            table: target.destination.clone(),
            id: target.id.clone(),
            key: target
                .id
                .columns()
                .iter()
                .map(typed)
                .collect::<Result<_, _>>()?,
            known: target.known.clone(),
            changed: target.changed.iter().map(typed).collect::<Result<_, _>>()?,
        });
    }
    Ok(sites)
}

async fn column_types(
    connection: &mut PgConnection,
    table: &TableName,
) -> Result<HashMap<String, String>, Failure> {
    let found: Vec<(String, String)> = sqlx::query_as(
        "select attname::text, format_type(atttypid, -1) from pg_attribute \
         where attrelid = to_regclass($1) and attnum > 0 and not attisdropped",
    )
    .bind(table.quoted())
    .fetch_all(connection)
    .await
    .during("look up the columns of a table")?;
    if found.is_empty() {
        let words = format!("table {table} is no more");
        return Err(Failure::new(FailureKind::SchemaDrift, words));
    }
    Ok(found.into_iter().collect())
}

impl Site {
    /// Its id map.
    pub fn map(&self) -> String {
        format!("drover.id_map_{}", self.entity_no)
    }

    /// The id map tells every column of a row's key.
    pub fn is_mapped(&self) -> bool {
        match &self.id {
            IdRule::Uuid5 { .. } | IdRule::Keep { .. } => true,
            IdRule::None { columns } => columns.iter().all(|name| self.known.contains(name)),
        }
    }

    /// The key of the row `row` as pre-images have it.
    pub fn row_key(&self, row: &str) -> String {
        let texts: Vec<String> = self
            .key
            .iter()
            .map(|column| format!("{row}.{}::text", quote_ident(&column.name)))
            .collect();
        match texts.as_slice() {
            [one] => format!("to_jsonb({one})"),
            several => format!("jsonb_build_array({})", several.join(", ")),
        }
    }

    /// `t` is the row of the key `key`; an index can be used.
    pub fn has_key(&self, key: &str) -> String {
        let tests: Vec<String> = match self.key.as_slice() {
            [one] => vec![format!(
                "t.{} = ({key} #>> '{{}}')::{}",
                quote_ident(&one.name),
                one.type_sql
            )],
            several => several
                .iter()
                .enumerate()
                .map(|(at, column)| {
                    let name = quote_ident(&column.name);
                    format!("t.{name} = ({key} ->> {at})::{}", column.type_sql)
                })
                .collect(),
        };
        tests.join(" and ")
    }

    /// `t` is the row of the entry `m`.
    pub fn is_entry(&self) -> String {
        let test = |column: &Typed, value: String| {
            format!(
                "t.{} = ({value})::{}",
                quote_ident(&column.name),
                column.type_sql
            )
        };
        let tests: Vec<String> = self
            .key
            .iter()
            .map(|column| match &self.id {
                IdRule::Uuid5 { .. } if column.type_sql == "uuid" => {
                    format!("t.{} = m.id", quote_ident(&column.name))
                }
                IdRule::Uuid5 { .. } => test(column, "m.id::text".to_owned()),
                IdRule::Keep { .. } => test(column, "m.k::text".to_owned()),
                IdRule::None { .. } => {
                    let name = quote_literal(&column.name);
                    test(column, format!("m.meta -> 'destination_key' ->> {name}"))
                }
            })
            .collect();
        tests.join(" and ")
    }

    /// Transactions by which this migration wrote the table: its batches, and what undid some of them.
    pub fn ours(&self) -> String {
        ours(self.migration_id, self.attempt, &self.table)
    }

    /// Transactions of the entity's batches that are not undone.
    pub fn open(&self) -> String {
        format!(
            "(select l.xid::xid from drover.ledger l join drover.partition p using (partition_id) \
              where p.entity_no = {} and l.attempt = {} and l.undone_at is null)",
            self.entity_no, self.attempt
        )
    }

    /// `t` is not among the conflicts of the table `conflicts`.
    pub fn is_free(&self, conflicts: &str) -> String {
        format!(
            "not exists (select from {conflicts} x where x.entity_no = {} and x.row_key = {})",
            self.entity_no,
            self.row_key("t")
        )
    }

    /// Keys of rows that batches which are not undone have changed.
    pub fn images(&self) -> String {
        format!(
            "select distinct p.row_key from drover.pre_image p \
             join drover.ledger l using (partition_id, attempt, seq) \
             join drover.partition q using (partition_id) \
             where q.entity_no = {} and q.number >= 0 and p.attempt = {} and p.kind = 'changed' \
               and l.undone_at is null",
            self.entity_no, self.attempt
        )
    }

    /// SET list that puts a row back as the pre-image `i` has it.
    pub fn restored(&self) -> String {
        let table = self.table.quoted();
        let sets: Vec<String> = self
            .changed
            .iter()
            .map(|column| {
                let (name, text) = (quote_ident(&column.name), quote_literal(&column.name));
                format!(
                    "{name} = case when i.exact is null \
                     then (jsonb_populate_record(null::{table}, i.image)).{name} \
                     else (i.exact ->> {text})::{} end",
                    column.type_sql
                )
            })
            .collect();
        sets.join(", ")
    }
}

/// Transactions by which a migration wrote a table.
pub fn ours(migration_id: Uuid, attempt: i32, table: &TableName) -> String {
    let of_table = format!(
        "from drover.ledger l join drover.partition p using (partition_id) join drover.entity e using (entity_no) \
         where e.migration_id = '{migration_id}' and l.attempt = {attempt} \
           and e.destination_schema = {} and e.destination_table = {}",
        quote_literal(&table.schema),
        quote_literal(&table.name)
    );
    format!(
        "(select l.xid::xid {of_table} union select l.undone_xid::xid {of_table} and l.undone_xid is not null)"
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn typed(name: &str, type_sql: &str) -> Typed {
        Typed {
            name: name.to_owned(),
            type_sql: type_sql.to_owned(),
        }
    }

    pub(in crate::sink::undo) fn site(id: IdRule, key: &[(&str, &str)], known: &[&str]) -> Site {
        Site {
            migration_id: Uuid::nil(),
            attempt: 2,
            entity: "orders".to_owned(),
            entity_no: 7,
            table: TableName::parse("public.orders"),
            id,
            key: key.iter().map(|(name, sql)| typed(name, sql)).collect(),
            known: known.iter().map(|name| (*name).to_owned()).collect(),
            changed: vec![typed("note", "text")],
        }
    }

    fn join(columns: &[&str]) -> IdRule {
        IdRule::None {
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn a_new_id_is_compared_as_it_is_and_a_kept_key_as_its_type() {
        let column = "id".to_owned();
        let entity = "orders".to_owned();
        let new = site(
            IdRule::Uuid5 {
                column: column.clone(),
                entity,
            },
            &[("id", "uuid")],
            &[],
        );
        assert_eq!(new.is_entry(), "t.\"id\" = m.id");
        assert_eq!(new.row_key("t"), "to_jsonb(t.\"id\"::text)");
        assert_eq!(
            new.has_key("i.row_key"),
            "t.\"id\" = (i.row_key #>> '{}')::uuid"
        );
        let kept = site(IdRule::Keep { column }, &[("id", "bigint")], &[]);
        assert_eq!(kept.is_entry(), "t.\"id\" = (m.k::text)::bigint");
        assert!(new.is_mapped() && kept.is_mapped());
    }

    #[test]
    fn a_join_table_is_known_by_its_key_where_the_map_has_all_of_it() {
        let key = [("a", "uuid"), ("b", "uuid")];
        let whole = site(join(&["a", "b"]), &key, &["a", "b"]);
        assert!(whole.is_mapped());
        assert_eq!(
            whole.is_entry(),
            "t.\"a\" = (m.meta -> 'destination_key' ->> 'a')::uuid and \
             t.\"b\" = (m.meta -> 'destination_key' ->> 'b')::uuid"
        );
        assert_eq!(
            whole.has_key("k"),
            "t.\"a\" = (k ->> 0)::uuid and t.\"b\" = (k ->> 1)::uuid"
        );
        assert!(!site(join(&["a", "b"]), &key, &["a"]).is_mapped());
    }

    #[test]
    fn a_pre_image_is_restored_from_exact_texts_where_there_are_some() {
        let found = site(join(&["a"]), &[("a", "uuid")], &["a"]).restored();
        assert_eq!(
            found,
            "\"note\" = case when i.exact is null \
             then (jsonb_populate_record(null::\"public\".\"orders\", i.image)).\"note\" \
             else (i.exact ->> 'note')::text end"
        );
    }
}
