//! Binary COPY into the destination, in pieces of 256 KiB.

use proto::domain::catalog::quote_ident;
use proto::domain::compiled::CompiledEntity;
use proto::domain::failure::{SqlAction, sql_action, text_action};
use sqlx::postgres::PgConnection;

use super::conflict::{Conflict, NUMBER};
use super::stage::{Stage, is_needed};

/// One socket write per piece; small ones cost more than they carry.
pub const PIECE: usize = 256 << 10;
/// Begins a binary COPY.
pub const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Ends it.
pub const TRAILER: &[u8] = &[0xff, 0xff];

/// The COPY statements of an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyStatements {
    /// Into the target table.
    pub rows: String,
    /// Into its leaf of the id map.
    pub map: String,
    /// How the server calls the target in the context of an error.
    pub relation: String,
    /// What comes behind the COPYs where the target's rows are looked at first; the COPYs then go to a
    /// stage.
    pub conflict: Option<Conflict>,
    /// Where the rows go first, where some of their values travel as text and `conflict` has no stage.
    pub stage: Option<Stage>,
    /// Values travel as text.
    has_texts: bool,
}

impl CopyStatements {
    /// Makes them for an entity whose id map leaf has this number.
    pub fn new(entity: &CompiledEntity, entity_no: i32, has_meta: bool) -> Self {
        let columns: Vec<String> = entity
            .columns
            .iter()
            .map(|column| quote_ident(&column.name))
            .collect();
        let has_texts = is_needed(&entity.columns);
        let meta = if has_meta { ", meta" } else { "" };
        if let Some(conflict) = Conflict::of(entity, entity_no) {
            return Self {
                rows: format!("copy {} from stdin (format binary)", conflict.rows),
                map: format!(
                    "copy {} ({NUMBER}, id, k{meta}) from stdin (format binary)",
                    conflict.map
                ),
                relation: conflict.relation(),
                conflict: Some(conflict),
                stage: None,
                has_texts,
            };
        }
        let map =
            format!("copy drover.id_map_{entity_no} (id, k{meta}) from stdin (format binary)");
        match Stage::of(entity, entity_no) {
            Some(stage) => Self {
                rows: format!("copy {} from stdin (format binary)", stage.rows),
                map,
                relation: stage.relation.clone(),
                conflict: None,
                stage: Some(stage),
                has_texts,
            },
            None => Self {
                rows: format!(
                    "copy {} ({}) from stdin (format binary)",
                    entity.destination.quoted(),
                    columns.join(", ")
                ),
                map,
                relation: entity.destination.name.clone(),
                conflict: None,
                stage: None,
                has_texts,
            },
        }
    }

    /// What a server's error means for the rows.
    pub fn action(&self, sqlstate: &str) -> SqlAction {
        match self.has_texts {
            true => text_action(sqlstate),
            false => sql_action(sqlstate),
        }
    }

    /// What makes the stages of a transaction, if there are any.
    pub fn make_stages(&self) -> Option<&str> {
        let of_conflict = self.conflict.as_ref().map(|it| it.stage.as_str());
        of_conflict.or(self.stage.as_ref().map(|it| it.make.as_str()))
    }
}

/// Copies encoded rows; the number of those that were kept: a trigger may drop some without a word.
///
/// # Errors
/// The driver's; after one that did not come from `finish` the connection must be closed.
pub async fn copy_rows(
    connection: &mut PgConnection,
    statement: &str,
    rows: &[u8],
) -> Result<u64, sqlx::Error> {
    let mut copy = connection.copy_in_raw(statement).await?;
    if rows.len() < PIECE {
        let mut whole = Vec::with_capacity(HEADER.len() + rows.len() + TRAILER.len());
        whole.extend_from_slice(HEADER);
        whole.extend_from_slice(rows);
        whole.extend_from_slice(TRAILER);
        copy.send(whole).await?;
    } else {
        copy.send(HEADER).await?;
        for piece in rows.chunks(PIECE) {
            copy.send(piece).await?;
        }
        copy.send(TRAILER).await?;
    }
    copy.finish().await
}
