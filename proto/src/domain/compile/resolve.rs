//! What an entity says of itself, looked up in both catalogs: tables, key, id, settings.
//!
//! Done for every entity before the first rule is compiled, since foreign keys need their parents.

use super::super::catalog::{Catalog, Column, Table, TableName};
use super::super::compiled::{ConstraintMode, EntitySettings, IdRule, MaxQuarantined, RowAction};
use super::super::plan::{
    Constraints, Defaults, Entity, OnRowError, Share, Unfit, UnmappedColumns,
};
use super::{Context, identity, key};

/// Rows a batch starts with where the plan says nothing.
const BATCH_SIZE: u32 = 20_000;

/// An entity and what the catalogs say of it; what is missing has its problem noted.
pub(super) struct Resolved<'a> {
    pub entity: &'a Entity,
    /// `entities[3]`.
    pub path: String,
    pub source: Option<&'a Table>,
    pub destination: Option<&'a Table>,
    /// Key columns of the source table.
    pub key: Option<Vec<&'a Column>>,
    /// What the new rows are called.
    pub id: Option<IdRule>,
    pub timezone: Option<&'a str>,
    pub is_unmapped_ignored: bool,
    pub on_row_error: Unfit,
    pub settings: EntitySettings,
    /// Entities that wait for it while it waits for them, itself among them; none where none do.
    pub knot: Vec<String>,
}

impl Resolved<'_> {
    /// The plan's name of the entity.
    pub(super) fn name(&self) -> &str {
        &self.entity.entity
    }

    /// The entity that names its ids: itself, or the one whose ids it shares.
    pub(super) fn named(&self) -> &str {
        match &self.id {
            Some(IdRule::Uuid5 { entity, .. }) => entity,
            Some(IdRule::Keep { .. } | IdRule::None { .. }) | None => self.name(),
        }
    }

    /// `on_row_error` as the agent has it.
    pub(super) fn row_action(&self) -> RowAction {
        match self.on_row_error {
            Unfit::Fail => RowAction::Fail,
            Unfit::Quarantine | Unfit::SetNull | Unfit::Default(_) => RowAction::Quarantine,
        }
    }
}

/// Looks an entity up.
pub(super) fn resolve<'a>(context: &Context<'a>, index: usize, entity: &'a Entity) -> Resolved<'a> {
    let path = format!("entities[{index}]");
    let defaults = context.plan.defaults.as_ref();
    let table = |catalog: &'a Catalog, name: &str, key: &str| {
        find(context, catalog, name, &format!("{path}.{key}"))
    };
    let source = table(context.source, &entity.source_entity, "source_entity");
    let destination = table(
        context.destination,
        &entity.destination_entity,
        "destination_entity",
    );
    let key = source.and_then(|table| key::resolve(context, entity, table, &path));
    let id = destination.and_then(|table| identity::resolve(context, entity, table, &path));
    let timezone = entity
        .timezone
        .as_ref()
        .or(defaults.and_then(|it| it.timezone.as_ref()));
    let unmapped = pick(&entity.unmapped_columns, defaults, |it| {
        &it.unmapped_columns
    });
    let on_row_error = pick(&entity.on_row_error, defaults, |it| &it.on_row_error);
    Resolved {
        entity,
        source,
        destination,
        key,
        id,
        timezone: timezone.map(|zone| zone.0.as_str()),
        is_unmapped_ignored: unmapped == Some(UnmappedColumns::Ignore),
        on_row_error: match on_row_error {
            Some(OnRowError::Fail) => Unfit::Fail,
            Some(OnRowError::Quarantine) | None => Unfit::Quarantine,
        },
        settings: settings(entity, defaults),
        knot: Vec::new(),
        path,
    }
}

/// The entity's own word, else the default's.
fn pick<T: Clone>(
    own: &Option<T>,
    defaults: Option<&Defaults>,
    default: impl Fn(&Defaults) -> &Option<T>,
) -> Option<T> {
    own.clone()
        .or_else(|| defaults.and_then(|it| default(it).clone()))
}

fn settings(entity: &Entity, defaults: Option<&Defaults>) -> EntitySettings {
    EntitySettings {
        batch_size: pick(&entity.batch_size, defaults, |it| &it.batch_size)
            .map_or(BATCH_SIZE, |size| size.0),
        max_quarantined: match pick(&entity.max_quarantined, defaults, |it| &it.max_quarantined) {
            Some(Share::Rows(rows)) => MaxQuarantined::Rows(rows),
            Some(Share::Part(part)) => MaxQuarantined::Share(part),
            None => MaxQuarantined::Rows(0),
        },
        constraints: match pick(&entity.constraints, defaults, |it| &it.constraints) {
            Some(Constraints::Rebuild) => ConstraintMode::Rebuild,
            Some(Constraints::Keep) => ConstraintMode::Keep,
            Some(Constraints::Auto) | None => ConstraintMode::Auto,
        },
    }
}

fn find<'a>(
    context: &Context<'a>,
    catalog: &'a Catalog,
    name: &str,
    path: &str,
) -> Option<&'a Table> {
    let name = TableName::parse(name);
    let found = catalog.table(&name);
    if found.is_none() {
        let (schema, table) = (&name.schema, &name.name);
        context.log.add(
            path,
            format!("no table \"{table}\" in schema \"{schema}\" there"),
        );
    }
    found
}
