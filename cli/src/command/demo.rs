//! What the demo shows once it has run: the fates of all rows, some old and new ids, some errors.

use controller::store::ErrorFilter;
use proto::domain::record::{EntityStatus, MigrationError, MigrationMapping};
use proto::runtime::clock;
use serde::Serialize;
use sqlx::postgres::PgConnectOptions;

use super::{error, mapping};
use crate::context::Context;
use crate::local;
use crate::render::migration::Report;
use crate::render::record::NamedMapping;
use crate::render::{self, Format, Style};
use crate::stop::Stop;

/// Errors that are shown.
const SHOWN_ERRORS: i64 = 5;

/// The result as one object.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    report: &'a Report,
    mappings: Vec<&'a MigrationMapping>,
    errors: &'a [MigrationError],
}

/// Prints the result of the demo.
pub async fn show(context: &Context, app: &PgConnectOptions, report: &Report) -> Result<(), Stop> {
    let samples = samples(app, report).await;
    let errors = Box::pin(errors(app, report)).await;
    if context.output.is_json() {
        let mappings = samples.iter().map(|(_, mapping)| mapping).collect();
        let shown = Shown {
            report,
            mappings,
            errors: &errors,
        };
        context
            .screen
            .print(&render::object(context.output, &shown)?);
        return Ok(());
    }
    let mut text = format!("\n{}", report.render_result(clock::now()));
    text.push_str("\nEvery row of the source has one fate:\n");
    text.push_str("source = written + quarantined + held + filtered + skipped\n");
    if !samples.is_empty() {
        let rows: Vec<NamedMapping> = samples
            .iter()
            .map(|(entity, one)| NamedMapping::of(one, Some(entity)))
            .collect();
        let style = Style {
            format: Format::Table,
            has_headers: true,
        };
        text.push_str("\nSome rows with their old and new ids:\n\n");
        text.push_str(&render::columns(style, &rows, clock::now()));
    }
    if !errors.is_empty() {
        text.push_str("\nThe first rows that were set aside:\n\n");
        text.push_str(&error::table(&errors));
    }
    context.screen.print(&text);
    Ok(())
}

/// One row of every entity, with the entity's name.
async fn samples(app: &PgConnectOptions, report: &Report) -> Vec<(String, MigrationMapping)> {
    let mut samples = Vec::new();
    let name = report.migration.name.as_str();
    for entity in report
        .entities
        .iter()
        .filter(|one| one.status != EntityStatus::Skipped)
    {
        // The first rows may be filtered or set aside; the last one that was processed may not.
        let last = entity.last_processed_id.clone().into_iter();
        for id in ["1", "2", "3"].map(str::to_owned).into_iter().chain(last) {
            let key = mapping::key(&[id]);
            let found =
                agent::sink::lookup::lookup_mapping(app, Some(name), &entity.entity, &key).await;
            if let Ok(Some(one)) = found.map(|found| found.into_iter().next()) {
                samples.push((entity.entity.clone(), one));
                break;
            }
        }
    }
    samples
}

async fn errors(app: &PgConnectOptions, report: &Report) -> Vec<MigrationError> {
    let read = async {
        local::open(app)
            .await?
            .errors(
                report.migration.id,
                &ErrorFilter::default(),
                SHOWN_ERRORS,
                None,
            )
            .await
    };
    read.await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the errors cannot be read");
        Vec::new()
    })
}
