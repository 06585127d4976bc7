//! Every row has one fate, and it is the expected one.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use drover_tests::drover::Outcome as Run;
use drover_tests::pair::Pair;
use serde_json::Value;

use super::build::{Built, Expected, Row};
use super::family::{Fault, Outcome};

/// Values shorter than this may stand anywhere by chance.
const TELLING: usize = 6;

const ERRORS: &str = "select jsonb_build_object('entity', m.entity, 'key', m.source_record_id, 'code', m.error_code, \
    'type', m.error_type, 'message', m.error_message, 'data', m.source_data, 'context', m.context, \
    'held', e.is_held, 'same', (e.error_code, e.error_message, e.source_data, e.context) \
        is not distinct from (m.error_code, m.error_message, m.source_data, m.context))::text \
    from drover_meta.migration_error m full join drover.error e on e.id = m.id";

type Errors = BTreeMap<(String, String), Vec<Value>>;

/// Compares what a run left behind with what was expected.
pub async fn check(pair: &Pair, built: &Built<'_>, run: &Run) -> Result<()> {
    let mut wrong = Vec::new();
    let mut errors = Errors::new();
    for text in pair.app.texts(ERRORS).await? {
        let error: Value = serde_json::from_str(&text)?;
        if error["same"] != true {
            wrong.push(format!("destination and metadata differ: {error}"));
        }
        let key = (word(&error, "entity"), word(&error, "key"));
        errors.entry(key).or_default().push(error);
    }
    for entity in &built.expected {
        let mut written = BTreeMap::new();
        for row in pair.rows(&entity.select).await? {
            let row: Value = serde_json::from_str(&row)?;
            let before = written.insert(word(&row, "key"), word(&row, "value"));
            if before.is_some() {
                wrong.push(format!("{}: {row} is there twice", entity.entity));
            }
        }
        for row in &entity.rows {
            let place = (entity.entity.clone(), row.key.clone());
            let (found, failed) = (written.remove(&row.key), errors.remove(&place));
            let fate = Fate {
                written: found,
                errors: failed.unwrap_or_default(),
            };
            for words in fate.compare(entity, row, &built.plan, run) {
                let (name, value) = (row.column.map_or("", |c| c.name.as_str()), row.value);
                wrong.push(format!("{}[{}] {name} {value}: {words}", place.0, place.1));
            }
        }
        wrong.extend(
            written
                .iter()
                .map(|row| format!("{}: {row:?} was written", entity.entity)),
        );
        wrong.extend(counters(pair, entity).await?);
    }
    wrong.extend(
        errors
            .values()
            .flatten()
            .map(|error| format!("unexpected: {error}")),
    );
    ensure!(
        wrong.is_empty(),
        "{} faults:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(())
}

/// What became of one row.
struct Fate {
    written: Option<String>,
    errors: Vec<Value>,
}

impl Fate {
    fn compare(&self, entity: &Expected<'_>, row: &Row<'_>, plan: &str, run: &Run) -> Vec<String> {
        let mut wrong = Vec::new();
        let (written, errors) = (self.written.as_deref(), self.errors.as_slice());
        match (&row.outcome, written, errors) {
            (Outcome::Written(value) | Outcome::Skipped(value), Some(found), [])
                if found == value || value == "*" => {}
            (Outcome::Filtered, None, []) => {}
            (Outcome::Held, None, [error]) => {
                if error["held"] != true || error["code"] != "DROVER_PARENT_QUARANTINED" {
                    wrong.push(format!("is not held: {error}"));
                }
            }
            (Outcome::Failed(fault), None, [error]) => {
                wrong.extend(faulty(fault, error, entity, row));
                wrong.extend(leaks(error, row, plan, run));
            }
            (expected, _, _) => {
                wrong.push(format!(
                    "expected {expected:?}, written {written:?}, errors {errors:?}"
                ));
            }
        }
        wrong
    }
}

/// What an error row says wrong.
fn faulty(fault: &Fault, error: &Value, entity: &Expected<'_>, row: &Row<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut must = |holds: bool, words: &str| {
        if !holds {
            wrong.push(format!("{words}: expected {fault:?}, found {error}"));
        }
    };
    let (context, data) = (&error["context"], &error["data"]);
    must(error["code"] == fault.code.as_str(), "code");
    must(error["held"] == false, "held");
    must(error["type"] == error_type(&fault.code), "type");
    if fault.code.starts_with("DROVER_") && !fault.says("match") {
        let rule = context["rule"].as_str().unwrap_or_default();
        let place = format!("entities[{}].", entity.place);
        must(rule.starts_with(&place), "rule");
        if let Some(column) = row.column {
            let path = format!("{place}transformation_rules.{}", column.name);
            let end = column.at.as_deref().unwrap_or_default();
            must(rule.starts_with(&path) && rule.ends_with(end), "rule");
        }
    } else if !fault.code.starts_with("DROVER_") {
        let stage = if fault.says("read") { "read" } else { "write" };
        must(context["stage"] == stage, "stage");
    }
    for name in ["constraint", "column"] {
        if let Some(value) = fault.named(name) {
            must(context[name] == value, name);
        }
    }
    let is_unreadable = data["unreadable"] == true;
    must(is_unreadable == fault.says("unreadable"), "snapshot");
    if let (Some(column), false) = (row.column, is_unreadable) {
        let value = &data[&column.name];
        must(
            !data["id"].is_null() && !value.is_null(),
            "the snapshot's columns",
        );
        if column.sensitive {
            must(value["redacted"] == true, "redaction");
        }
    }
    wrong
}

