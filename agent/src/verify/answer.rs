//! Answers the questions of a validation.

use std::sync::Arc;

use proto::domain::compiled::{CheckRule, Level, OrphanAction, ValueRule};
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{Ask, CheckOutcome, ValidateAnswer};
use proto::domain::key::KeyValue;
use serde_json::json;
use tracing::{Instrument, info_span};

use super::decimal::Decimal;
use super::{explain, sketching};
use crate::run::{EntityContext, RunContext};
use crate::sink::inspect::{
    counts, end_reading, open_reading, references, rules, strangers, survey,
};
use crate::source::recheck;

/// Answers one question about an entity.
///
/// # Errors
/// What source or destination say; no row of either is changed, and the same can be asked again.
pub async fn answer(
    run: &Arc<RunContext>,
    entity: &Arc<EntityContext>,
    ask: Ask,
) -> Result<ValidateAnswer, Failure> {
    let span = info_span!("verify", entity = %entity.compiled.entity, what = ask.word());
    Box::pin(dispatch(run, entity, ask)).instrument(span).await
}

async fn dispatch(
    run: &Arc<RunContext>,
    entity: &Arc<EntityContext>,
    ask: Ask,
) -> Result<ValidateAnswer, Failure> {
    use ValidateAnswer::{Checked, Compared, Sketched, Surveyed};
    match ask {
        Ask::SketchSource(range) => sketching::sketch_source(run, entity, &range)
            .await
            .map(Sketched),
        Ask::SketchDestination(pages) => sketching::sketch_destination(run, entity, pages)
            .await
            .map(Sketched),
        Ask::Explain(suspects) => explain::explain(run, entity, &suspects).await.map(Compared),
        Ask::Compare(range) => explain::compare(run, entity, &range).await.map(Compared),
        Ask::Sample(rows) => explain::sample(run, entity, rows).await.map(Compared),
        Ask::Counts => numbers(run, entity).await.map(Checked),
        Ask::Aggregates => sums(run, entity).await.map(Checked),
        Ask::Rule(CheckRule::Aggregate {
            source,
            destination,
            tolerance,
        }) => aggregate(run, entity, (source, destination, tolerance.as_deref()))
            .await
            .map(Checked),
        ask => {
            let mut connection = open_reading(&run.destination).await?;
            let answer = match ask {
                Ask::Survey => survey::survey(&mut connection, run, entity)
                    .await
                    .map(Surveyed)?,
                Ask::Strangers => strangers::strangers(&mut connection, run, entity)
                    .await
                    .map(Compared)?,
                Ask::ForeignKeys => references::foreign_keys(&mut connection, run, entity)
                    .await
                    .map(Checked)?,
                Ask::IdMap => references::id_map(&mut connection, run, entity)
                    .await
                    .map(Checked)?,
                Ask::Rule(CheckRule::Unique { columns }) => {
                    rules::unique(&mut connection, entity, &columns)
                        .await
                        .map(Checked)?
                }
                Ask::Rule(CheckRule::ZeroRows { sql }) => {
                    rules::zero_rows(&mut connection, entity, &sql)
                        .await
                        .map(Checked)?
                }
                Ask::Rule(CheckRule::MaxMs {
                    sql,
                    sample,
                    p95_ms,
                }) => {
                    let query = (sql.as_str(), sample.as_deref(), p95_ms);
                    rules::max_ms(&mut connection, entity, query)
                        .await
                        .map(Checked)?
                }
                _ => return Err(Failure::new(FailureKind::Internal, "no such check")),
            };
            end_reading(&run.destination, connection).await?;
            Ok(answer)
        }
    }
}

/// Numbers of rows. What the destination lost of what was written is a fault; what the source has more or
/// less than was written is one only where nobody wrote to it since.
async fn numbers(
    run: &Arc<RunContext>,
    entity: &Arc<EntityContext>,
) -> Result<CheckOutcome, Failure> {
    let mut connection = open_reading(&run.destination).await?;
    let there = counts::numbers(&mut connection, entity).await?;
    let set_aside = survey::set_aside(&mut connection, run, entity).await?;
    end_reading(&run.destination, connection).await?;
    let counted = recheck::count_rows(run, entity).await?;
    let source = counted.unwrap_or(there.read);
    let set_aside = crate::batch::count(set_aside.len());
    let expected = (source - set_aside).max(0);
    let lost = match there.is_alone {
        true => (there.mapped - there.table).abs(),
        false => 0,
    };
    let unwritten = (expected - there.mapped).abs();
    let is_excused = unwritten > 0 && !recheck::is_unwritten(run, entity).await?;
    let warnings = if is_excused { unwritten } else { 0 };
    let issues = lost + unwritten;
    let records = expected.max(there.mapped).max(there.table);
    Ok(CheckOutcome {
        records_validated: records.max(issues),
        issues_found: issues,
        warnings,
        figures: json!({ "source": source, "source_counted": counted.is_some(), "set_aside": set_aside,
                         "expected": expected, "mapped": there.mapped, "destination": there.table }),
        findings: Vec::new(),
    })
}

