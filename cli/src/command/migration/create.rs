//! `drover migration create`: a plan goes to a controller.

use crate::args::CreateArgs;
use crate::command::file;
use crate::context::Context;
use crate::exit::Code;
use crate::render;
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
