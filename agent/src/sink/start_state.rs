//! What target tables were before the first row of a migration: rows, definitions, sequences. An undo is
//! compared with it.
//!
//! A table without rows costs nothing; one with rows is read once. Everything is read under the same settings,
//! so that the same row has the same text.

use proto::domain::catalog::{TableName, quote_ident, quote_literal, quote_texts};
use proto::domain::failure::Failure;
use sqlx::postgres::PgConnection;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use crate::connect::{fetch_sql, run_sql};
use crate::failure::During;

const RECORDING: &str = "record what the tables are before the first row";

/// Rows and definitions of a table at one moment.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct TableState {
    /// Its rows.
    pub row_count: i64,
    /// Sum of a 64-bit hash of each row's text.
    pub row_hash: String,
    /// Constraints, indexes and triggers as the catalog words them, in order.
    pub definitions: Vec<String>,
}

/// A sequence behind a column of a target table, as it was before the first row.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct StartSequence {
    /// Its name, quoted.
    pub sequence_sql: String,
    /// Schema of the table.
    pub destination_schema: String,
    /// The table.
    pub destination_table: String,
    /// The column.
    pub column_name: String,
    /// It counts upwards.
    pub is_rising: bool,
    /// Its value.
    pub last_value: i64,
    /// The value was given out.
    pub is_called: bool,
}

/// Where a sequence stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Current {
    /// Its value.
    #[sqlx(rename = "last_value")]
    pub value: i64,
    /// The value was given out.
    pub is_called: bool,
}

/// Every sequence that a column of a table owns or takes its default from, whether or not a rule writes it.
const FEEDING: &str = r"
select distinct on (1) format('%I.%I', sn.nspname, s.relname) as sequence_sql, n.nspname::text as destination_schema,
       t.relname::text as destination_table, a.attname::text as column_name, q.seqincrement > 0 as is_rising,
       0::bigint as last_value, false as is_called
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
where (n.nspname, t.relname) in (select * from $tables)
  and coalesce(nullif(y.typbasetype, 0), y.oid)
      in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
  -- What may not be read is not moved, either: the load says so by its name.
  and case when s.relkind = 'S' then has_sequence_privilege(s.oid, 'select') end
order by 1, a.attnum";

/// Number of rows `t`, and the sum of a 64-bit hash of each row's text.
const ROWS: &str = "count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)";

const DEFINITIONS: &str = r"
select coalesce(array_agg(d order by d), '{}') from (
    select 'constraint ' || conname || ' ' || pg_get_constraintdef(oid)
           || case when convalidated then '' else ' (not valid)' end as d
    from pg_constraint where conrelid = $1::regclass
    union all
    select pg_get_indexdef(indexrelid) || case when indisvalid then '' else ' (not valid)' end
    from pg_index where indrelid = $1::regclass
    union all
    select pg_get_triggerdef(oid) || ' ' || tgenabled::text
    from pg_trigger where tgrelid = $1::regclass and not tgisinternal) x";

/// Records tables and their sequences for an attempt, in few messages; what an earlier call of the attempt
/// recorded stays. Within a transaction, whose search path is `pg_catalog` from then on.
pub async fn record(
    connection: &mut PgConnection,
    (migration_id, attempt): (Uuid, i32),
    tables: Vec<(&TableName, bool)>,
) -> Result<(), Failure> {
    if tables.is_empty() {
        return Ok(());
    }
    let record = record_sql((migration_id, attempt), &tables);
    let list = FEEDING.replace("$tables", &names(&tables));
    let rows = fetch_sql(&mut *connection, &format!("{record}; {list}"))
        .await
        .during(RECORDING)?;
    let found: Result<Vec<StartSequence>, sqlx::Error> =
        rows.iter().map(StartSequence::from_row).collect();
    let found = found.during("look for sequences")?;
    if found.is_empty() {
        return Ok(());
    }
    run_sql(connection, &sequences_sql((migration_id, attempt), &found))
        .await
        .during(RECORDING)
}

/// The names of tables as rows of a schema and a name.
fn names(tables: &[(&TableName, bool)]) -> String {
    let schemas = quote_texts(tables.iter().map(|(table, _)| table.schema.as_str()));
    let names = quote_texts(tables.iter().map(|(table, _)| table.name.as_str()));
    format!("unnest({schemas}, {names})")
}

fn record_sql((migration_id, attempt): (Uuid, i32), tables: &[(&TableName, bool)]) -> String {
    let looks: Vec<String> = tables.iter().map(|(table, has_rows)| {
        let (schema, name) = (quote_literal(&table.schema), quote_literal(&table.name));
        match has_rows {
            false => format!("select {schema}::text as schema, {name}::text as name, 0::bigint as row_count, 0::numeric as row_hash"),
            true => format!("select {schema}::text, {name}::text, {ROWS} from {} t", table.quoted()),
        }
    }).collect();
    let definitions = DEFINITIONS.replace("$1::regclass", "c.oid");
    format!(
        "set local search_path = pg_catalog; \
         insert into drover.start_state (migration_id, destination_schema, destination_table, attempt, row_count, \
             row_hash, definitions) \
         select distinct on (w.schema, w.name) '{migration_id}'::uuid, w.schema, w.name, {attempt}, w.row_count, w.row_hash, \
                ({definitions}) \
         from ({}) w (schema, name, row_count, row_hash) join pg_namespace n on n.nspname = w.schema \
         join pg_class c on c.relnamespace = n.oid and c.relname = w.name \
         on conflict (migration_id, destination_schema, destination_table) do update \
         set attempt = excluded.attempt, row_count = excluded.row_count, row_hash = excluded.row_hash, \
             definitions = excluded.definitions, taken_at = clock_timestamp() \
         where start_state.attempt < excluded.attempt",
        looks.join(" union all ")
    )
}

