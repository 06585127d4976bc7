//! `drop_column`: backed up first; what hangs on the column goes before it, by name, and comes back after it.

use super::super::backup::Backup;
use super::super::check::{Phase, SchemaCheck};
use super::super::column::{definition, dress, identify, own, set_not_null};
use super::super::facts::{ColumnFacts, ConstraintKind, IndexFacts, ObjectFacts, UpdateTrigger};
use super::super::planned::{Operation, SchemaStep};
use super::super::risk::{Escalation, Risk};
use super::{Draft, Refusals};
use crate::domain::catalog::quote_ident;
use crate::domain::record::{RiskLevel, SchemaOperationType};

impl Draft<'_> {
    pub(super) fn drop_column(&self, name: &str) -> Result<Vec<Operation>, Refusals> {
        let column = self.known(name)?;
        self.refuse_dependants(name)?;
        let backup = self.backup_of(column)?;
        let constraints = self.facts.constraints_of(name);
        let indexes: Vec<&IndexFacts> = self
            .facts
            .indexes
            .iter()
            .filter(|index| index.columns.iter().any(|one| one == name))
            .collect();
        let objects: Vec<&ObjectFacts> = self
            .facts
            .objects
            .iter()
            .filter(|object| object.columns.iter().any(|one| one == name))
            .collect();
        let mut operations: Vec<Operation> = Vec::new();
        operations.extend(backup.clone().map(|backup| self.back_up(backup)));
        operations.extend(constraints.iter().map(|one| self.drop_constraint(one)));
        operations.extend(indexes.iter().map(|one| self.drop_index(one)));
        let is_keyed = constraints
            .iter()
            .any(|one| one.kind != ConstraintKind::Check)
            || objects.iter().any(|one| one.kind == "policy");
        let has_dependants = !(constraints.is_empty() && indexes.is_empty() && objects.is_empty());
        let risk = Risk::new(
            RiskLevel::Medium,
            match &backup {
                Some(_) => "a column goes; its values are backed up",
                None => "a column goes; it has no value of its own",
            },
        );
        let names = constraints.iter().map(|one| &one.name);
        let names = names
            .chain(indexes.iter().map(|one| &one.name))
            .chain(objects.iter().map(|one| &one.name));
        let names = names.map(String::as_str).collect::<Vec<_>>().join(", ");
        let risk = match (is_keyed, has_dependants) {
            (true, _) => risk.at_least(
                RiskLevel::Critical,
                format!("it is part of keys, references or policies: {names}"),
            ),
            (false, true) => risk.at_least(
                RiskLevel::High,
                format!("what hangs on it goes too: {names}"),
            ),
            (false, false) => risk,
        };
        operations.push(self.drop_itself(column, backup, &objects, risk));
        Ok(operations)
    }

    fn refuse_dependants(&self, column: &str) -> Result<(), Refusals> {
        let found = self
            .facts
            .dependants
            .iter()
            .filter(|one| one.column == column);
        let found: Refusals = found
            .map(|one| {
                format!(
                    "{} depends on {}.{column}: drop or change it first",
                    one.words, self.change.table
                )
            })
            .collect();
        match found.is_empty() {
            true => Ok(()),
            false => Err(found),
        }
    }

    /// The backup of a column's values; none where it has none of its own.
    pub(super) fn backup_of(&self, column: &ColumnFacts) -> Result<Option<Backup>, Refusals> {
        let table = &self.change.table;
        if column.generated.is_some() || self.facts.values == Some(0) {
            return Ok(None);
        }
        let key = self.facts.key_without(Some(&column.name)).ok_or_else(|| {
            vec![format!(
                "{table} has no key without {}: its values could not be brought back to their rows",
                column.name
            )]
        })?;
        let columns = [column.name.clone()];
        Ok(Some(Backup::new(table, key, &columns, self.tag)))
    }

    fn drop_itself(
        &self,
        column: &ColumnFacts,
        backup: Option<Backup>,
        objects: &[&ObjectFacts],
        risk: Risk,
    ) -> Operation {
        let (table, name) = (&self.change.table, &column.name);
        let owned = column
            .sequence
            .as_ref()
            .filter(|one| one.identity.is_none());
        let mut sql: Vec<String> = objects.iter().map(|one| one.drop_sql.clone()).collect();
        sql.extend(owned.map(|sequence| own(sequence, None)));
        sql.push(format!(
            "alter table {} drop column {}",
            table.quoted(),
            quote_ident(name)
        ));
        let guard = match &backup {
            Some(backup) => Some(backup.is_true("backup_is_current", Phase::Pre)),
            None if column.generated.is_some() => None,
            None => Some(SchemaCheck::none(
                "no_value_is_lost",
                Phase::Pre,
                self.value_count(name),
            )),
        };
        let step = SchemaStep::long(sql).guarded(table, guard.into_iter().collect());
        let undo = self.restore(column, backup.as_ref(), objects);
        let by = Escalation {
            is_heavy: backup.is_some(),
            takes_lock: true,
            column: Some(name),
            is_published: true,
            ..Escalation::default()
        };
        let mut undo_checks = Vec::new();
        if let Some(backup) = &backup {
            if column.not_null && column.default.is_none() {
                let check = "rows_without_a_value";
                undo_checks.push(SchemaCheck::none(check, Phase::Pre, backup.newcomers()));
            } else {
                let check = "rows_that_came_later";
                undo_checks.push(SchemaCheck::note(check, Phase::Pre, backup.newcomers()));
            }
            let check = "values_are_back";
            undo_checks.push(SchemaCheck::none(
                check,
                Phase::Post,
                backup.differences(name),
            ));
        }
        Operation {
            column: Some(name.clone()),
            checks: vec![
                self.row_count(Phase::Pre),
                SchemaCheck::note("null_count", Phase::Pre, self.null_count(name)),
                self.row_count(Phase::Post),
            ],
            undo_checks,
            undo_rewrites: backup.is_some() || column.generated.is_some(),
            backup,
            ..self.operation(
                SchemaOperationType::DropColumn,
                (vec![step], Some(undo)),
                (risk, by),
            )
        }
    }

    /// The column comes back, behind all others: empty, then its values, then all that goes with it.
    fn restore(
        &self,
        column: &ColumnFacts,
        backup: Option<&Backup>,
        objects: &[&ObjectFacts],
    ) -> Vec<SchemaStep> {
        let (table, name) = (&self.change.table, &column.name);
        let relation = table.quoted();
        let generated = column.generated.as_ref();
        let made_of = generated.map_or_else(String::new, |sql| {
            format!(" generated always as ({sql}) stored")
        });
        let drop = format!("alter table {relation} drop column {}", quote_ident(name));
        let add = format!(
            "alter table {relation} add column {}{made_of}",
            definition(column)
        );
        let add = match generated {
            Some(_) => SchemaStep::long([add]),
            None => SchemaStep::instant([add]),
        };
        let mut steps = vec![add.or_abandon([drop])];
        if let Some(backup) = backup {
            // Those that name the column are not there again yet.
            let is_away = |trigger: &&UpdateTrigger| {
                objects
                    .iter()
                    .any(|one| one.kind == "trigger" && one.name == trigger.name)
            };
            let triggers = self.facts.update_triggers.iter();
            let triggers: Vec<&UpdateTrigger> =
                triggers.filter(|trigger| !is_away(trigger)).collect();
            steps.push(backup.fill(name, None, &triggers));
            if let (Some(default), true) = (&column.default, column.not_null) {
                let fill = format!(
                    "update {relation} as t set {0} = {default} where not exists (select from {1} as b where {2})",
                    quote_ident(name),
                    backup.table.quoted(),
                    backup.join()
                );
                let off = triggers.iter().map(|one| one.off.clone());
                let on = triggers.iter().map(|one| one.on.clone());
                steps.push(SchemaStep::long(off.chain([fill]).chain(on)));
            }
        }
        let dressed = dress(table, column);
        if !dressed.is_empty() {
            steps.push(SchemaStep::instant(dressed));
        }
        if column.not_null {
            steps.extend(set_not_null(table, name));
        }
        let identity = identify(table, column);
        if !identity.is_empty() {
            steps.push(SchemaStep::instant(identity));
        }
        let objects = objects
            .iter()
            .flat_map(|one| one.create_sql.iter().cloned());
        let objects: Vec<String> = objects.collect();
        if !objects.is_empty() {
            steps.push(SchemaStep::instant(objects));
        }
        steps
    }
}
