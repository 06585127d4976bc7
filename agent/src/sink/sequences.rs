//! Sequences behind the columns that a load has filled: the next INSERT of the application must not
//! meet a row of ours.

use proto::domain::catalog::{quote_literal, quote_texts};
use proto::domain::compiled::CompiledEntity;
use proto::domain::failure::Failure;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use tracing::warn;

use crate::connect::fetch_sql;
use crate::failure::During;

/// Sequences that a column owns (serial, identity) or takes its default from, wherever they live.
const FEEDING: &str = r"
select format('%I.%I', n.nspname, t.relname) as table_sql, quote_ident(a.attname) as column_sql,
       format('%I.%I', sn.nspname, s.relname) as sequence_sql, q.seqincrement > 0 as is_rising,
       case when q.seqincrement > 0 then q.seqmax else q.seqmin end as last
from pg_class t
join pg_namespace n on n.oid = t.relnamespace
join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
join pg_type y on y.oid = a.atttypid
join lateral (
    select d.objid as oid from pg_depend d
    where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
      and d.refobjid = t.oid and d.refobjsubid = a.attnum and d.deptype in ('a', 'i')
    union
    select d.refobjid from pg_attrdef f
    join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = f.oid
                    and d.refclassid = 'pg_class'::regclass
    where f.adrelid = t.oid and f.adnum = a.attnum
      and pg_get_expr(f.adbin, f.adrelid) ~ '^nextval\(''.*''::regclass\)$') feeding on true
join pg_sequence q on q.seqrelid = feeding.oid
join pg_class s on s.oid = feeding.oid
join pg_namespace sn on sn.oid = s.relnamespace
where n.nspname = $schema and t.relname = $table and a.attname = any($columns)
  and coalesce(nullif(y.typbasetype, 0), y.oid)
      in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
order by a.attnum, s.oid";

#[derive(Debug, FromRow)]
struct Feeding {
    table_sql: String,
    column_sql: String,
    sequence_sql: String,
    is_rising: bool,
    last: i64,
}

/// Moves every sequence behind a column that the entity writes past the values that are there; none
/// is ever moved back.
///
/// # Errors
/// `Denied` where the role may not use a sequence.
pub async fn move_sequences(
    connection: &mut PgConnection,
    entity: &CompiledEntity,
) -> Result<(), Failure> {
    let written = entity.columns.iter().map(|it| it.name.as_str());
    let sql = FEEDING
        .replace("$schema", &quote_literal(&entity.destination.schema))
        .replace("$table", &quote_literal(&entity.destination.name))
        .replace("$columns", &quote_texts(written));
    let rows = fetch_sql(&mut *connection, &sql).await;
    let rows = rows.during("look for sequences")?;
    let found: Result<Vec<Feeding>, sqlx::Error> = rows.iter().map(Feeding::from_row).collect();
    for feeding in found.during("look for sequences")? {
        let moved = fetch_sql(&mut *connection, &feeding.statement())
            .await
            .during(&format!("move sequence {}", feeding.sequence_sql))?;
        if !moved.is_empty() {
            warn!(sequence = %feeding.sequence_sql, "the rows have used up the sequence");
        }
    }
    Ok(())
}

impl Feeding {
    /// Sets the sequence where it is behind; a row comes back where it is at its end.
    fn statement(&self) -> String {
        let (furthest, beyond, nearer) = match self.is_rising {
            true => ("max", ">", "least"),
            false => ("min", "<", "greatest"),
        };
        format!(
            "with filled as (select {furthest}({column})::numeric as value from {table}), \
             moved as ( \
                 select setval({name}::regclass, {nearer}(value, {last})::bigint, true) as value from filled, {sequence} s \
                 where value {beyond} s.last_value or (value = s.last_value and not s.is_called)) \
             select 1 from moved where value = {last}",
            column = self.column_sql,
            table = self.table_sql,
            name = quote_literal(&self.sequence_sql),
            last = self.last,
            sequence = self.sequence_sql,
        )
    }
}
