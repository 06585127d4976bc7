//! `modify_column` with a type: lossless, or backed up and confirmed.

use super::super::backup::Backup;
use super::super::check::{Phase, SchemaCheck};
use super::super::column::alter;
use super::super::declared::ColumnType;
use super::super::facts::{ColumnFacts, ObjectFacts, TypeFacts};
use super::super::planned::{Operation, SchemaStep};
use super::super::risk::{Escalation, Risk};
use super::{Draft, Refusals};
use crate::domain::catalog::{quote_ident, quote_literal};
use crate::domain::record::RiskLevel;

/// How a value goes to the new type and back, as SQL over it.
pub(super) struct Casts<'a> {
    pub old: &'a str,
    pub new: &'a str,
    pub zone: Option<&'a str>,
}

impl Casts<'_> {
    /// Time zones are told, not taken from the session.
    fn changes_zone(&self) -> bool {
        is_local_time(self.old) && is_moment(self.new)
            || is_moment(self.old) && is_local_time(self.new)
    }

    fn cast(&self, value: &str, ty: &str) -> String {
        match (self.changes_zone(), self.zone) {
            (true, Some(zone)) => {
                format!("({value} at time zone {})::{ty}", quote_literal(zone))
            }
            (true, None) => format!("({value} at time zone 'UTC')::{ty}"),
            (false, _) => format!("({value})::{ty}"),
        }
    }

    pub(super) fn there(&self, value: &str) -> String {
        self.cast(value, self.new)
    }

    pub(super) fn back(&self, value: &str) -> String {
        self.cast(value, self.old)
    }
}

fn is_local_time(ty: &str) -> bool {
    ty.starts_with("timestamp") && ty.ends_with("without time zone")
}

fn is_moment(ty: &str) -> bool {
    ty.starts_with("timestamp") && ty.ends_with("with time zone")
}

