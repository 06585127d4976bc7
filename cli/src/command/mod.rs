//! One file per noun (or verb that stands alone), each with its doors only: read the arguments, call,
//! print.

mod demo;
mod dev;
mod error;
mod machine;
mod mapping;
mod migration;
mod plan;
mod rules;
pub mod run;

use crate::args::{Command, ErrorCommand, MappingCommand, MigrationCommand, RulesCommand};
use crate::context::Context;
use crate::exit::{self, Code};
use crate::stop::Stop;

/// Schema of Drover's own records.
pub const METADATA_SCHEMA: &str = "drover_meta";

/// Runs one command.
pub async fn run(context: &Context, command: Command) -> Result<Code, Stop> {
    match command {
        Command::Run(args) => Box::pin(run::run(context, args)).await,
        Command::Dev(args) => Box::pin(dev::run(context, args)).await,
        Command::Migration(MigrationCommand::Get { name, local }) => {
            migration::get(context, &name, &local).await
        }
        Command::Migration(MigrationCommand::List { local }) => {
            migration::list(context, &local).await
        }
        Command::Error(ErrorCommand::List(args)) => error::list(context, &args).await,
        Command::Mapping(MappingCommand::Lookup(args)) => mapping::lookup(context, &args).await,
        Command::Rules(RulesCommand::Check { plan }) => rules::check(context, &plan).await,
        Command::Rules(RulesCommand::Explain { entity, plan }) => {
            rules::explain(context, &entity, &plan).await
        }
        Command::Rules(RulesCommand::Schema) => rules::schema(context),
        Command::ExitCodes => {
            context.screen.print(&exit::text());
            Ok(Code::Done)
        }
    }
}
