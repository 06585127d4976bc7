//! Numbers of rows, and sums over columns, at the destination.

use proto::domain::catalog::quote_ident;
use proto::domain::failure::Failure;
use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::mapped;
use super::survey::table_state;
use crate::failure::During;
use crate::patience::{InTime, READ};
use crate::run::EntityContext;

const COUNTING: &str = "count the destination's rows";

/// Numbers of an entity's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// Rows in the id map.
    pub mapped: i64,
    /// Rows of the table.
    pub table: i64,
    /// All of the table's rows are to be this entity's.
    pub is_alone: bool,
    /// Rows that the load read from the source.
    pub read: i64,
}

/// Counts them.
pub async fn numbers(
    connection: &mut PgConnection,
    entity: &EntityContext,
) -> Result<Numbers, Failure> {
    let state = table_state(&mut *connection, entity).await?;
    let (mapped, table, read): (i64, i64, i64) = sqlx::query_as(&format!(
        "select (select count(*) from drover.id_map_{number} m where m.is_active), (select count(*) from {}), \
                (select coalesce(sum(rows_read), 0)::bigint from drover.partition \
                 where entity_no = {number} and attempt = (select max(attempt) from drover.partition \
                                                           where entity_no = {number}))",
        entity.compiled.destination.quoted(),
        number = entity.entity_no,
    ))
    .fetch_one(connection)
    .in_time(READ)
    .await
    .during(COUNTING)?;
    Ok(Numbers {
        mapped,
        table,
        is_alone: !state.had_rows
            && state.writers == 1
            && entity.compiled.on_conflict == proto::domain::compiled::ConflictRule::Error,
        read,
    })
}

/// How a column is summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sum {
    /// Only how many values there are.
    Values,
    /// Numbers.
    Numbers,
    /// Lengths of texts.
    Lengths,
    /// First and last.
    Ends,
    /// How many are true.
    Truths,
}

impl Sum {
    /// The aggregates of an expression, as text.
    pub fn sql(self, value: &str) -> String {
        let more = match self {
            Self::Values => String::new(),
            Self::Numbers => format!(" || ' ' || coalesce(sum(({value})::numeric), 0)::text"),
            Self::Lengths => {
                format!(" || ' ' || coalesce(sum(length(rtrim(({value})::text))), 0)::text")
            }
            // Seconds since 1970: the same in every time zone.
            Self::Ends => format!(
                " || ' ' || coalesce(extract(epoch from min({value}))::text, '-') \
                  || ' ' || coalesce(extract(epoch from max({value}))::text, '-')"
            ),
            Self::Truths => format!(" || ' ' || (count(*) filter (where {value}))::text"),
        };
        format!("count({value})::text{more}")
    }
}

/// How each of these columns is summed up.
pub async fn sums(
    connection: &mut PgConnection,
    entity: &EntityContext,
    columns: &[&str],
) -> Result<Vec<Sum>, Failure> {
    let kinds: Vec<(String, i64)> = sqlx::query_as(
        "select t.typcategory::text, t.oid::bigint from unnest($2::text[]) with ordinality w(name, at) \
         join pg_attribute a on a.attrelid = $1::regclass and a.attname = w.name \
         join pg_type t on t.oid = a.atttypid order by w.at",
    )
    .bind(entity.compiled.destination.quoted())
    .bind(columns)
    .fetch_all(connection)
    .in_time(READ)
    .await
    .during(COUNTING)?;
    const FLOATS: [i64; 2] = [700, 701];
    const MONEY: i64 = 790;
    let kind = |(category, oid): (String, i64)| match category.as_str() {
        // Sums of floating numbers depend on their order.
        "N" if FLOATS.contains(&oid) || oid == MONEY => Sum::Values,
        "N" => Sum::Numbers,
        "S" => Sum::Lengths,
        "D" => Sum::Ends,
        "B" => Sum::Truths,
        _ => Sum::Values,
    };
    Ok(kinds.into_iter().map(kind).collect())
}

/// Expressions over the entity's rows of the table, each as text.
pub async fn over_rows(
    connection: &mut PgConnection,
    entity: &EntityContext,
    expressions: &[String],
) -> Result<Vec<Option<String>>, Failure> {
    let state = table_state(&mut *connection, entity).await?;
    let own = match mapped(&entity.compiled, "t") {
        Some(test) if state.had_rows || state.writers > 1 => format!(
            " as t where exists (select from drover.id_map_{} m where {test} and m.is_active)",
            entity.entity_no
        ),
        // The table's own name, too, means its row.
        _ => String::new(),
    };
    let table = entity.compiled.destination.quoted();
    let from = match own.is_empty() {
        true => table,
        false => format!(
            "(select t.* from {table}{own}) as {}",
            quote_ident(&entity.compiled.destination.name)
        ),
    };
    let texts: Vec<String> = expressions
        .iter()
        .map(|expression| format!("({expression}\n)::text"))
        .collect();
    let row = sqlx::query(&format!("select {} from {from}", texts.join(", ")))
        .fetch_one(connection)
        .in_time(READ)
        .await
        .during("aggregate the destination's rows")?;
    (0..expressions.len())
        .map(|at| row.try_get(at))
        .collect::<Result<_, _>>()
        .during("aggregate the destination's rows")
}
