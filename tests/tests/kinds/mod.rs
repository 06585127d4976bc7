//! Every kind of schema object against two real databases: what is there after a load is what was
//! there before it.

mod columns;
mod constraints;
mod extremes;
mod keys;
mod names;
mod sequences;
mod tables;
mod types;

use anyhow::{Result, ensure};
use drover_tests::pair::Pair;
use drover_tests::pg::TestDatabase;

/// Rows of a query as PostgreSQL shows them, under settings that hide nothing.
async fn shown(database: &TestDatabase, query: &str) -> Result<Vec<String>> {
    database
        .texts(&format!("select x::text from ({query}) x"))
        .await
}

/// Both sides answer a query with the same rows, and with some.
async fn same(pair: &Pair, query: &str) -> Result<()> {
    let (there, here) = (
        shown(&pair.legacy, query).await?,
        shown(&pair.app, query).await?,
    );
    ensure!(!there.is_empty(), "{query} finds nothing");
    for (there, here) in there.iter().zip(&here) {
        ensure!(there == here, "{query}:\n  source {there}\n  here   {here}");
    }
    ensure!(
        there.len() == here.len(),
        "{query}: {} and {}",
        there.len(),
        here.len()
    );
    Ok(())
}

/// An entity whose columns are copied as they are.
fn plain(name: &str, table: &str, id: &str, columns: &[&str]) -> String {
    let rules: Vec<String> = columns
        .iter()
        .map(|column| format!("    {column:?}: [{{col: {column:?}}}]\n"))
        .collect();
    format!(
        "- entity: {name}
  source_entity: {table:?}
  destination_entity: {table:?}
  entity_type: {name}
  id: {{kind: {id}}}
  transformation_rules:
{}",
        rules.concat()
    )
}