/// Sums over every column whose value the SELECT alone makes.
async fn sums(run: &Arc<RunContext>, entity: &Arc<EntityContext>) -> Result<CheckOutcome, Failure> {
    let read = &entity.compiled.read;
    let is_nulled = |field: usize| {
        let mut checks = entity.compiled.orphans.iter();
        checks.any(|check| check.action == OrphanAction::SetNull && check.part.field == field)
    };
    let columns: Vec<(&str, &String)> = entity
        .compiled
        .columns
        .iter()
        .filter(|column| column.cast.is_none())
        .filter_map(|column| match &column.value {
            ValueRule::Field(field) if !is_nulled(*field) => {
                Some((column.name.as_str(), read.fields.get(*field)?))
            }
            _ => None,
        })
        .collect();
    if columns.is_empty()
        || read.may_repeat()
        || !entity.compiled.orphans.is_empty() && read.fault_field.is_some()
    {
        // Verdicts of the agent are in no sum: numbers of rows have to do.
        return numbers(run, entity).await;
    }
    let mut connection = open_reading(&run.destination).await?;
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let kinds = counts::sums(&mut connection, entity, &names).await?;
    let set_aside = survey::set_aside(&mut connection, run, entity).await?;
    let there: Vec<String> = kinds
        .iter()
        .zip(&names)
        .map(|(kind, name)| kind.sql(&proto::domain::catalog::quote_ident(name)))
        .collect();
    let there = counts::over_rows(&mut connection, entity, &there).await?;
    end_reading(&run.destination, connection).await?;
    let here: Vec<String> = kinds
        .iter()
        .zip(&columns)
        .map(|(kind, (_, field))| kind.sql(&format!("({})", run.constants.apply(field))))
        .collect();
    let left_out = keys(set_aside, read.key.len());
    let here = recheck::over_rows(run, entity, (&here, &left_out)).await?;
    let differing: Vec<&str> = names
        .iter()
        .zip(here.iter().zip(&there))
        .filter(|(_, (here, there))| !are_same(here.as_deref(), there.as_deref()))
        .map(|(name, _)| *name)
        .collect();
    let issues = crate::batch::count(differing.len());
    let is_excused = issues > 0 && !recheck::is_unwritten(run, entity).await?;
    Ok(CheckOutcome {
        records_validated: crate::batch::count(names.len()),
        issues_found: issues,
        warnings: if is_excused { issues } else { 0 },
        figures: json!({ "level": Level::Aggregates.to_string(), "columns": names, "differing": differing }),
        findings: Vec::new(),
    })
}

/// The plan's aggregate on both sides.
async fn aggregate(
    run: &Arc<RunContext>,
    entity: &Arc<EntityContext>,
    (source, destination, tolerance): (String, String, Option<&str>),
) -> Result<CheckOutcome, Failure> {
    let mut connection = open_reading(&run.destination).await?;
    let set_aside = survey::set_aside(&mut connection, run, entity).await?;
    let there = counts::over_rows(&mut connection, entity, &[destination]).await?;
    end_reading(&run.destination, connection).await?;
    let left_out = keys(set_aside, entity.compiled.read.key.len());
    let here = recheck::over_rows(run, entity, (&[source], &left_out)).await?;
    let (here, there) = (
        here.into_iter().next().flatten(),
        there.into_iter().next().flatten(),
    );
    let is_same = is_near(here.as_deref(), there.as_deref(), tolerance);
    Ok(CheckOutcome {
        records_validated: 1,
        issues_found: i64::from(!is_same),
        warnings: 0,
        figures: json!({ "source": shown(here.as_deref()), "destination": shown(there.as_deref()),
                         "tolerance": tolerance.unwrap_or("0"), "left_out": left_out.len() }),
        findings: Vec::new(),
    })
}

fn keys(record_ids: std::collections::HashSet<String>, width: usize) -> Vec<KeyValue> {
    let mut keys: Vec<KeyValue> = record_ids
        .into_iter()
        .filter_map(|id| match width {
            1 => Some(KeyValue(vec![id])),
            _ => serde_json::from_str(&id).ok(),
        })
        .collect();
    keys.sort_unstable();
    keys
}

/// A figure may be told; a text could be a value of a row.
fn shown(figure: Option<&str>) -> serde_json::Value {
    match figure {
        None => serde_json::Value::Null,
        Some(text) if Decimal::parse(text).is_some() => json!(text),
        Some(text) => json!({ "redacted": true, "length": text.chars().count() }),
    }
}

/// Figures are equal, whatever zeroes they end in.
fn are_same(one: Option<&str>, other: Option<&str>) -> bool {
    let (Some(one), Some(other)) = (one, other) else {
        return one == other;
    };
    let parts = |text: &str| {
        let parts: Vec<String> = text
            .split(' ')
            .map(|part| Decimal::parse(part).map_or_else(|| part.to_owned(), |it| it.to_string()))
            .collect();
        parts
    };
    parts(one) == parts(other)
}

/// Figures differ by no more than the tolerance; what is no number must be equal.
fn is_near(one: Option<&str>, other: Option<&str>, tolerance: Option<&str>) -> bool {
    let (Some(first), Some(second)) = (one, other) else {
        return one == other;
    };
    match (
        Decimal::parse(first),
        Decimal::parse(second),
        Decimal::parse(tolerance.unwrap_or("0")),
    ) {
        (Some(first), Some(second), Some(tolerance)) => first.is_within(&second, &tolerance),
        _ => first == second,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_compared_as_numbers_where_they_are() {
        assert!(are_same(Some("7 12.50"), Some("7 12.5")));
        assert!(!are_same(Some("7 12.50"), Some("7 12.51")));
        assert!(!are_same(Some("7"), None) && are_same(None, None));
        assert!(is_near(Some("10.00"), Some("10.4"), Some("0.4")));
        assert!(!is_near(Some("10.00"), Some("10.41"), Some("0.4")));
        assert!(
            is_near(Some("abc"), Some("abc"), None)
                && !is_near(Some("abc"), Some("abd"), Some("9"))
        );
    }

    #[test]
    fn a_text_is_not_told() {
        assert_eq!(shown(Some("12.5")), json!("12.5"));
        assert_eq!(
            shown(Some("ann@example")),
            json!({ "redacted": true, "length": 11 })
        );
    }
}
