//! References of an entity's rows: the values that are written, and the rows that they hang on.

use super::super::super::compiled::{
    Fault, IdCall, IdRule, KeyPart, LateReference, OrphanAction, OrphanCheck, ParentRef, RefShape,
    ValueRule, WriteColumn,
};
use super::super::super::rules::{Draft, DraftFault, Scope};
use super::super::column::Rule;
use super::super::key;
use super::super::reference::Reference;
use super::super::resolve::Resolved;
use super::Assembly;

/// A reference that a rule makes.
pub(super) struct Referred<'a> {
    /// The parent entity.
    pub entity: &'a str,
    /// The rule.
    pub rule: &'a Rule<'a>,
    /// The parent's key in this row's fields.
    pub parts: Vec<KeyPart>,
    /// Where the references stand.
    pub shape: RefShape,
    /// The parent may come later.
    pub is_deferred: bool,
}

impl Assembly {
    pub(super) fn write_reference(
        &mut self,
        entity: &Resolved<'_>,
        rule: &Rule<'_>,
        reference: &Reference,
    ) {
        let column = rule.column.name.clone();
        // A field that the agent may set to NULL is nobody else's.
        let is_own = reference
            .orphan
            .as_ref()
            .is_some_and(|one| one.fault.is_none());
        let parts: Vec<KeyPart> = match &reference.kept {
            // A kept integer reads the same in both widths: one field serves value and key.
            Some(kept) if kept.ty.is_integer() && kept.agent.is_empty() => {
                vec![self.part(kept, is_own)]
            }
            Some(_) | None => {
                let all = reference.parts.iter();
                all.map(|part| self.part(part, is_own)).collect()
            }
        };
        self.note_orphan(reference, &parts);
        match (&reference.kept, parts.first()) {
            (Some(draft), Some(part)) if is_own => self.write_field(&column, draft, part.field),
            (Some(draft), _) => self.write_draft(&column, draft),
            (None, _) => {
                let call = IdCall {
                    entity: reference.named.clone(),
                    parts: parts.clone(),
                };
                self.columns
                    .push(WriteColumn::new(&column, ValueRule::Id(call)));
            }
        }
        self.refer(
            entity,
            Referred {
                entity: &reference.parent,
                rule,
                parts,
                shape: RefShape::Row,
                is_deferred: reference.is_deferred,
            },
        );
    }

    /// Notes whose rows are referred to: those that come before, those that are settled later, or both.
    pub(super) fn refer(&mut self, entity: &Resolved<'_>, referred: Referred<'_>) {
        let parent = referred.entity.to_owned();
        let column = referred.rule.column.name.clone();
        let is_self = parent == entity.name();
        if is_self || referred.is_deferred || entity.knot.contains(&parent) {
            self.late.push(LateReference {
                entity: parent.clone(),
                column: column.clone(),
                shape: referred.shape.clone(),
                path: referred.rule.path.clone(),
            });
        }
        if !is_self && !referred.is_deferred {
            self.parents.push(ParentRef {
                entity: parent,
                column,
                parts: referred.parts,
                shape: referred.shape,
            });
        }
    }

    /// The entities that are settled with this one after the load.
    pub(super) fn knot(
        &self,
        scope: &Scope<'_>,
        entity: &Resolved<'_>,
        id: &IdRule,
    ) -> Vec<String> {
        let Some(first) = self.late.first() else {
            return entity.knot.clone();
        };
        if matches!(id, IdRule::None { .. }) {
            let message = "rows without an id (kind none) cannot be settled after the load; nothing refers to \
                           them, so leave deferred out";
            scope.log.add(first.path.clone(), message);
        }
        match entity.knot.as_slice() {
            [] => vec![entity.name().to_owned()],
            several => several.to_vec(),
        }
    }

    /// A part of a key and its field, shared with equal expressions or its own.
    pub(super) fn part(&mut self, draft: &Draft, is_own: bool) -> KeyPart {
        let (sql, text) = key::text_of(draft);
        let field = if is_own {
            self.fields.push(sql)
        } else {
            self.fields.index(&sql)
        };
        KeyPart { field, text }
    }

    fn note_orphan(&mut self, reference: &Reference, parts: &[KeyPart]) {
        let (Some(orphan), [part]) = (&reference.orphan, parts) else {
            return;
        };
        let check = OrphanCheck {
            entity: reference.parent.clone(),
            part: *part,
            keys: orphan.keys.clone(),
            exists: orphan.exists.clone(),
            action: OrphanAction::SetNull,
        };
        self.orphans.push((check, orphan.fault.clone()));
    }

    /// The agent's orphan checks, each with the bit of its verdict.
    pub(super) fn finish_orphans(&mut self, drafts: &[DraftFault]) -> Vec<OrphanCheck> {
        let bit = |fault: &Fault| {
            drafts
                .iter()
                .position(|draft| draft.condition.is_none() && draft.fault == *fault)
        };
        std::mem::take(&mut self.orphans)
            .into_iter()
            .filter_map(|(check, fault)| match fault {
                None => Some(check),
                Some(fault) => Some(OrphanCheck {
                    action: OrphanAction::Fault(bit(&fault)?),
                    ..check
                }),
            })
            .collect()
    }
}