/// A table that was recorded for this attempt before keeps what its sequences were then.
fn sequences_sql((migration_id, attempt): (Uuid, i32), found: &[StartSequence]) -> String {
    let looks: Vec<String> = found
        .iter()
        .map(|one| {
            format!(
                "select {}, {}, {}, {}, {}, last_value, is_called from {}",
                quote_literal(&one.sequence_sql),
                quote_literal(&one.destination_schema),
                quote_literal(&one.destination_table),
                quote_literal(&one.column_name),
                one.is_rising,
                one.sequence_sql
            )
        })
        .collect();
    format!(
        "insert into drover.start_sequence (migration_id, sequence_sql, destination_schema, destination_table, \
             column_name, is_rising, last_value, is_called, attempt) \
         select '{migration_id}', w.*, {attempt} from ({}) w \
         on conflict (migration_id, sequence_sql) do update \
         set last_value = excluded.last_value, is_called = excluded.is_called, attempt = excluded.attempt \
         where start_sequence.attempt < excluded.attempt",
        looks.join(" union all ")
    )
}

/// A table as it is now. Names come out qualified: the role's own search path does not matter.
pub async fn read(
    connection: &mut PgConnection,
    table: &TableName,
    has_rows: bool,
) -> Result<TableState, Failure> {
    sqlx::query("select set_config('search_path', 'pg_catalog', true)")
        .execute(&mut *connection)
        .await
        .during(RECORDING)?;
    let definitions: Vec<String> = sqlx::query_scalar(DEFINITIONS)
        .bind(table.quoted())
        .fetch_one(&mut *connection)
        .await
        .during(RECORDING)?;
    let (row_count, row_hash) = match has_rows {
        false => (0, "0".to_owned()),
        true => {
            let sql = format!("select {ROWS}::text from {} t", table.quoted());
            sqlx::query_as(&sql)
                .fetch_one(connection)
                .await
                .during(RECORDING)?
        }
    };
    Ok(TableState {
        row_count,
        row_hash,
        definitions,
    })
}

/// The recorded sequences of a table.
pub async fn sequences(
    connection: &mut PgConnection,
    migration_id: Uuid,
    table: &TableName,
) -> Result<Vec<StartSequence>, Failure> {
    sqlx::query_as(
        "select sequence_sql, destination_schema, destination_table, column_name, is_rising, last_value, is_called \
         from drover.start_sequence where migration_id = $1 and destination_schema = $2 and destination_table = $3 \
           and to_regclass(sequence_sql) is not null order by sequence_sql",
    )
    .bind(migration_id)
    .bind(&table.schema)
    .bind(&table.name)
    .fetch_all(connection)
    .await
    .during("read the recorded sequences")
}

impl StartSequence {
    /// Where it stands now.
    pub async fn current(&self, connection: &mut PgConnection) -> Result<Current, Failure> {
        let sql = format!("select last_value, is_called from {}", self.sequence_sql);
        sqlx::query_as(&sql)
            .fetch_one(connection)
            .await
            .during("read a sequence")
    }

    /// A row `t` for which the condition `stays` holds has a value beyond where it was.
    pub async fn is_used(
        &self,
        connection: &mut PgConnection,
        stays: &str,
    ) -> Result<bool, Failure> {
        let beyond = match (self.is_rising, self.is_called) {
            (true, true) => ">",
            (true, false) => ">=",
            (false, true) => "<",
            (false, false) => "<=",
        };
        let sql = format!(
            "select exists (select from {}.{} t where t.{} {beyond} {} and {stays})",
            quote_ident(&self.destination_schema),
            quote_ident(&self.destination_table),
            quote_ident(&self.column_name),
            self.last_value
        );
        let rows = fetch_sql(connection, &sql)
            .await
            .during("look for rows of a sequence")?;
        let is_used = rows.first().map(|row| row.try_get(0)).transpose();
        Ok(is_used
            .during("look for rows of a sequence")?
            .unwrap_or(false))
    }

    /// Sets it back.
    pub async fn set_back(&self, connection: &mut PgConnection) -> Result<(), Failure> {
        let sql = format!(
            "select setval({}::regclass, {}, {})",
            quote_literal(&self.sequence_sql),
            self.last_value,
            self.is_called
        );
        fetch_sql(connection, &sql)
            .await
            .map(drop)
            .during(&format!("set sequence {} back", self.sequence_sql))
    }
}
