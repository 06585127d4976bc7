//! A preflight for people: checks and what mends them, the steps and their undoing, the tried sample.

use std::fmt::Write;

use proto::domain::preflight::{Check, Load, Preflight, Trial, Verdict};

use super::human;
use super::table::{Align, Table};

/// The whole of it; `entities` is the table of the plan's entities.
pub fn text(preflight: &Preflight, entities: &str, is_wide: bool) -> String {
    let mut parts = vec![checks(&preflight.checks), entities.to_owned()];
    parts.push(steps(preflight));
    parts.push(inverse(preflight));
    if !preflight.trials.is_empty() {
        parts.push(trials(&preflight.trials, is_wide));
        parts.push(errors(&preflight.trials));
    }
    parts.push(load(&preflight.load));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// The checks as a table, and below it what mends those that did not pass.
fn checks(checks: &[Check]) -> String {
    let mut table = Table::new(&[
        ("verdict", Align::Left),
        ("place", Align::Left),
        ("check", Align::Left),
        ("found", Align::Left),
    ]);
    for check in checks {
        table.row([
            check.verdict.to_string(),
            check.place.to_string(),
            check.name.clone(),
            human::clip(&check.found, 2000),
        ]);
    }
    let mut text = table.render();
    for check in checks {
        if check.verdict == Verdict::Pass {
            continue;
        }
        let _ = writeln!(text, "mend {} {}:", check.place, check.name);
        for line in &check.mend {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

fn steps(preflight: &Preflight) -> String {
    let mut table = Table::new(&[
        ("step", Align::Right),
        ("action", Align::Left),
        ("entity", Align::Left),
        ("what", Align::Left),
    ]);
    for (at, step) in (1..).zip(&preflight.steps) {
        table.row([
            at.to_string(),
            step.action.clone(),
            step.entity.clone().unwrap_or_default(),
            step.what.clone(),
        ]);
    }
    table.render()
}

fn inverse(preflight: &Preflight) -> String {
    let mut table = Table::new(&[
        ("undo", Align::Left),
        ("entity", Align::Left),
        ("class", Align::Left),
        ("why", Align::Left),
    ]);
    for step in &preflight.inverse {
        table.row([
            step.action.clone(),
            step.entity.clone().unwrap_or_default(),
            step.class.to_string(),
            step.why.clone(),
        ]);
    }
    table.render()
}

fn trials(trials: &[Trial], is_wide: bool) -> String {
    let mut columns = vec![
        ("entity", Align::Left),
        ("sampled", Align::Right),
        ("filtered", Align::Right),
        ("fit", Align::Right),
        ("failed", Align::Right),
        ("nulls-in", Align::Left),
    ];
    if is_wide {
        columns.push(("notes", Align::Left));
    }
    let mut table = Table::new(&columns);
    for trial in trials {
        let nulls = trial.nulls.iter().map(|null| match is_wide {
            true => format!("{} {}", null.column, null.rows),
            false => null.column.clone(),
        });
        let mut cells = vec![
            trial.entity.clone(),
            trial.sampled.to_string(),
            trial.filtered.to_string(),
            trial.fit.to_string(),
            trial.failed().to_string(),
            nulls.collect::<Vec<_>>().join(", "),
        ];
        if is_wide {
            cells.push(trial.notes.join("; "));
        }
        table.row(cells);
    }
    let mut text = table.render();
    for trial in trials {
        if let Some(stops) = &trial.stops {
            let _ = writeln!(text, "{} would stop the run: {stops}", trial.entity);
        }
        // In a table nobody would miss it; here an entity that was not tried looks like one without rows.
        let untried = trial.notes.iter().filter(|note| note.contains("was tried"));
        for note in untried.filter(|_| !is_wide) {
            let _ = writeln!(text, "{}: {note}", trial.entity);
        }
    }
    text
}

fn errors(trials: &[Trial]) -> String {
    if trials.iter().all(|trial| trial.errors.is_empty()) {
        return String::new();
    }
    let mut table = Table::new(&[
        ("entity", Align::Left),
        ("code", Align::Left),
        ("rows", Align::Right),
        ("example-key", Align::Left),
        ("at", Align::Left),
        ("message", Align::Left),
    ]);
    for trial in trials {
        for error in &trial.errors {
            table.row([
                trial.entity.clone(),
                error.code.clone(),
                error.rows.to_string(),
                human::clip(&error.example_key, 40),
                error.at.clone(),
                error.message.clone(),
            ]);
        }
    }
    table.render()
}

fn load(load: &Load) -> String {
    let failing = match load.failing {
        Some(failing) => format!(", about {failing} fail"),
        None => String::new(),
    };
    let time = match load.seconds {
        Some(seconds) => format!(
            ", about {} at the sample's pace, the rebuild of keys apart",
            human::seconds(seconds)
        ),
        None => String::new(),
    };
    format!(
        "estimate: about {} rows are written{failing}{time}; {} of rows and indexes, {} of id map, up to {} of WAL\n",
        load.rows,
        mebibytes(load.data_bytes),
        mebibytes(load.map_bytes),
        mebibytes(load.wal_bytes),
    )
}

fn mebibytes(bytes: i64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    let scaled = bytes as f64 / f64::from(1 << 20);
    format!("{scaled:.1} MiB")
}

#[cfg(test)]
mod tests {
    use proto::domain::preflight::{Place, PredictedError};

    use super::*;

    #[test]
    fn what_did_not_pass_is_followed_by_its_mend_and_errors_by_their_keys() {
        let preflight = Preflight {
            checks: vec![
                Check {
                    place: Place::Source,
                    name: "encoding".to_owned(),
                    verdict: Verdict::Pass,
                    found: "UTF8".to_owned(),
                    mend: Vec::new(),
                },
                Check {
                    place: Place::Destination,
                    name: "grants".to_owned(),
                    verdict: Verdict::Block,
                    found: "may not insert into t".to_owned(),
                    mend: vec!["grant insert on t to x;".to_owned()],
                },
            ],
            trials: vec![Trial {
                entity: "orders".to_owned(),
                sampled: 10,
                fit: 9,
                errors: vec![PredictedError {
                    code: "23514".to_owned(),
                    message: "a check constraint refuses the row".to_owned(),
                    at: "total_is_positive".to_owned(),
                    rows: 1,
                    example_key: "7".to_owned(),
                }],
                ..Trial::default()
            }],
            ..Preflight::default()
        };
        let text = text(&preflight, "ENTITIES\n", false);
        assert!(
            text.contains("mend destination grants:\n  grant insert on t to x;\n"),
            "{text}"
        );
        assert!(!text.contains("mend source encoding"), "{text}");
        assert!(text.contains("orders  23514     1  7"), "{text}");
    }
}
