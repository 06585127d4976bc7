//! `drover entity list`, `drover batch list`, `drover checkpoint list`.

use proto::domain::record::EntityStatus;

use crate::args::{BatchListArgs, CheckpointListArgs, EntityListArgs};
use crate::context::Context;
use crate::exit::Code;
use crate::local;
use crate::stop::Stop;

/// Lists entities in dependency order.
pub async fn entities(context: &Context, args: EntityListArgs) -> Result<Code, Stop> {
    let states: Vec<EntityStatus> = args.state.into_iter().map(EntityStatus::from).collect();
    if args.local.local {
        let found = local::find(context, &args.local, &args.name).await?;
        let entities = found.store.entities(found.migration.id).await;
        let mut entities = entities.map_err(|error| local::read_failed(&error))?;
        entities.retain(|entity| states.is_empty() || states.contains(&entity.status));
        return context.show_list(&entities);
    }
    let remote = context.remote()?;
    let listed = remote
        .entities(&args.name, &states, args.limit.limit)
        .await?;
    context.show_listed(&listed)
}

/// Lists batches, the newest last.
pub async fn batches(context: &Context, args: BatchListArgs) -> Result<Code, Stop> {
    let remote = context.remote()?;
    let listed = remote
        .batches(&args.name, &args.entity, args.limit.limit)
        .await?;
    context.show_listed(&listed)
}

/// Lists checkpoints, the newest first.
pub async fn checkpoints(context: &Context, args: CheckpointListArgs) -> Result<Code, Stop> {
    let remote = context.remote()?;
    let listed = remote
        .checkpoints(&args.name, args.entity.as_deref(), args.limit.limit)
        .await?;
    context.show_listed(&listed)
}
