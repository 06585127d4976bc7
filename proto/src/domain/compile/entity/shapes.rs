//! Columns that are written from more than one row, or from one of several references.

use super::super::super::compiled::{
    DocumentCall, EachCall, IdCall, IdsCall, KeyPart, KeyText, RefShape, ValueRule, WriteColumn,
};
use super::super::column::Rule;
use super::super::document::Document;
use super::super::gather::Gathered;
use super::super::polymorphic;
use super::super::resolve::Resolved;
use super::Assembly;
use super::references::Referred;

impl Assembly {
    /// An array of child rows.
    pub(super) fn write_array(
        &mut self,
        entity: &Resolved<'_>,
        rule: &Rule<'_>,
        gathered: &Gathered,
    ) {
        let column = &rule.column.name;
        let field = self.fields.index(&gathered.draft.sql);
        if let Some((element, is_distinct)) = gathered.each {
            self.drafts.extend(gathered.draft.faults.iter().cloned());
            let call = EachCall {
                field,
                steps: gathered.draft.agent.clone(),
                element,
                is_distinct,
            };
            let value = ValueRule::EachSteps(call);
            return self.columns.push(WriteColumn::new(column, value));
        }
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
                width: references.width,
                dropped,
            };
            self.columns
                .push(WriteColumn::new(column, ValueRule::Ids(call)));
        } else {
            self.write_field(column, &gathered.draft, field);
        }
        self.refer(
            entity,
            Referred {
                entity: &references.parent,
                rule,
                parts: vec![part],
                shape: RefShape::Each,
                is_deferred: references.is_deferred,
            },
        );
    }

    /// JSON in which references stand.
    pub(super) fn write_document(
        &mut self,
        entity: &Resolved<'_>,
        rule: &Rule<'_>,
        document: &Document,
    ) {
        let mut references = Vec::new();
        for inner in &document.references {
            let mut reference = inner.reference.clone();
            reference.found = self.fields.index(&inner.found);
            let part = KeyPart {
                field: reference.found,
                text: KeyText::Text,
            };
            self.refer(
                entity,
                Referred {
                    entity: &inner.parent,
                    rule,
                    parts: vec![part],
                    shape: RefShape::Document(reference.path.clone()),
                    is_deferred: inner.is_deferred,
                },
            );
            references.push(reference);
        }
        let call = DocumentCall {
            field: self.fields.index(&document.draft.sql),
            is_jsonb: document.is_jsonb,
            references,
        };
        self.columns.push(WriteColumn::new(
            &rule.column.name,
            ValueRule::Document(call),
        ));
    }

    /// A reference whose target differs by row.
    pub(super) fn write_choice(
        &mut self,
        entity: &Resolved<'_>,
        rule: &Rule<'_>,
        reference: &polymorphic::Reference,
    ) {
        let column = &rule.column.name;
        let mut calls = Vec::new();
        for target in &reference.targets {
            let parts = vec![self.part(&target.part, false)];
            self.refer(
                entity,
                Referred {
                    entity: &target.entity,
                    rule,
                    parts: parts.clone(),
                    shape: RefShape::Row,
                    is_deferred: false,
                },
            );
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
