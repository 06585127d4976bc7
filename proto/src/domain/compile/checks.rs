//! The plan's checks: each is one of the destination's or of both sides, and is prepared before a row moves.

use super::super::catalog::{Catalog, Table};
use super::super::compiled::{CheckRule, CompiledCheck, CompiledEntity, Level};
use super::super::plan::{Check, Plan, ProblemLog, Severity, Validation, ValidationType};
use super::super::record::{ValidationSeverity, ValidationType as RecordType};

/// The value of a sample in a query of `max_ms`.
const SAMPLE: &str = "$sample";

/// Where a check stands.
struct Place<'a> {
    path: String,
    /// The entity whose own it is.
    owner: Option<&'a str>,
}

/// Compiles every check of the plan, those of `*` once for each active entity.
pub(super) fn compile(
    (plan, log): (&Plan, &ProblemLog),
    entities: &[CompiledEntity],
    destination: &Catalog,
) -> Vec<CompiledCheck> {
    let mut checks = Vec::new();
    let of_plan = (0..).zip(&plan.validations).map(|(at, validation)| {
        let path = format!("validations[{at}]");
        (Place { path, owner: None }, validation)
    });
    let of_entities = (0..)
        .zip(plan.entities.iter())
        .flat_map(|(index, entity): (usize, _)| {
            (0..)
                .zip(&entity.validation_rules)
                .map(move |(at, validation): (usize, _)| {
                    let path = format!("entities[{index}].validation_rules[{at}]");
                    let owner = Some(&*entity.entity);
                    (Place { path, owner }, validation)
                })
        });
    for (place, validation) in of_plan.chain(of_entities) {
        let before = log.count();
        let found = targets(log, &place, validation, entities);
        for entity in found {
            let table = destination.table(&entity.destination);
            let rule = rule(log, &place, validation, table);
            // What is wrong for one is wrong for all: said once.
            if log.count() > before {
                break;
            }
            checks.extend(rule.map(|rule| CompiledCheck {
                entity: entity.entity.clone(),
                validation_type: rule.validation_type(),
                severity: severity(validation.severity.as_ref()),
                rule,
            }));
        }
    }
    checks
}

/// The entities that a check is for.
fn targets<'a>(
    log: &ProblemLog,
    place: &Place<'_>,
    validation: &Validation,
    entities: &'a [CompiledEntity],
) -> Vec<&'a CompiledEntity> {
    let path = format!("{}.entity", place.path);
    let active = |name: &str| -> Vec<&'a CompiledEntity> {
        let named = entities.iter().filter(|entity| entity.entity == name);
        named.filter(|entity| entity.is_active).collect()
    };
    match (place.owner, validation.entity.as_deref()) {
        (Some(owner), None) => active(owner),
        (Some(owner), Some(name)) if name == owner => active(owner),
        (Some(_), Some(_)) => {
            log.add(
                path,
                "an entity's own check is of that entity: leave it out",
            );
            Vec::new()
        }
        (None, None) => {
            log.add(path, "is missing: an entity, or \"*\" for all");
            Vec::new()
        }
        (None, Some("*")) => {
            if is_of_one(&validation.check) {
                log.add(path, "this check names one entity");
                return Vec::new();
            }
            entities.iter().filter(|entity| entity.is_active).collect()
        }
        (None, Some(name)) => {
            if !entities.iter().any(|entity| entity.entity == name) {
                log.add(path, format!("no entity \"{name}\" in this plan"));
            }
            active(name)
        }
    }
}

fn is_of_one(check: &Check) -> bool {
    match check {
        Check::RowCount | Check::Content | Check::ForeignKeys => false,
        Check::Unique | Check::Aggregate | Check::ZeroRows | Check::MaxMs => true,
    }
}

fn severity(given: Option<&Severity>) -> ValidationSeverity {
    match given {
        Some(Severity::Low) => ValidationSeverity::Low,
        Some(Severity::Medium) => ValidationSeverity::Medium,
        Some(Severity::Critical) => ValidationSeverity::Critical,
        Some(Severity::High) | None => ValidationSeverity::High,
    }
}

