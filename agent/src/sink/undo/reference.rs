//! Foreign keys that point at tables whose rows are taken back: those in force, of any table, and those that
//! the load has dropped.

use proto::domain::catalog::{TableName, quote_ident};
use proto::domain::failure::Failure;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;

use super::site::Site;
use crate::failure::During;

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Its name.
    pub name: String,
    /// The table that refers.
    pub child: TableName,
    /// Its columns.
    pub columns: Vec<String>,
    /// The table that is referred to.
    pub parent: TableName,
    /// Its columns.
    pub parent_columns: Vec<String>,
    /// `pg_constraint.confdeltype`.
    pub on_delete: String,
    /// It is in force.
    pub is_live: bool,
}

impl Reference {
    /// A deletion of the parent is followed by the foreign key's own rule.
    pub fn yields(&self) -> bool {
        self.is_live && matches!(self.on_delete.as_str(), "c" | "n" | "d")
    }

    /// The row `child` refers to the row `parent`.
    pub fn refers(&self, child: &str, parent: &str) -> String {
        let tests: Vec<String> = self
            .columns
            .iter()
            .zip(&self.parent_columns)
            .map(|(here, there)| {
                format!(
                    "{child}.{} = {parent}.{}",
                    quote_ident(here),
                    quote_ident(there)
                )
            })
            .collect();
        tests.join(" and ")
    }
}

#[derive(Debug, FromRow)]
struct Row {
    name: String,
    child_schema: String,
    child_table: String,
    columns: Vec<String>,
    parent_schema: String,
    parent_table: String,
    parent_columns: Vec<String>,
    on_delete: String,
    is_live: bool,
}

const REFERENCES: &str = r"
with target as (
    select distinct destination_schema as nsp, destination_table as rel from drover.entity
    where migration_id = $1 and entity = any ($2))
select c.conname::text as name, n.nspname::text as child_schema, t.relname::text as child_table,
       (select array_agg(a.attname::text order by k.at) from unnest(c.conkey) with ordinality k(num, at)
        join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.num) as columns,
       pn.nspname::text as parent_schema, p.relname::text as parent_table,
       (select array_agg(a.attname::text order by k.at) from unnest(c.confkey) with ordinality k(num, at)
        join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.num) as parent_columns,
       c.confdeltype::text as on_delete, true as is_live
from pg_constraint c
join pg_class t on t.oid = c.conrelid join pg_namespace n on n.oid = t.relnamespace
join pg_class p on p.oid = c.confrelid join pg_namespace pn on pn.oid = p.relnamespace
join target on target.nsp = pn.nspname and target.rel = p.relname
where c.contype = 'f' and c.conparentid = 0
union all
select d.object_name, d.table_schema, d.table_name, d.fk_columns, d.fk_schema, d.fk_table, d.fk_parent_columns,
       d.fk_on_delete, false
from drover.ddl d join target on target.nsp = d.fk_schema and target.rel = d.fk_table
where d.migration_id = $1 and d.kind = 'foreign_key' and d.state = 'dropped' and d.fk_columns is not null
  and not exists (select from pg_constraint c where c.conname = d.object_name
                  and c.conrelid = to_regclass(format('%I.%I', d.table_schema, d.table_name)))
order by 2, 3, 1";

/// Every foreign key that points at a table of the sites.
pub async fn references(
    connection: &mut PgConnection,
    sites: &[Site],
) -> Result<Vec<Reference>, Failure> {
    let Some(first) = sites.first() else {
        return Ok(Vec::new());
    };
    let names: Vec<&str> = sites.iter().map(|site| site.entity.as_str()).collect();
    let rows: Vec<Row> = sqlx::query_as(REFERENCES)
        .bind(first.migration_id)
        .bind(names)
        .fetch_all(connection)
        .await
        .during("list the foreign keys that point at the tables")?;
    Ok(rows.into_iter().map(reference).collect())
}

fn reference(row: Row) -> Reference {
    let table = |schema: String, name: String| TableName { schema, name };
    Reference {
        name: row.name,
        child: table(row.child_schema, row.child_table),
        columns: row.columns,
        parent: table(row.parent_schema, row.parent_table),
        parent_columns: row.parent_columns,
        on_delete: row.on_delete,
        is_live: row.is_live,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_foreign_key_in_force_with_a_rule_of_its_own_yields() {
        for (on_delete, is_live, expected) in [
            ("c", true, true),
            ("n", true, true),
            ("d", true, true),
            ("a", true, false),
            ("r", true, false),
            ("c", false, false),
        ] {
            let found = Reference {
                name: "f".to_owned(),
                child: TableName::parse("a"),
                columns: vec!["x".to_owned(), "y".to_owned()],
                parent: TableName::parse("b"),
                parent_columns: vec!["k".to_owned(), "l".to_owned()],
                on_delete: on_delete.to_owned(),
                is_live,
            };
            assert_eq!(found.yields(), expected, "{on_delete} {is_live}");
            assert_eq!(
                found.refers("c", "t"),
                "c.\"x\" = t.\"k\" and c.\"y\" = t.\"l\""
            );
        }
    }
}
