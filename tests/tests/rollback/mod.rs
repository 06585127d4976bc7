//! Rolling back: whatever was done and whenever it stopped, the destination is as it was before.

mod cluster;
mod conflicts;
mod kills;
mod reset;
mod shapes;
mod whole;

use anyhow::{Result, ensure};
use drover_tests::drover::{self, Outcome};
use drover_tests::pg::TestDatabase;

/// Everything of a database but Drover's own: rows of every table, constraints, indexes, triggers, sequences.
/// Read apart from the digests that Drover itself takes.
pub async fn state(database: &TestDatabase) -> Result<Vec<String>> {
    let foreign = "n.nspname not in ('pg_catalog', 'information_schema', 'drover', 'drover_meta') and n.nspname !~ '^pg_'";
    let tables = database
        .texts(&format!(
            "select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where c.relkind = 'r' and {foreign} order by 1"
        ))
        .await?;
    let mut all = Vec::new();
    for table in tables {
        let sql = format!(
            "select '{table} ' || count(*) || ' ' || coalesce(string_agg(md5(t::text), '' order by t::text), '-') from {table} t"
        );
        all.push(digest(database, &sql).await?);
    }
    for sql in [
        format!(
            "select 'constraint ' || c.conrelid::regclass || ' ' || c.conname || ' ' || pg_get_constraintdef(c.oid) || ' ' || c.convalidated \
             from pg_constraint c join pg_class t on t.oid = c.conrelid join pg_namespace n on n.oid = t.relnamespace where {foreign} order by 1"
        ),
        format!(
            "select 'index ' || pg_get_indexdef(i.indexrelid) || ' ' || i.indisvalid || ' ' || i.indisreplident from pg_index i \
             join pg_class t on t.oid = i.indrelid join pg_namespace n on n.oid = t.relnamespace where {foreign} order by 1"
        ),
        format!(
            "select 'trigger ' || pg_get_triggerdef(g.oid) || ' ' || g.tgenabled::text from pg_trigger g \
             join pg_class t on t.oid = g.tgrelid join pg_namespace n on n.oid = t.relnamespace where not g.tgisinternal and {foreign} order by 1"
        ),
        "select 'sequence ' || schemaname || '.' || sequencename || ' ' || coalesce(last_value::text, 'not called') \
         from pg_sequences where schemaname not in ('drover', 'drover_meta') order by 1"
            .to_owned(),
    ] {
        all.extend(database.texts(&sql).await?);
    }
    Ok(all)
}

/// The name and numbers of a table, its long digest made short.
async fn digest(database: &TestDatabase, sql: &str) -> Result<String> {
    let text = database.texts(sql).await?.remove(0);
    let (head, long) = text.rsplit_once(' ').unwrap_or((&text, ""));
    let short = match long.len() > 32 {
        true => database
            .texts(&format!("select md5('{long}')"))
            .await?
            .remove(0),
        false => long.to_owned(),
    };
    Ok(format!("{head} {short}"))
}

/// Says what differs.
pub fn must_be(found: &[String], expected: &[String]) -> Result<()> {
    let more: Vec<&String> = found.iter().filter(|it| !expected.contains(it)).collect();
    let less: Vec<&String> = expected.iter().filter(|it| !found.contains(it)).collect();
    ensure!(
        more.is_empty() && less.is_empty() && found.len() == expected.len(),
        "now there: {more:#?}\nbefore: {less:#?}"
    );
    Ok(())
}

/// Rolls a migration of this machine back with more flags; it must end with that code.
pub async fn roll_back(
    env: &[(String, String)],
    (name, code): (&str, i32),
    more: &[&str],
) -> Result<Outcome> {
    let args: Vec<&str> = ["migration", "rollback", name, "--local", "--confirm", name]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    let outcome = drover::run(&args, env).await?;
    ensure!(
        outcome.code == Some(code),
        "{:?}\n{}\n{}",
        outcome.code,
        outcome.stdout,
        outcome.stderr
    );
    Ok(outcome)
}

/// What a rollback would do, by entity: rows to delete, to restore, gone, in conflict.
pub async fn effects(env: &[(String, String)], name: &str) -> Result<Vec<(String, [i64; 4])>> {
    let args = [
        "migration",
        "rollback",
        name,
        "--local",
        "--dry-run",
        "-o",
        "json",
    ];
    let outcome = drover::run(&args, env).await?;
    ensure!(outcome.code == Some(0), "{}", outcome.stderr);
    let json = outcome.json();
    let list = json["items"].as_array().cloned().unwrap_or_default();
    ensure!(!list.is_empty(), "{json}");
    let number = |value: &serde_json::Value| value.as_i64().unwrap_or(-1);
    Ok(list
        .iter()
        .map(|effect| {
            let conflicts = effect["conflicts"].as_array().cloned().unwrap_or_default();
            let conflicts = conflicts.iter().map(|it| number(&it["count"])).sum();
            let counts = [
                number(&effect["rows_to_delete"]),
                number(&effect["rows_to_restore"]),
                number(&effect["rows_gone"]),
                conflicts,
            ];
            (effect["entity"].as_str().unwrap_or("").to_owned(), counts)
        })
        .collect())
}
