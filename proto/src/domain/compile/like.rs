//! Ids that are shared with the rows of another entity: a reference of the key into the id column.

use super::super::catalog::Table;
use super::super::compiled::IdRule;
use super::super::plan::{Fk, Name, Several};
use super::super::rules::Scope;
use super::column::{Rule, RuleValue};
use super::reference::{self, FkRule};
use super::resolve::Resolved;

/// The reference that fills the id column where the plan says `like`. `None` where it does not, or
/// with problems noted.
pub(super) fn compile<'a>(
    scope: &Scope<'_>,
    entity: &Resolved<'_>,
    all: &[Resolved<'_>],
    table: &'a Table,
) -> Option<Rule<'a>> {
    let like = entity.entity.id.as_ref()?.like.as_ref()?;
    let column = match entity.id.as_ref()? {
        IdRule::Uuid5 { column, .. } | IdRule::Keep { column } => table.column(column)?,
        IdRule::None { .. } => return None,
    };
    let fk = Fk {
        entity: like.clone(),
        cols: Some(Several(scope.key.iter().cloned().map(Name).collect())),
        orphan: None,
        deferred: Default::default(),
        by: Vec::new(),
        each: Default::default(),
        path: Default::default(),
    };
    let path = format!("{}.id.like", entity.path);
    let rule = FkRule {
        steps: &[],
        fk: &fk,
        pipeline_path: &path,
        path: path.clone(),
        column,
    };
    let reference = reference::compile(scope, entity, all, &rule)?;
    Some(Rule {
        column,
        value: RuleValue::Reference(Box::new(reference)),
        columns: Default::default(),
        mentioned: Default::default(),
        path: path.clone(),
    })
}
