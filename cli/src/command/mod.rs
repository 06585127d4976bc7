//! One file per noun (or verb that stands alone), each with its doors only: read the arguments, call,
//! print.

mod agents;
mod completion;
mod confirm;
mod decide;
mod demo;
mod dev;
mod entity;
mod error;
mod file;
mod follow;
mod lists;
pub mod machine;
mod mapping;
mod migration;
mod plan;
mod rollback;
mod rules;
pub mod run;
mod schema;
mod stored_rules;
mod uninstall;
mod validation;

pub use migration::Planned;

use controller::entity_command::EntityCommand as Steered;

use crate::args::{
    BatchCommand, CheckpointCommand, Command, DestinationCommand, EntityCommand, ErrorCommand,
    MappingCommand, RulesCommand,
};
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
        Command::Migration(command) => Box::pin(migration::run(context, command)).await,
        Command::Entity(command) => Box::pin(entity(context, command)).await,
        Command::Destination(DestinationCommand::Uninstall(args)) => {
            Box::pin(uninstall::run(context, args)).await
        }
        Command::Batch(BatchCommand::List(args)) => lists::batches(context, args).await,
        Command::Checkpoint(CheckpointCommand::List(args)) => {
            lists::checkpoints(context, args).await
        }
        Command::Error(command) => Box::pin(errors(context, command)).await,
        Command::Mapping(MappingCommand::Lookup(args)) => mapping::lookup(context, &args).await,
        Command::Mapping(MappingCommand::Reverse(args)) => mapping::reverse(context, &args).await,
        Command::Rules(RulesCommand::Check { plan }) => rules::check(context, &plan).await,
        Command::Rules(RulesCommand::Explain { entity, plan }) => {
            rules::explain(context, &entity, &plan).await
        }
        Command::Rules(RulesCommand::Schema) => rules::schema(context),
        Command::Rules(RulesCommand::List(args)) => stored_rules::list(context, &args).await,
        Command::Rules(RulesCommand::Get(args)) => stored_rules::get(context, &args).await,
        Command::Validation(command) => Box::pin(validation::run(context, command)).await,
        Command::Schema(command) => Box::pin(schema::run(context, command)).await,
        Command::Agent(command) => Box::pin(agents::run(context, command)).await,
        Command::Completion(args) => completion::run(context, &args),
        Command::ExitCodes => {
            context.screen.print(&exit::text());
            Ok(Code::Done)
        }
    }
}

async fn entity(context: &Context, command: EntityCommand) -> Result<Code, Stop> {
    let (what, args) = match command {
        EntityCommand::List(args) => return lists::entities(context, args).await,
        EntityCommand::Reset(args) => return Box::pin(rollback::reset(context, args)).await,
        EntityCommand::Pause(args) => (Steered::Pause, args),
        EntityCommand::Resume(args) => (Steered::Resume, args),
        EntityCommand::Retry(args) => (Steered::Retry, args),
        EntityCommand::Skip(args) => (Steered::Skip, args),
    };
    entity::steer(context, what, args).await
}

async fn errors(context: &Context, command: ErrorCommand) -> Result<Code, Stop> {
    match command {
        ErrorCommand::List(args) => error::list(context, &args).await,
        ErrorCommand::Group(args) => error::group(context, &args).await,
        ErrorCommand::Get(args) => error::get(context, &args).await,
        ErrorCommand::Retry(args) => decide::retry(context, args).await,
        ErrorCommand::Skip(args) => decide::skip(context, args).await,
        ErrorCommand::Export(args) => error::export(context, &args).await,
    }
}