impl Draft<'_> {
    pub(super) fn set_type(
        &self,
        name: &str,
        wanted: &ColumnType,
    ) -> Result<Vec<Operation>, Refusals> {
        let column = self.known(name)?;
        let table = &self.change.table;
        let Some(ty) = &self.facts.ty else {
            return Err(vec![format!("the type {} is not known", wanted.sql)]);
        };
        if ty.ty == column.ty {
            return Err(vec![format!("{table}.{name} is {} already", ty.ty)]);
        }
        if column.generated.is_some() {
            return Err(vec![format!("{table}.{name} is made of other columns")]);
        }
        let found = self
            .facts
            .dependants
            .iter()
            .filter(|one| one.column == name);
        let mut refusals: Refusals = found
            .map(|one| {
                format!(
                    "{} depends on {table}.{name}: drop or change it first",
                    one.words
                )
            })
            .collect();
        if ty.fit.impossible > 0 {
            let count = ty.fit.impossible;
            refusals.push(format!(
                "{count} values of {table}.{name} cannot become {}",
                ty.ty
            ));
        }
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let casts = Casts {
            old: &column.ty,
            new: &ty.ty,
            zone: wanted.time_zone.as_deref().filter(|zone| *zone != "UTC"),
        };
        let is_rewritten = ty.rewrites || (casts.changes_zone() && casts.zone.is_some());
        if is_rewritten {
            self.may_rewrite()?;
        }
        let is_lossy = ty.fit.lossy > 0;
        let backup = match (is_rewritten || is_lossy, self.backup_of(column)) {
            (false, _) => None,
            (true, Ok(backup)) => backup,
            // Every value comes back by its cast.
            (true, Err(_)) if !is_lossy => None,
            (true, Err(refusals)) => return Err(refusals),
        };
        let mut operations: Vec<Operation> = Vec::new();
        operations.extend(backup.clone().map(|backup| self.back_up(backup)));
        operations.push(self.retype(column, ty, &casts, (backup, is_rewritten)));
        Ok(operations)
    }

    fn retype(
        &self,
        column: &ColumnFacts,
        ty: &TypeFacts,
        casts: &Casts<'_>,
        (backup, is_rewritten): (Option<Backup>, bool),
    ) -> Operation {
        let (table, name) = (&self.change.table, &column.name);
        let value = quote_ident(name);
        let is_lossy = ty.fit.lossy > 0;
        // Without a cast that is written down the server refuses what does not fit. One that is not asked for
        // spares a rewrite.
        let is_plain = ty.is_automatic && !is_lossy && casts.zone.is_none();
        let using = match is_plain {
            true => String::new(),
            false => format!(" using {}", casts.there(&value)),
        };
        let collation = column.collation.as_ref();
        let collation = |keeps: bool| {
            let name = collation.filter(|_| keeps);
            name.map_or_else(String::new, |name| format!(" collate {name}"))
        };
        let keeps = is_text(&column.ty) && is_text(&ty.ty);
        let default = column.default.as_ref().map(|sql| match is_plain {
            true => sql.clone(),
            false => casts.there(&format!("({sql})")),
        });
        let there = self.change_type(
            (column, default.as_deref()),
            &format!("{}{}{using}", ty.ty, collation(keeps)),
        );
        let is_quick_back = is_plain && is_instant(casts);
        let using = match is_quick_back {
            true => String::new(),
            false => format!(" using {}", casts.back(&value)),
        };
        let back = self.change_type(
            (column, column.default.as_deref()),
            &format!("{}{}{using}", column.ty, collation(true)),
        );
        let guards = match &backup {
            Some(backup) => vec![backup.is_true("backup_is_current", Phase::Pre)],
            None => Vec::new(),
        };
        let step = match is_rewritten {
            true => SchemaStep::long(there),
            false => SchemaStep::instant(there),
        };
        let step = match guards.is_empty() {
            true => step,
            false => step.guarded(table, guards),
        };
        let mut undo = vec![SchemaStep::long(back)];
        if let (Some(backup), true) = (&backup, is_lossy) {
            // Values that were changed since stay as they are.
            let copied = format!("b.{value}");
            let converted = casts.back(&casts.there(&copied));
            let condition = format!(
                "t.{value}::text is not distinct from ({converted})::text and t.{value}::text is distinct from {copied}::text"
            );
            let triggers: Vec<_> = self.facts.update_triggers.iter().collect();
            undo.push(backup.fill(name, Some(&condition), &triggers));
        }
        let by = Escalation {
            is_heavy: is_rewritten,
            takes_lock: true,
            column: is_rewritten.then_some(name.as_str()),
            is_published: is_rewritten,
            is_rewritten,
            ..Escalation::default()
        };
        let undo_check = SchemaCheck::none(
            "values_fit_the_old_type",
            Phase::Pre,
            self.misfits(casts, &value),
        );
        Operation {
            checks: vec![
                SchemaCheck::note("null_count", Phase::Pre, self.null_count(name)),
                self.row_count(Phase::Pre),
                self.row_count(Phase::Post),
            ],
            undo_checks: vec![undo_check],
            rewrites: is_rewritten,
            undo_rewrites: !is_quick_back,
            backup,
            ..self.modify(
                name,
                (vec![step], Some(undo)),
                (risk(ty, casts, is_rewritten), by),
            )
        }
    }

    /// Values that the old type cannot hold as they are now.
    fn misfits(&self, casts: &Casts<'_>, value: &str) -> String {
        let again = casts.there(&casts.back(value));
        format!(
            "select count(*)::text from {} where ({again})::text is distinct from ({value})::text",
            self.relation()
        )
    }

    /// The statements of a change of type, with default and objects that are in its way.
    fn change_type(
        &self,
        (column, default): (&ColumnFacts, Option<&str>),
        to: &str,
    ) -> Vec<String> {
        let (table, name) = (&self.change.table, &column.name);
        let objects = self.facts.objects.iter().filter(|object| {
            object.kind != "statistics" && object.columns.iter().any(|one| one == name)
        });
        let objects: Vec<&ObjectFacts> = objects.collect();
        let value = quote_ident(name);
        let has_default = column.default.is_some();
        let without = if has_default {
            format!("alter column {value} drop default, ")
        } else {
            String::new()
        };
        let mut sql: Vec<String> = objects.iter().map(|one| one.drop_sql.clone()).collect();
        sql.push(format!(
            "alter table {} {without}alter column {value} type {to}",
            table.quoted()
        ));
        sql.extend(default.map(|sql| alter(table, name, &format!("set default {sql}"))));
        sql.extend(
            objects
                .iter()
                .flat_map(|one| one.create_sql.iter().cloned()),
        );
        sql
    }
}

/// A type that has a collation of its own.
fn is_text(ty: &str) -> bool {
    ["text", "character"]
        .iter()
        .any(|name| ty.starts_with(name))
}

/// The way back is as quick as the way there only between timestamps.
fn is_instant(casts: &Casts<'_>) -> bool {
    casts.changes_zone() && casts.zone.is_none()
}

fn risk(ty: &TypeFacts, casts: &Casts<'_>, is_rewritten: bool) -> Risk {
    let lossy = ty.fit.lossy;
    let base = match (is_rewritten, casts.changes_zone()) {
        (true, _) => Risk::new(
            RiskLevel::High,
            "every row is written anew, and indexes with it, under a lock that blocks readers",
        ),
        (false, true) => Risk::new(
            RiskLevel::Medium,
            "no row is touched, if the stored times mean UTC",
        ),
        (false, false) => Risk::low("the type is wider; no row is touched"),
    };
    match lossy {
        0 => base,
        count => base.at_least(
            RiskLevel::Critical,
            format!("{count} values do not come back by their cast: they are backed up"),
        ),
    }
}
