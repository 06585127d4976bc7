//! Where rows of which only the destination's key is known came from, and whether they are there.

use proto::domain::catalog::quote_ident;
use proto::domain::failure::Failure;
use proto::domain::sketch::RowKey;
use sqlx::FromRow;

use super::super::copy::copy_rows;
use super::{begin, end, key_text, mapped, our_transactions, same_key};
use crate::connect::{Purpose, open, run_sql};
use crate::failure::During;
use crate::patience::{InTime, READ};
use crate::pool::Server;
use crate::run::EntityContext;
use crate::transform::encode::{put, put_head};

const TRACING: &str = "trace rows";

/// A row that was traced.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Traced {
    /// Its number among those that were asked for.
    pub row: i32,
    /// Its key as text.
    pub destination_id: String,
    /// Its record id, where the id map has it.
    pub source_id: Option<String>,
    /// The destination has it.
    pub is_there: bool,
    /// It is still as we wrote it.
    pub is_ours: bool,
}

/// Traces rows by their keys, of which those are left out that cannot be told.
pub async fn trace(
    destination: &Server,
    entity: &EntityContext,
    keys: &[RowKey],
) -> Result<Vec<Traced>, Failure> {
    let (compiled, number) = (&entity.compiled, entity.entity_no);
    let names: Vec<String> = compiled
        .id
        .columns()
        .iter()
        .map(|name| quote_ident(name))
        .collect();
    let mut connection = open(destination, Purpose::Write).await?;
    let make = format!(
        "create temp table if not exists drover_traced_{number} on commit delete rows as \
             select null::integer as drover_n, {} from {} with no data",
        names.join(", "),
        compiled.destination.quoted()
    );
    run_sql(&mut connection, &make)
        .in_time(READ)
        .await
        .during(TRACING)?;
    begin(&mut connection).await?;
    let mut rows = Vec::new();
    for (at, key) in (0i32..).zip(keys) {
        let Some(values) = key.values(names.len()) else {
            continue;
        };
        put_head(&mut rows, names.len(), usize::try_from(at).ok());
        values.iter().for_each(|value| put(&mut rows, Some(value)));
    }
    let copy = format!("copy pg_temp.drover_traced_{number} from stdin (format binary)");
    copy_rows(&mut connection, &copy, &rows)
        .in_time(READ)
        .await
        .during(TRACING)?;
    let map = match mapped(compiled, "s") {
        Some(test) => format!("left join drover.id_map_{number} m on {test} and m.is_active"),
        None => "left join (select null::text as k) m on false".to_owned(),
    };
    let first = names.first().map_or("", String::as_str);
    let sql = format!(
        "select distinct on (s.drover_n) s.drover_n as row, {} as destination_id, m.k::text as source_id, \
                t.{first} is not null as is_there, coalesce(t.xmin::text in ({}), false) as is_ours \
         from pg_temp.drover_traced_{number} s {map} left join {} t on {} order by s.drover_n",
        key_text(compiled, "s"),
        our_transactions(entity),
        compiled.destination.quoted(),
        same_key(compiled, "t", "s"),
    );
    let found = sqlx::query_as(&sql)
        .fetch_all(&mut connection)
        .in_time(READ)
        .await
        .during(TRACING)?;
    end(&mut connection).await?;
    destination.give_back(Purpose::Write, connection).await;
    Ok(found)
}
