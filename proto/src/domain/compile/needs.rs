//! What an entity needs beside its own table: entities that come first, tables that its SELECT reads.

use std::collections::BTreeSet;

use super::super::catalog::TableName;
use super::super::graph;
use super::super::plan::{Entity, Ordered, Step};
use super::super::rules::{EntityRows, Others};
use super::resolve::Resolved;
use super::{Context, joins, matching, polymorphic};

/// Names of the entities that come first: explicit ones and those behind foreign keys, never the
/// entity itself where only a foreign key says so.
pub(super) fn dependencies<'a>(entity: &'a Resolved<'_>) -> BTreeSet<&'a str> {
    let explicit = entity
        .entity
        .dependency_entities
        .iter()
        .map(|name| name.0.as_str());
    let like = entity.entity.id.as_ref().and_then(|id| id.like.as_ref());
    let mut behind_keys: Vec<&str> = like.iter().map(|name| name.0.as_str()).collect();
    for (_, declared) in entity.entity.polymorphic.iter().flat_map(Ordered::iter) {
        behind_keys.extend(declared.types.iter().map(|(_, entity)| entity.0.as_str()));
    }
    for (_, pipeline) in entity.entity.transformation_rules.iter() {
        pipeline.walk(&mut |entry| {
            if let Step::Fk(fk) = &entry.step
                && fk.deferred != Some(true)
            {
                behind_keys.push(fk.entity.0.as_str());
            }
        });
    }
    let others = behind_keys
        .into_iter()
        .filter(|name| *name != entity.name());
    explicit.chain(others).collect()
}

/// Names of the entities whose rows may come later than those that refer to them.
fn deferred<'a>(entity: &'a Resolved<'_>) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for (_, pipeline) in entity.entity.transformation_rules.iter() {
        pipeline.walk(&mut |entry| {
            if let Step::Fk(fk) = &entry.step
                && fk.deferred == Some(true)
            {
                names.insert(fk.entity.0.as_str());
            }
        });
    }
    names
}

/// Tells every entity which others wait for it while it waits for them, by a deferred reference.
pub(super) fn tie(all: &mut [Resolved<'_>]) {
    let names: Vec<String> = all.iter().map(|entity| entity.name().to_owned()).collect();
    let edges: Vec<Vec<usize>> = all
        .iter()
        .map(|entity| {
            let before = dependencies(entity).into_iter().chain(deferred(entity));
            let place = |name: &str| names.iter().position(|known| known == name);
            before.filter_map(place).collect()
        })
        .collect();
    for (entity, knot) in all.iter_mut().zip(graph::knots(&edges)) {
        if knot.len() > 1 {
            entity.knot = knot.into_iter().map(|at| names[at].clone()).collect();
        }
    }
}

/// What rules can look at beside their own row.
pub(super) fn others<'a>(context: &Context<'a>, all: &[Resolved<'a>]) -> Others<'a> {
    let rows = |entity: &Resolved<'a>| {
        Some(EntityRows {
            name: entity.entity.entity.0.as_str(),
            table: entity.source?,
            rows: joins::rows(entity)?,
        })
    };
    Others {
        tables: &context.source.tables,
        entities: all.iter().filter_map(rows).collect(),
    }
}

/// Tables that the SELECT reads beside the source.
pub(super) fn also(entity: &Resolved<'_>, all: &[Resolved<'_>]) -> Vec<TableName> {
    let (tables, entities) = beside(entity.entity);
    let is_meant = |other: &&Resolved<'_>| entities.contains(&other.name());
    let others = all.iter().filter(is_meant).map(|other| other.entity);
    let others = others.flat_map(|other| {
        let joins = other.joins.iter().map(|join| join.table.0.as_str());
        joins.chain([other.source_entity.0.as_str()])
    });
    let names: BTreeSet<TableName> = tables
        .into_iter()
        .chain(others.map(TableName::parse))
        .collect();
    let own = entity.source.map(|table| &table.name);
    names.into_iter().filter(|name| Some(name) != own).collect()
}

/// Names of the source tables that an entity's rules read beside its own, and of the entities whose
/// rows they look at.
pub(super) fn beside(entity: &Entity) -> (Vec<TableName>, Vec<&str>) {
    let mut tables: Vec<TableName> = Vec::new();
    let mut entities: Vec<&str> = Vec::new();
    tables.extend(
        entity
            .joins
            .iter()
            .map(|join| TableName::parse(&join.table)),
    );
    let source = TableName::parse(&entity.source_entity);
    for (_, declared) in entity.polymorphic.iter().flat_map(Ordered::iter) {
        tables.extend(polymorphic::type_table(declared, &source));
    }
    let matched = matching::pipelines(entity)
        .into_iter()
        .flat_map(Ordered::iter);
    for (_, pipeline) in entity.transformation_rules.iter().chain(matched) {
        pipeline.walk(&mut |entry| match &entry.step {
            Step::Lookup(lookup) => {
                tables.extend(lookup.table.as_ref().map(|name| TableName::parse(name)));
                entities.extend(lookup.entity.as_ref().map(|name| name.0.as_str()));
            }
            Step::ArrayAgg(rule) => tables.push(TableName::parse(&rule.source)),
            _ => {}
        });
    }
    (tables, entities)
}
