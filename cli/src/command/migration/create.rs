//! `drover migration create` and `plan`: a plan goes to a controller.

use serde_json::json;

use crate::args::{CreateArgs, PlanArgs};
use crate::command::file;
use crate::context::Context;
use crate::exit::Code;
use crate::render::{self, Format};
use crate::stop::Stop;

/// Stores a plan as a migration, or only checks it.
pub async fn create(context: &Context, args: CreateArgs) -> Result<Code, Stop> {
    let text = file::for_controller(&args.file)?;
    let remote = context.remote()?;
    if args.validate_only {
        let checked = remote.validate(text, args.region).await?;
        if context.output.is_json() {
            let text = render::object(context.output, &checked)?;
            context.screen.print(&text);
        }
        context.say(format!(
            "plan {} is valid: {} entities; nothing was stored",
            checked.name, checked.total_entities
        ));
        return Ok(Code::Done);
    }
    let migration = remote.create(text, args.region).await?;
    context.show(&migration)?;
    context.say(format!("next: drover migration start {}", migration.name));
    Ok(Code::Done)
}

/// Shows what a plan comes to.
pub async fn plan(context: &Context, args: PlanArgs) -> Result<Code, Stop> {
    let text = file::for_controller(&args.file)?;
    let (name, entities) = context.remote()?.plan(text, args.region).await?;
    match context.output {
        Format::Json => {
            let plan = json!({"name": name, "entities": entities});
            context
                .screen
                .print(&render::object(context.output, &plan)?);
        }
        Format::Jsonl | Format::Table | Format::Wide | Format::Name => {
            context.show_list(&entities)?;
        }
    }
    context.say(format!("plan {name} is valid: {} entities", entities.len()));
    Ok(Code::Done)
}
