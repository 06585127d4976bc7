//! Foreign keys: from the referencing columns to the parent's new id.

use super::super::catalog::Column;
use super::super::compiled::{Fault, IdRule, RowAction};
use super::super::plan::{Fk, StepEntry, Unfit};
use super::super::rules::{Draft, DraftFault, Fit, Scope, Ty, convert, literal, value_of};
use super::resolve::Resolved;
use super::{by, orphan};

/// A compiled reference.
pub(super) struct Reference {
    /// The parent entity.
    pub parent: String,
    /// Entity that names the parent's ids: itself, or the one whose ids it shares.
    pub named: String,
    /// Parts of the parent's key, orphans settled.
    pub parts: Vec<Draft>,
    /// The column's value where the parent keeps its ids; else the id of `parts`.
    pub kept: Option<Draft>,
    /// The first part's checks, and the orphan's.
    pub faults: Vec<DraftFault>,
    /// The orphan's, where the agent looks.
    pub orphan: Option<Orphan>,
    /// The parent may come later.
    pub is_deferred: bool,
}

/// An orphan check of the agent.
pub(super) struct Orphan {
    /// SELECT of the parent's keys.
    pub keys: String,
    /// The same as a condition.
    pub exists: String,
    /// The verdict; none: the reference is NULL.
    pub fault: Option<Fault>,
}

/// A rule that ends in `fk`.
pub(super) struct FkRule<'a> {
    /// The steps before it.
    pub steps: &'a [StepEntry],
    /// Its arguments.
    pub fk: &'a Fk,
    /// Path of the pipeline.
    pub pipeline_path: &'a str,
    /// Path of the step.
    pub path: String,
    /// The destination column.
    pub column: &'a Column,
}

