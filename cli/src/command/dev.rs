//! `drover dev`: a private PostgreSQL, the demo clinic, and what to try with them.

use std::path::PathBuf;

use controller::app::RunOutcome;

use super::machine::Databases;
use super::run::{self, Ended, Job};
use super::{demo, plan};
use crate::args::DevArgs;
use crate::context::Context;
use crate::dev::clinic;
use crate::dev::server::{Server, Wanted};
use crate::exit::Code;
use crate::stop::Stop;

/// Partitions at the same time: the plan of the demo sets a lower limit.
const LANES: u32 = 16;
/// What to do after the demo.
const NEXT: &str = "
What to try next:
  make dev                 the same, and the servers stay up to be looked at (drover dev --demo)
  deploy/demo/plan.yaml    the plan of this demo, a tour of the language
  drover rules schema      everything that a plan can say
";

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
        context.say(NEXT);
    } else {
        explain(context, &server, args.demo);
        token.cancelled().await;
    }
    context.say("stopping the private server");
    if let Some(path) = server.kept() {
        context.say(format!("its data stay in {}", path.display()));
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
    clinic::create(&server).await?;
    if args.demo {
        context.say(format!("loading the demo clinic at scale {}", args.scale));
        clinic::load(&server, args.scale).await?;
    }
    Ok(server)
}

async fn show_demo(context: &Context, server: &Server) -> Result<Code, Stop> {
    let file = plan::parse(clinic::PLAN.to_owned())?;
    let app = server.options(clinic::APP);
    let connections = [
        (
            file.plan.source.connection.to_string(),
            server.options(clinic::LEGACY),
        ),
        (file.plan.destination.connection.to_string(), app.clone()),
    ];
    let databases = Databases {
        connections: connections.into(),
        destination: app.clone(),
    };
    let job = Job {
        file,
        databases,
        metadata: app.clone(),
        lanes: LANES,
    };
    context.say("migrating: the same as `drover run deploy/demo/plan.yaml`");
    let ended = Box::pin(run::drive(context, job)).await?;
    if let Some(report) = &ended.report {
        demo::show(context, &app, report).await?;
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

/// The connections to use from another terminal, and what to try with them.
fn explain(context: &Context, server: &Server, has_demo: bool) {
    let path = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("drover"));
    let drover = path.display();
    let mut text = String::from("# In another terminal:\n");
    for (name, database) in [("LEGACY", clinic::LEGACY), ("APP", clinic::APP)] {
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
