//! Columns that are written from more than one row, or from one of several references.

use super::super::super::compiled::{IdCall, IdsCall, KeyPart, ParentRef, ValueRule, WriteColumn};
use super::super::gather::Gathered;
use super::super::polymorphic;
use super::Assembly;

impl Assembly {
    /// An array of child rows.
    pub(super) fn write_array(&mut self, column: &str, gathered: &Gathered) {
        let field = self.fields.index(&gathered.draft.sql);
        let Some(references) = &gathered.references else {
            return self.write_field(column, &gathered.draft, field);
        };
        let part = KeyPart {
            field,
            text: references.text,
        };
        let dropped = references
            .dropped
            .as_ref()
            .map(|sql| self.fields.index(sql));
        if references.is_id {
            let call = IdsCall {
                entity: references.named.clone(),
                part,
                dropped,
            };
            self.columns
                .push(WriteColumn::new(column, ValueRule::Ids(call)));
        } else {
            self.write_field(column, &gathered.draft, field);
        }
        self.parents.push(ParentRef {
            entity: references.parent.clone(),
            column: column.to_owned(),
            parts: vec![part],
            is_each: true,
        });
    }

    /// A reference whose target differs by row.
    pub(super) fn write_choice(&mut self, column: &str, reference: &polymorphic::Reference) {
        let mut calls = Vec::new();
        for target in &reference.targets {
            let parts = vec![self.part(&target.part, false)];
            self.parents.push(ParentRef {
                entity: target.entity.clone(),
                column: column.to_owned(),
                parts: parts.clone(),
                is_each: false,
            });
            calls.push(IdCall {
                entity: target.named.clone(),
                parts,
            });
        }
        match &reference.kept {
            Some(kept) => self.write_draft(column, kept),
            None => {
                let value = ValueRule::FirstId(calls);
                self.columns.push(WriteColumn::new(column, value));
            }
        }
    }
}