/// Compiles a reference. `None` with problems noted.
pub(super) fn compile(
    scope: &Scope<'_>,
    child: &Resolved<'_>,
    parents: &[Resolved<'_>],
    rule: &FkRule<'_>,
) -> Option<Reference> {
    let parent = parents
        .iter()
        .find(|entity| entity.name() == &*rule.fk.entity)?;
    let parts = parts(scope, rule)?;
    // What is wrong with the parent itself is noted there.
    let (key, id) = (parent.key.as_ref()?, parent.id.as_ref()?);
    let settled = if rule.fk.by.is_empty() {
        of_key(scope, (child, parent), (key, id), parts, rule)?
    } else {
        by::resolve(scope, (child, parent), key, parts, rule)?
    };
    finish(scope, (parent, id), settled, rule)
}

/// A reference by the parent's key.
fn of_key(
    scope: &Scope<'_>,
    (child, parent): (&Resolved<'_>, &Resolved<'_>),
    (key, id): (&[&Column], &IdRule),
    parts: Vec<Draft>,
    rule: &FkRule<'_>,
) -> Option<Settled> {
    if parts.len() != key.len() {
        let names: Vec<&str> = key.iter().map(|column| column.name.as_str()).collect();
        let message = format!(
            "the key of {} has {} column(s) ({}), here are {}{}",
            parent.name(),
            key.len(),
            names.join(", "),
            parts.len(),
            if rule.fk.cols.is_none() {
                "; name them all in cols"
            } else {
                ""
            }
        );
        return scope.problem(&rule.path, message);
    }
    for (part, column) in parts.iter().zip(key) {
        scope.noted(&rule.path, same_text(part, column, parent.name()))?;
    }
    let keys = match id {
        // What is written is what is looked up: nothing may be changed on the way.
        IdRule::Keep { .. } if !keeps_integer(&parts, rule.column) => None,
        IdRule::Keep { .. } | IdRule::Uuid5 { .. } => orphan::keys(parent, key, &parts),
        IdRule::None { .. } => None,
    };
    settle(scope, child, parent, (key, keys), parts, rule)
}

/// What the column holds: the parent's id, or its key where that is kept.
fn finish(
    scope: &Scope<'_>,
    (parent, id): (&Resolved<'_>, &IdRule),
    settled: Settled,
    rule: &FkRule<'_>,
) -> Option<Reference> {
    let Settled {
        parts,
        faults,
        orphan,
    } = settled;
    let mut named = parent.name();
    let kept = match id {
        IdRule::Uuid5 { entity, .. } => {
            named = entity;
            if Ty::of(&rule.column.ty) != Ty::Uuid {
                let message = format!(
                    "column \"{}\" is {}, the ids of {} are uuid",
                    rule.column.name,
                    rule.column.ty.sql,
                    parent.name()
                );
                return scope.problem(&rule.path, message);
            }
            None
        }
        IdRule::Keep { .. } => {
            let fit = Fit {
                unfit: scope.on_row_error,
                path: &rule.path,
                is_asked: false,
            };
            let value = parts.first()?.clone();
            Some(scope.noted(&rule.path, convert(value, &Ty::of(&rule.column.ty), &fit))?)
        }
        IdRule::None { .. } => {
            let message = format!("rows of {} have no id (kind none)", parent.name());
            return scope.problem(&rule.path, message);
        }
    };
    Some(Reference {
        parent: parent.name().to_owned(),
        named: named.to_owned(),
        parts,
        kept,
        faults,
        orphan,
        is_deferred: rule.fk.deferred == Some(true),
    })
}

/// Whether a kept reference is written in no fewer bytes than it is read.
fn keeps_integer(parts: &[Draft], column: &Column) -> bool {
    let width = |ty: &Ty| match ty {
        Ty::Int2 => 2,
        Ty::Int4 => 4,
        Ty::Int8 => 8,
        _ => 0,
    };
    match parts {
        [part] => width(&part.ty) > 0 && width(&part.ty) <= width(&Ty::of(&column.ty)),
        _ => false,
    }
}

/// The referencing values: the columns of `cols`, or what the steps before make.
fn parts(scope: &Scope<'_>, rule: &FkRule<'_>) -> Option<Vec<Draft>> {
    match (&rule.fk.cols, rule.steps) {
        (Some(columns), []) => columns
            .iter()
            .enumerate()
            .map(|(at, name)| scope.column_value(name, &format!("{}.cols[{at}]", rule.path)))
            .collect(),
        (Some(_), _) => scope.problem(
            &rule.path,
            "with cols, fk is the first and only step of its pipeline",
        ),
        (None, []) => scope.problem(
            &rule.path,
            "fk needs a value before it, like {col: name}, or cols",
        ),
        (None, steps) => {
            let draft = value_of(scope, steps, rule.pipeline_path)?;
            if let Some(step) = draft.agent.first() {
                let message = "runs in the agent; fk needs a value of the source before it";
                return scope.problem(&step.path, message);
            }
            Some(vec![draft])
        }
    }
}

/// Whether equal keys have equal texts on both sides, so that both give the same id.
pub(super) fn same_text(part: &Draft, key: &Column, parent: &str) -> Result<(), String> {
    let target = Ty::of(&key.ty);
    if !key.ty.is_deterministic || target == Ty::Citext {
        return Err(format!(
            "key column \"{}\" of {parent} compares texts as equal that differ (citext or a \
             non-deterministic collation), so they would get different ids",
            key.name
        ));
    }
    let is_same = match (&part.ty, &target) {
        (a, b) if a.is_integer() && b.is_integer() => true,
        (a, b) if a.is_text() && b.is_text() => true,
        (Ty::Numeric(Some((_, a))), Ty::Numeric(Some((_, b)))) => a == b,
        (
            Ty::Numeric(_)
            | Ty::Float4
            | Ty::Float8
            | Ty::Json
            | Ty::Jsonb
            | Ty::Array(_)
            | Ty::User(_),
            _,
        ) => false,
        (Ty::Builtin { base, .. }, Ty::Builtin { base: other, .. }) => {
            let plain = [
                "bytea", "inet", "cidr", "macaddr", "macaddr8", "name", "\"char\"", "oid",
            ];
            base == other && plain.contains(&base.as_str())
        }
        (a, b) => a == b,
    };
    if is_same {
        Ok(())
    } else {
        Err(format!(
            "{} is no reference to key column \"{}\" of {parent}, which is {target}; cast it before",
            part.ty, key.name
        ))
    }
}

/// A reference whose orphans are settled.
pub(super) struct Settled {
    /// Parts of the parent's key.
    pub parts: Vec<Draft>,
    /// Checks on the row.
    pub faults: Vec<DraftFault>,
    /// The agent's check.
    pub orphan: Option<Orphan>,
}

/// Puts the orphan's rule into effect: in the agent where it can know the parent's keys.
fn settle(
    scope: &Scope<'_>,
    child: &Resolved<'_>,
    parent: &Resolved<'_>,
    (key, keys): (&[&Column], Option<String>),
    parts: Vec<Draft>,
    rule: &FkRule<'_>,
) -> Option<Settled> {
    let mut faults: Vec<DraftFault> = parts.iter().flat_map(|part| part.faults.clone()).collect();
    let unfit = rule.fk.orphan.as_ref().unwrap_or(scope.on_row_error);
    let orphan_path = format!("{}.orphan", rule.path);
    if *unfit == Unfit::SetNull && rule.column.not_null {
        let message = format!("column \"{}\" is NOT NULL", rule.column.name);
        return scope.problem(&orphan_path, message);
    }
    let table = child.source?;
    let Some(exists) = orphan::exists(table, parent, key, &parts) else {
        return Some(Settled {
            parts,
            faults,
            orphan: None,
        });
    };
    let of_agent = |fault| {
        keys.clone().map(|keys| Orphan {
            keys,
            exists: exists.clone(),
            fault,
        })
    };
    let give_up = |action: RowAction| {
        let set: Vec<String> = parts
            .iter()
            .map(|part| format!("{} IS NOT NULL", part.sql))
            .collect();
        DraftFault {
            guard: None,
            condition: keys
                .is_none()
                .then(|| format!("({} AND NOT {exists})", set.join(" AND "))),
            fault: Fault {
                code: "DROVER_ORPHAN".to_owned(),
                path: rule.path.clone(),
                message: orphan::words(parent),
                action,
            },
        }
    };
    let mut orphan = None;
    let parts = match unfit {
        Unfit::Fail | Unfit::Quarantine => {
            let action = match unfit {
                Unfit::Fail => RowAction::Fail,
                _ => RowAction::Quarantine,
            };
            let given_up = give_up(action);
            orphan = of_agent(Some(given_up.fault.clone()));
            faults.push(given_up);
            parts
        }
        Unfit::SetNull => {
            orphan = of_agent(None);
            match orphan {
                Some(_) => parts,
                None => instead(parts, &exists, None),
            }
        }
        Unfit::Default(value) => {
            let [part] = parts.as_slice() else {
                return scope.problem(&orphan_path, "a composite key has no default");
            };
            let value = scope.noted(&orphan_path, literal(value, &part.ty))?;
            instead(parts, &exists, Some(&value))
        }
    };
    Some(Settled {
        parts,
        faults,
        orphan,
    })
}

/// NULL or a legacy key in the place of one whose row is not there.
fn instead(parts: Vec<Draft>, exists: &str, value: Option<&str>) -> Vec<Draft> {
    parts
        .into_iter()
        .map(|part| {
            let sql = match value {
                None => format!("(CASE WHEN {exists} THEN {} END)", part.sql),
                Some(value) => format!(
                    "(CASE WHEN {0} IS NULL OR {exists} THEN {0} ELSE {value} END)",
                    part.sql
                ),
            };
            let ty = part.ty.clone();
            part.becomes(sql, ty)
        })
        .collect()
}
