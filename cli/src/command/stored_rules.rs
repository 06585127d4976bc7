//! `drover rules list` and `drover rules get`: the rules that controllers store with plans.

use crate::args::{RulesGetArgs, RulesListArgs};
use crate::context::Context;
use crate::exit::Code;
use crate::render::{self, Format};
use crate::stop::Stop;

/// Lists every version.
pub async fn list(context: &Context, args: &RulesListArgs) -> Result<Code, Stop> {
    let remote = context.remote()?;
    let listed = remote.rules(args.plan.as_deref(), args.limit.limit).await?;
    context.show_listed(&listed)
}

/// Shows one version with everything it says.
pub async fn get(context: &Context, args: &RulesGetArgs) -> Result<Code, Stop> {
    let remote = context.remote()?;
    let rules = remote
        .rules_of(&args.plan, &args.entity, args.version.as_deref())
        .await?;
    match context.output {
        Format::Table | Format::Wide => {
            context.screen.print(&render::record::rules_details(&rules));
            Ok(Code::Done)
        }
        Format::Json | Format::Jsonl | Format::Name => context.show(&rules),
    }
}
