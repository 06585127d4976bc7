//! `drover migration`: one file per kind of verb.

mod create;
mod delete;
mod go_on;
mod plan;
mod read;
mod stop;
mod watch;

pub use plan::Planned;

use crate::args::MigrationCommand;
use crate::context::Context;
use crate::exit::Code;
use crate::stop::Stop;

/// Runs one verb.
pub async fn run(context: &Context, command: MigrationCommand) -> Result<Code, Stop> {
    match command {
        MigrationCommand::Create(args) => create::create(context, args).await,
        MigrationCommand::Plan(args) => Box::pin(plan::plan(context, args)).await,
        MigrationCommand::Start(args) => go_on::start(context, args).await,
        MigrationCommand::List(args) => read::list(context, &args).await,
        MigrationCommand::Get(args) => read::get(context, &args).await,
        MigrationCommand::Watch(args) => Box::pin(watch::watch(context, &args)).await,
        MigrationCommand::Wait(args) => Box::pin(watch::wait(context, &args)).await,
        MigrationCommand::Pause(args) => Box::pin(stop::pause(context, args)).await,
        MigrationCommand::Resume(args) => Box::pin(go_on::resume(context, args)).await,
        MigrationCommand::Rollback(args) => {
            Box::pin(super::rollback::migration(context, args)).await
        }
        MigrationCommand::Cancel(args) => Box::pin(stop::cancel(context, args)).await,
        MigrationCommand::Finalize(args) => Box::pin(stop::finalize(context, args)).await,
        MigrationCommand::Set(args) => Box::pin(stop::set(context, args)).await,
        MigrationCommand::Delete(args) => Box::pin(delete::run(context, args)).await,
    }
}