/// The rule of a check; none with problems noted.
fn rule(
    log: &ProblemLog,
    place: &Place<'_>,
    validation: &Validation,
    table: Option<&Table>,
) -> Option<CheckRule> {
    let at = |key: &str| format!("{}.{key}", place.path);
    let takes = taken(&validation.check);
    for key in given(validation) {
        if !takes.contains(&key) {
            log.add(at(key), "this check has no such argument");
        }
    }
    let missing = |key: &str| {
        log.add(at(key), "is missing");
    };
    let rule = match &validation.check {
        Check::RowCount => CheckRule::RowCount,
        Check::ForeignKeys => CheckRule::ForeignKeys,
        Check::Content => CheckRule::Content {
            level: match validation
                .level
                .as_deref()
                .unwrap_or("full")
                .parse::<Level>()
            {
                Ok(level) => level,
                Err(error) => {
                    log.add(at("level"), error.to_string());
                    return None;
                }
            },
        },
        Check::Unique => {
            if validation.columns.is_empty() {
                missing("columns");
            }
            CheckRule::Unique {
                columns: known_columns(log, &at("columns"), validation, table),
            }
        }
        Check::Aggregate => {
            let (source, destination) = (&validation.source, &validation.destination);
            let (Some(source), Some(destination)) = (source, destination) else {
                missing(if source.is_none() {
                    "source"
                } else {
                    "destination"
                });
                return None;
            };
            CheckRule::Aggregate {
                source: source.0.clone(),
                destination: destination.0.clone(),
                tolerance: tolerance(log, &at("tolerance"), validation),
            }
        }
        Check::ZeroRows => CheckRule::ZeroRows {
            sql: validation
                .sql
                .clone()
                .or_else(|| {
                    missing("sql");
                    None
                })?
                .0,
        },
        Check::MaxMs => {
            let (Some(sql), Some(p95_ms)) = (&validation.sql, &validation.p95_ms) else {
                missing(if validation.sql.is_none() {
                    "sql"
                } else {
                    "p95_ms"
                });
                return None;
            };
            let sample = sql.0.contains(SAMPLE).then(|| sampled(&sql.0, table));
            if sample == Some(None) {
                log.add(
                    at("sql"),
                    format!(
                        "{SAMPLE} must be compared with a column of the entity: `column = {SAMPLE}`"
                    ),
                );
            }
            CheckRule::MaxMs {
                sql: sql.0.replace(SAMPLE, "$1"),
                sample: sample.flatten(),
                p95_ms: p95_ms.0,
            }
        }
    };
    let (said, is) = (
        record_type(&validation.validation_type),
        rule.validation_type(),
    );
    if said != is {
        let words = format!("{} is a check of {is}", rule.word());
        log.add(at("validation_type"), words);
    }
    Some(rule)
}

fn record_type(given: &ValidationType) -> RecordType {
    match given {
        ValidationType::DataCompleteness => RecordType::DataCompleteness,
        ValidationType::ReferentialIntegrity => RecordType::ReferentialIntegrity,
        ValidationType::BusinessRules => RecordType::BusinessRules,
        ValidationType::Performance => RecordType::Performance,
    }
}

/// Arguments that a check has.
fn taken(check: &Check) -> &'static [&'static str] {
    match check {
        Check::RowCount | Check::ForeignKeys => &[],
        Check::Content => &["level"],
        Check::Unique => &["columns"],
        Check::Aggregate => &["source", "destination", "tolerance"],
        Check::ZeroRows => &["sql"],
        Check::MaxMs => &["sql", "p95_ms"],
    }
}

/// Arguments that are there.
fn given(validation: &Validation) -> Vec<&'static str> {
    let all = [
        ("level", validation.level.is_some()),
        ("columns", !validation.columns.is_empty()),
        ("source", validation.source.is_some()),
        ("destination", validation.destination.is_some()),
        ("tolerance", validation.tolerance.is_some()),
        ("sql", validation.sql.is_some()),
        ("p95_ms", validation.p95_ms.is_some()),
    ];
    let there = all.into_iter().filter(|(_, is_there)| *is_there);
    there.map(|(key, _)| key).collect()
}

fn known_columns(
    log: &ProblemLog,
    path: &str,
    validation: &Validation,
    table: Option<&Table>,
) -> Vec<String> {
    let names = validation.columns.iter().map(|name| name.0.clone());
    let names: Vec<String> = names.collect();
    for name in &names {
        if table.is_some_and(|table| table.column(name).is_none()) {
            log.add(
                path.to_owned(),
                format!("the destination has no column {name}"),
            );
        }
    }
    names
}

fn tolerance(log: &ProblemLog, path: &str, validation: &Validation) -> Option<String> {
    let text = validation.tolerance.as_ref()?.0.clone();
    if text.starts_with('-') {
        log.add(path.to_owned(), "must not be below zero");
    }
    Some(text)
}

/// The column of the table that stands before `= $sample`.
fn sampled(sql: &str, table: Option<&Table>) -> Option<String> {
    let before = sql.split(SAMPLE).next()?.trim_end();
    let before = before.strip_suffix('=')?.trim_end();
    let name = match before.strip_suffix('"') {
        Some(quoted) => quoted.rsplit('"').next()?.to_owned(),
        None => {
            let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
            before
                .rsplit(|letter| !is_word(letter))
                .next()?
                .to_lowercase()
        }
    };
    table?.column(&name).map(|column| column.name.clone())
}
