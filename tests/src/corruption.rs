//! Corrupts a migrated clinic on purpose, the same way for the same seed.

use anyhow::{Context, Result, ensure};

use crate::pg::TestDatabase;

/// One thing that was done to the destination.
#[derive(Debug, Clone)]
pub struct Corruption {
    /// What was done.
    pub what: &'static str,
    /// The table, which has the entity's name.
    pub table: String,
    /// Key of the row: its id.
    pub key: String,
    /// The column that was changed.
    pub column: Option<String>,
}

impl Corruption {
    /// How it should be found: entity, kind, key.
    pub fn finding(&self) -> (String, String, String) {
        let kind = match self.what {
            "missing row" => "missing",
            "extra row" => "extra",
            _ => "mismatched",
        };
        (self.table.clone(), kind.to_owned(), self.key.clone())
    }
}

/// Kind, table, changed column, and SQL over the row `$id`; `$other` is another row's value.
const KINDS: [(&str, &str, Option<&str>, &str); 12] = [
    (
        "changed value",
        "orders",
        Some("total"),
        "update orders set total = coalesce(total, 0) + 0.01 where id = '$id'",
    ),
    (
        "changed value",
        "patients",
        Some("status"),
        "update patients set status = (case status::text when 'active' then 'inactive' else 'active' end)::patient_status where id = '$id'",
    ),
    (
        "changed value",
        "jaws",
        Some("teeth"),
        "update jaws set teeth = teeth || 99 where id = '$id'",
    ),
    (
        "missing row",
        "comments",
        None,
        "delete from comments where id = '$id'",
    ),
    (
        "missing row",
        "jaws",
        None,
        "delete from jaws where id = '$id'",
    ),
    (
        "extra row",
        "comments",
        None,
        "insert into comments select (jsonb_populate_record(t, jsonb_build_object('id', '$new'))).* from comments t where id = '$id'",
    ),
    (
        "extra row",
        "patients",
        None,
        "insert into patients select (jsonb_populate_record(t, jsonb_build_object('id', '$new'))).* from patients t where id = '$id'",
    ),
    (
        "swapped foreign key",
        "orders",
        Some("patient_id"),
        "update orders o set patient_id = (select p.id from patients p where p.id <> o.patient_id order by p.id limit 1) where id = '$id'",
    ),
    (
        "swapped foreign key",
        "treatment_plans",
        Some("patient_id"),
        "update treatment_plans o set patient_id = (select p.id from patients p where p.id <> o.patient_id order by p.id limit 1) where id = '$id'",
    ),
    (
        "truncated text",
        "comments",
        Some("body"),
        "update comments set body = left(body, length(body) - 1) where id = '$id'",
    ),
    (
        "shifted microsecond",
        "patients",
        Some("registered_at"),
        "update patients set registered_at = registered_at + interval '1 microsecond' where id = '$id'",
    ),
    (
        "shifted microsecond",
        "orders",
        Some("placed_at"),
        "update orders set placed_at = placed_at + interval '1 microsecond' where id = '$id'",
    ),
];

/// Does so many things, each to a row of its own.
pub async fn corrupt(app: &TestDatabase, count: usize, seed: u64) -> Result<Vec<Corruption>> {
    let mut done = Vec::new();
    // Keys and triggers do not look: neither does a disk that rots.
    let mut script = String::from("set session_replication_role = replica;\n");
    let each = count.div_ceil(KINDS.len());
    for (at, (what, table, column, sql)) in KINDS.iter().enumerate() {
        let wanted = match column {
            // What a kind changes must be there to be changed.
            Some("body") => "where length(body) > 3".to_owned(),
            Some(column) => format!("where {column} is not null"),
            None => String::new(),
        };
        // Rows of other kinds of the same table are others: each takes its share of the ids' order.
        let order = format!("md5(id::text || '{seed}')");
        let ids = app
            .texts(&format!(
                "select id::text from {table} {wanted} order by {order} offset {} limit {each}",
                at * each
            ))
            .await?;
        ensure!(ids.len() == each, "{table} has too few rows for {what}");
        for id in ids {
            if done.len() == count {
                break;
            }
            let new = app
                .texts(&format!("select md5('{id} {seed}')::uuid::text"))
                .await?
                .pop()
                .context("an id")?;
            script.push_str(&sql.replace("$id", &id).replace("$new", &new));
            script.push_str(";\n");
            done.push(Corruption {
                what,
                table: (*table).to_owned(),
                key: if *what == "extra row" { new } else { id },
                column: column.map(str::to_owned),
            });
        }
    }
    app.run(&script).await?;
    Ok(done)
}