/// `error_type` of the data model, by the words of the architecture.
fn error_type(code: &str) -> &'static str {
    match code.get(..2) {
        Some("22") => "data_validation",
        Some("23") => "constraint_violation",
        _ if code.starts_with("DROVER_") => "data_validation",
        _ => "unknown",
    }
}

/// Where a value of a bad row can be read that should not be.
fn leaks(error: &Value, row: &Row<'_>, plan: &str, run: &Run) -> Vec<String> {
    let mut places = vec![
        ("message", error["message"].to_string()),
        ("context", error["context"].to_string()),
    ];
    if row.column.is_some_and(|column| column.sensitive) {
        places.push(("snapshot", error["data"].to_string()));
    }
    let mut wrong = Vec::new();
    for secret in literals(row.value).filter(|text| !plan.contains(text)) {
        let quoted = Value::from(secret).to_string();
        let quoted = quoted.trim_matches('"');
        let stored = places.iter().filter(|(_, text)| text.contains(quoted));
        let told = [("stdout", &run.stdout), ("stderr", &run.stderr)];
        let told = told.iter().filter(|(_, text)| text.contains(secret));
        let names = stored
            .map(|(name, _)| name)
            .chain(told.map(|(name, _)| name));
        wrong.extend(names.map(|name| format!("{secret:?} stands in {name}: {error}")));
    }
    wrong
}

/// Texts between quotes in SQL that are long enough to be told apart.
fn literals(sql: &str) -> impl Iterator<Item = &str> {
    let texts = sql.split('\'').skip(1).step_by(2);
    texts.filter(|text| text.chars().count() >= TELLING)
}

/// read = written + quarantined + held + filtered + skipped, and each is what was counted.
async fn counters(pair: &Pair, expected: &Expected<'_>) -> Result<Option<String>> {
    let name = &expected.entity;
    let told = pair
        .app
        .texts(&format!(
            "select concat_ws(' ', records_total, records_written, records_failed - records_held, records_held, \
             records_filtered, records_skipped, records_read) from drover_meta.entity_migration_status \
             where entity = '{name}'"
        ))
        .await?;
    let of = |is: fn(&Outcome) -> bool| expected.rows.iter().filter(|row| is(&row.outcome)).count();
    let written = of(|outcome| matches!(outcome, Outcome::Written(_)));
    let failed = of(|outcome| matches!(outcome, Outcome::Failed(_)));
    let held = of(|outcome| *outcome == Outcome::Held);
    let filtered = of(|outcome| *outcome == Outcome::Filtered);
    let skipped = of(|outcome| matches!(outcome, Outcome::Skipped(_)));
    let read = written + skipped + failed + held;
    let source = pair
        .legacy
        .number(&format!("select count(*) from src_{name}"))
        .await?;
    let counted = format!("{read} {written} {failed} {held} {filtered} {skipped} {read}");
    let is_whole = usize::try_from(source)? == read + filtered;
    Ok((told != [counted.clone()] || !is_whole)
        .then(|| format!("{name}: {source} rows at the source, counted {counted}, told {told:?}")))
}

fn word(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
