//! `drover dev`: a private PostgreSQL, the demo clinic, and what to try with them.

use std::path::PathBuf;

use controller::app::RunOutcome;
use proto::domain::record::{EntityStatus, MigrationError, MigrationMapping};
use serde::Serialize;
use sqlx::postgres::PgConnectOptions;

use super::machine::Databases;
use super::run::{self, Ended, Job};
use super::{error, mapping, plan};
use crate::args::DevArgs;
use crate::context::Context;
use crate::dev::demo;
use crate::dev::server::{Server, Wanted};
use crate::exit::Code;
use crate::local;
use crate::render::migration::Report;
use crate::render::table::Table;
use crate::render::{self, Format};
use crate::stop::Stop;

/// Partitions at the same time: the plan of the demo sets a lower limit.
const LANES: u32 = 16;
/// Errors that are shown.
const SHOWN_ERRORS: i64 = 5;

/// What the demo shows.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    report: &'a Report,
    mappings: Vec<MigrationMapping>,
    errors: Vec<MigrationError>,
}

/// Brings everything up, shows it, and takes it down again.
pub async fn run(context: &Context, args: DevArgs) -> Result<Code, Stop> {
    let token = context.shutdown.token();
    // Ctrl-C drops what is under way, and with it the server.
    let server = tokio::select! {
        biased;
        () = token.cancelled() => return Err(Stop::interrupted("stopped")),
        server = Box::pin(start(context, &args)) => server?,
    };
    let code = match args.demo {
        true => Box::pin(show_demo(context, &server)).await?,
        false => Code::Done,
    };
    if args.exit_after {
        context.say("stopping the private server");
        return Ok(code);
    }
    explain(context, &server, args.demo);
    token.cancelled().await;
    context.say("stopping the private server");
    match server.kept() {
        Some(path) => context.say(format!("its data stay in {}", path.display())),
        None => context.say("its data are removed"),
    }
    Ok(code)
}

async fn start(context: &Context, args: &DevArgs) -> Result<Server, Stop> {
    context.say("starting a private PostgreSQL");
    let wanted = Wanted {
        environment: &context.environment,
        data_dir: args.data_dir.as_deref(),
        keep: args.keep,
    };
    let server = Server::start(wanted).await?;
    context.say(format!("PostgreSQL is ready at {}", server.address()));
    demo::create(&server).await?;
    if args.demo {
        context.say(format!("loading the demo clinic at scale {}", args.scale));
        demo::load(&server, args.scale).await?;
    }
    Ok(server)
}

async fn show_demo(context: &Context, server: &Server) -> Result<Code, Stop> {
    let file = plan::parse(demo::PLAN.to_owned())?;
    let app = server.options(demo::APP);
    let connections = [
        (
            file.plan.source.connection.to_string(),
            server.options(demo::LEGACY),
        ),
        (file.plan.destination.connection.to_string(), app.clone()),
    ];
    let databases = Databases {
        connections: connections.into(),
        destination: app.clone(),
    };
    let name = file.plan.name.to_string();
    let job = Job {
        file,
        databases,
        metadata: app.clone(),
        lanes: LANES,
    };
    context.say(format!("migrating: drover run {}", "plan.yaml"));
    let ended = Box::pin(run::drive(context, job)).await?;
    if let Some(report) = &ended.report {
        let mappings = samples(&app, &name, report).await;
        let errors = errors(&app, report).await;
        show(
            context,
            &Shown {
                report,
                mappings,
                errors,
            },
        )?;
    }
    conclude(context, &ended)
}

/// The exit code of the demo: bad rows are part of it.
fn conclude(context: &Context, ended: &Ended) -> Result<Code, Stop> {
    if let (RunOutcome::Completed { .. }, Some(report)) = (&ended.outcome, &ended.report)
        && !report.total().is_balanced()
    {
        return Err(Stop::new(
            Code::Failed,
            "UNBALANCED",
            "rows are unaccounted for",
        ));
    }
    run::conclude(context, ended, false)
}

/// One row of every entity whose key is easy to guess.
async fn samples(app: &PgConnectOptions, name: &str, report: &Report) -> Vec<MigrationMapping> {
    let mut mappings = Vec::new();
    let entities = report
        .entities
        .iter()
        .filter(|one| one.status != EntityStatus::Skipped);
    for entity in entities {
        // The first rows may be filtered or set aside; the last one that was processed may not.
        let last = entity.last_processed_id.clone().into_iter();
        for id in ["1".to_owned(), "2".to_owned(), "3".to_owned()]
            .into_iter()
            .chain(last)
        {
            let key = mapping::key(&[id]);
            let found =
                agent::sink::lookup::lookup_mapping(app, Some(name), &entity.entity, &key).await;
            if let Ok(Some(one)) = found.map(|found| found.into_iter().next()) {
                mappings.push(one);
                break;
            }
        }
    }
    mappings
}

async fn errors(app: &PgConnectOptions, report: &Report) -> Vec<MigrationError> {
    let read = async {
        local::open(app)
            .await?
            .errors(report.migration.id, None, SHOWN_ERRORS, None)
            .await
    };
    read.await.unwrap_or_default()
}

fn show(context: &Context, shown: &Shown<'_>) -> Result<(), Stop> {
    if context.output != Format::Table {
        context
            .screen
            .print(&render::object(context.output, shown)?);
        return Ok(());
    }
    let mut text = String::from("\nEvery row of the source has one fate:\n");
    text.push_str("source = written + quarantined + held + filtered + skipped\n\n");
    text.push_str(&shown.report.table());
    if !shown.mappings.is_empty() {
        let mut table = Table::new(&mapping::COLUMNS);
        shown
            .mappings
            .iter()
            .for_each(|one| table.row(mapping::row(&one.entity_type, one)));
        text.push_str("\nSome rows with their old and new ids:\n\n");
        text.push_str(&table.render());
    }
    if !shown.errors.is_empty() {
        text.push_str("\nThe first rows that were set aside:\n\n");
        text.push_str(&error::table(&shown.errors));
    }
    context.screen.print(&text);
    context.say(
        "\nWhat to try next:\n  \
         drover dev --demo            the same, and the servers stay up to be looked at\n  \
         deploy/demo/plan.yaml        the plan of this demo, a tour of the language\n  \
         drover rules schema          everything that a plan can say",
    );
    Ok(())
}

/// The connections to use from another terminal, and what to try with them.
fn explain(context: &Context, server: &Server, has_demo: bool) {
    let path = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("drover"));
    let drover = path.display();
    let mut text = String::from("# In another terminal:\n");
    for (name, database) in [("LEGACY", demo::LEGACY), ("APP", demo::APP)] {
        text.push_str(&format!(
            "export DROVER_CONNECTION_{name}='{}'\n",
            server.url(database)
        ));
    }
    let commands: &[&str] = match has_demo {
        true => &[
            "migration list --local",
            "migration get demo-clinic --local",
            "error list --entity profiles --local",
            "mapping lookup offices 1 --local",
            "rules explain orders --plan deploy/demo/plan.yaml",
            "run deploy/demo/plan.yaml",
        ],
        false => &["rules check plan.yaml", "run plan.yaml"],
    };
    for command in commands {
        text.push_str(&format!("{drover} {command}\n"));
    }
    text.push_str("psql \"$DROVER_CONNECTION_APP\"\n");
    context.screen.print(&text);
    context.say("ready; Ctrl-C stops it");
}
