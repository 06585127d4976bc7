//! `drover destination uninstall`: nothing of Drover's stays in a database.

use std::collections::BTreeMap;

use controller::rollback::still_need;

use super::machine::{Databases, LocalAgent};
use super::rollback::confirm::Confirm;
use crate::args::UninstallArgs;
use crate::context::Context;
use crate::exit::Code;
use crate::local;
use crate::stop::Stop;

/// Removes schema `drover` from a destination.
pub async fn run(context: &Context, args: UninstallArgs) -> Result<Code, Stop> {
    let asked = Confirm {
        what: "the connection's name",
        name: &args.connection,
        given: args.confirm.as_deref(),
        deed: "remove schema drover with the id map and the ledger",
    };
    let confirm = asked.ask(context).await?;
    match args.local.local {
        false => {
            let remote = context.remote()?;
            remote.uninstall(args.connection.clone(), confirm).await?;
        }
        true => here(context, &args).await?,
    }
    context.say(format!("{}: schema drover is removed", args.connection));
    Ok(Code::Done)
}

async fn here(context: &Context, args: &UninstallArgs) -> Result<(), Stop> {
    let connection = context.connections()?.get(&args.connection)?;
    // Where no records are left, no migration is.
    let known = match local::migrations(context, &args.local).await {
        Ok(known) => known,
        Err(stop) if stop.code() == Code::NotFound => Vec::new(),
        Err(stop) => return Err(stop),
    };
    let known = known.into_iter().map(|found| found.migration).collect();
    refuse(still_need(known, &args.connection).collect())?;
    let databases = Databases {
        connections: BTreeMap::from([(connection.name, connection.options.clone())]),
        destination: connection.options,
    };
    let (shared, agent) = LocalAgent::start(context, &databases, 1);
    let removed = controller::app::uninstall(&args.connection, shared.link).await;
    agent.end().await;
    let needed_by = removed.map_err(|failure| Stop::failed(&failure))?;
    refuse(needed_by)
}

fn refuse(needed_by: Vec<String>) -> Result<(), Stop> {
    match needed_by.as_slice() {
        [] => Ok(()),
        names => Err(Stop::new(
            Code::WrongState,
            "STILL_NEEDED",
            format!("{} still need schema drover there", names.join(", ")),
        )
        .hinting("finalize or delete them first")),
    }
}
