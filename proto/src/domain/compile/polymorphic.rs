//! References whose target differs by row: a type and an id, in two columns or in one.

use super::super::catalog::{Column, TableName, quote_ident, quote_literal};
use super::super::compiled::{Fault, IdRule, RowAction};
use super::super::plan::{Polymorphic, TypesFrom, Unfit, suggest};
use super::super::rules::{Draft, DraftFault, Fit, Scope, Ty, convert};
use super::resolve::Resolved;
use super::{orphan, reference};

/// Django's table of types.
const CONTENT_TYPES: &str = "django_content_type";

/// A compiled reference.
pub(super) struct Reference {
    /// The `entity_type` of what it refers to.
    pub kind: Draft,
    /// Per type, the entity that it stands for.
    pub targets: Vec<Target>,
    /// The reference as the targets keep their ids; none where those are uuid5.
    pub kept: Option<Draft>,
    /// Checks of the row.
    pub faults: Vec<DraftFault>,
}

/// One of the entities that a reference may be to.
pub(super) struct Target {
    /// The entity.
    pub entity: String,
    /// Entity that names its ids: itself, or the one whose ids it shares.
    pub named: String,
    /// Its key; NULL where the row refers to another.
    pub part: Draft,
}

/// Where a reference is written.
pub(super) struct Place<'a> {
    pub entity: &'a Resolved<'a>,
    pub all: &'a [Resolved<'a>],
    /// The destination column.
    pub column: &'a Column,
    /// Path of the step.
    pub path: String,
}

/// Source table of the types of an entity's references, if they stand in one.
pub(super) fn type_table(declared: &Polymorphic, source: &TableName) -> Option<TableName> {
    matches!(declared.types_from, TypesFrom::Django).then(|| TableName {
        schema: source.schema.clone(),
        name: CONTENT_TYPES.to_owned(),
    })
}

/// One type that a row may name.
struct Kind<'a> {
    label: &'a str,
    target: &'a Resolved<'a>,
    /// SQL that holds where the row names it.
    test: String,
}

/// Compiles the reference of that name. `None` with problems noted.
pub(super) fn compile(scope: &Scope<'_>, place: &Place<'_>, name: &str) -> Option<Reference> {
    let all = place.entity.entity.polymorphic.iter();
    let all: Vec<(&str, &Polymorphic)> = all.flat_map(|all| all.iter()).collect();
    let Some(&(_, declared)) = all.iter().find(|(known, _)| *known == name) else {
        let hint = suggest::hint(name, all.iter().map(|(known, _)| *known));
        let words = format!("the entity declares no polymorphic \"{name}\"{hint}");
        return scope.problem(&place.path, words);
    };
    // Both parts say the same of a row: one check serves them.
    let path = format!("{}.polymorphic.{name}", place.entity.path);
    let unfit = declared.orphan.as_ref().unwrap_or(scope.on_row_error);
    let action = match unfit {
        Unfit::Fail => Some(RowAction::Fail),
        Unfit::Quarantine => Some(RowAction::Quarantine),
        Unfit::SetNull => None,
        Unfit::Default(_) => {
            let words = "a reference to rows of several entities has no default";
            return scope.problem(&format!("{path}.orphan"), words);
        }
    };
    if action.is_none() && place.column.not_null {
        let words = format!("column \"{}\" is NOT NULL", place.column.name);
        return scope.problem(&format!("{path}.orphan"), words);
    }
    let (named, id) = columns(scope, declared, &path)?;
    let kinds = kinds(scope, place, (declared, &named), &path)?;
    let give_up = |condition: String, message: String, code: &str| {
        action.clone().map(|action| DraftFault {
            guard: None,
            condition: Some(condition),
            fault: Fault {
                code: code.to_owned(),
                path: path.clone(),
                message,
                action,
            },
        })
    };
    let tests: Vec<&str> = kinds.iter().map(|kind| kind.test.as_str()).collect();
    let is_unknown = format!(
        "({} IS NOT NULL AND ({}) IS NOT TRUE)",
        id.sql,
        tests.join(" OR ")
    );
    let words = "its type is none of the types listed".to_owned();
    let mut faults: Vec<DraftFault> = give_up(is_unknown, words, "DROVER_POLYMORPHIC")
        .into_iter()
        .collect();
    let (mut targets, mut arms) = (Vec::new(), String::new());
    for kind in &kinds {
        let at = format!("{path}.types.{}", kind.label);
        let keys = kind.target.key.as_ref()?;
        let [key] = keys.as_slice() else {
            return scope.problem(&at, "a key of several columns cannot be referred to");
        };
        let fit = Fit {
            unfit,
            path: &path,
            is_asked: true,
        };
        let part = scope.noted(&at, convert(id.clone(), &Ty::of(&key.ty), &fit))?;
        if !part.agent.is_empty() {
            let words = format!("{} is no reference to {}", id.ty, key.ty.sql);
            return scope.problem(&at, words);
        }
        scope.noted(&at, reference::same_text(&part, key, kind.target.name()))?;
        faults.extend(part.faults.iter().map(|fault| of_kind(fault, &kind.test)));
        let (sql, ty) = (
            format!("(CASE WHEN {} THEN {} END)", kind.test, part.sql),
            part.ty.clone(),
        );
        let mut part = part.becomes(sql, ty);
        part.faults.clear();
        let parts = [part];
        let exists = orphan::exists(scope.table, kind.target, keys, &parts);
        let [mut part] = parts;
        if let Some(exists) = exists {
            let words = orphan::words(kind.target);
            match give_up(
                format!("({} IS NOT NULL AND NOT {exists})", part.sql),
                words,
                "DROVER_ORPHAN",
            ) {
                Some(fault) => faults.push(fault),
                None => {
                    let (sql, ty) = (
                        format!("(CASE WHEN {exists} THEN {} END)", part.sql),
                        part.ty.clone(),
                    );
                    part = part.becomes(sql, ty);
                }
            }
        }
        let whole = match action {
            Some(_) => kind.test.clone(),
            // Both parts or none.
            None => format!(
                "({} AND ({} IS NULL OR {} IS NOT NULL))",
                kind.test, id.sql, part.sql
            ),
        };
        let entity_type = quote_literal(&kind.target.entity.entity_type);
        arms.push_str(&format!(" WHEN {whole} THEN {entity_type}::text"));
        targets.push(Target {
            entity: kind.target.name().to_owned(),
            named: kind.target.named().to_owned(),
            part,
        });
    }
    let mut kind = Draft::new(format!("(CASE{arms} END)"), Ty::Text(None));
    kind.known = Some(
        kinds
            .iter()
            .map(|kind| kind.target.entity.entity_type.to_string())
            .collect(),
    );
    kind.absorb(&named);
    kind.absorb(&id);
    kind.faults.clone_from(&faults);
    Some(Reference {
        kind,
        targets,
        kept: None,
        faults,
    })
}

/// The reference as the targets' ids: what they keep, or nothing where those are made.
pub(super) fn id(scope: &Scope<'_>, place: &Place<'_>, reference: Reference) -> Option<Reference> {
    let path = &place.path;
    let target = |name: &str| place.all.iter().find(|entity| entity.name() == name);
    let column = Ty::of(&place.column.ty);
    let (mut made, mut kept) = (0, Vec::new());
    let mut faults = Vec::new();
    for Target { entity, part, .. } in &reference.targets {
        match target(entity)?.id.as_ref()? {
            IdRule::Uuid5 { .. } => made += 1,
            IdRule::Keep { .. } => {
                let fit = Fit {
                    unfit: scope.on_row_error,
                    path,
                    is_asked: false,
                };
                let value = scope.noted(path, convert(part.clone(), &column, &fit))?;
                faults.extend(value.faults.iter().cloned());
                if entity == place.entity.name() || place.entity.knot.contains(entity) {
                    let words = format!(
                        "rows of {entity} keep their ids: which references to them are settled after the load \
                         could not be told from those to others; give them new ids"
                    );
                    return scope.problem(path, words);
                }
                kept.push(value.sql);
            }
            IdRule::None { .. } => {
                return scope.problem(path, format!("rows of {entity} have no id (kind none)"));
            }
        }
    }
    if made > 0 && !kept.is_empty() {
        return scope.problem(
            path,
            "some of these entities keep their ids, the others do not",
        );
    }
    if made > 0 && column != Ty::Uuid {
        let words = format!(
            "column \"{}\" is {}, the ids are uuid",
            place.column.name, place.column.ty.sql
        );
        return scope.problem(path, words);
    }
    let mut reference = reference;
    reference.faults.extend(faults);
    reference.kept =
        (made == 0).then(|| Draft::new(format!("COALESCE({})", kept.join(", ")), column));
    Some(reference)
}

/// The values that name the type and the row.
fn columns(scope: &Scope<'_>, declared: &Polymorphic, path: &str) -> Option<(Draft, Draft)> {
    let named = scope.column_value(&declared.type_col, &format!("{path}.type_col"))?;
    let id_path = format!("{path}.id_col");
    let is_combined = matches!(declared.types_from, TypesFrom::Combined);
    let is_django = matches!(declared.types_from, TypesFrom::Django);
    let fits = if is_django {
        named.ty.is_integer()
    } else {
        named.ty.is_text()
    };
    if !fits {
        let words = format!("{} names no types {}", named.ty, declared.types_from.word());
        return scope.problem(&format!("{path}.type_col"), words);
    }
    match &declared.id_col {
        Some(column) if !is_combined => Some((named, scope.column_value(column, &id_path)?)),
        Some(_) => scope.problem(&id_path, "combined: the id stands in type_col"),
        None if is_combined => {
            let text = named.text_sql();
            let id = format!("substr({text}, strpos({text}, ',') + 1)");
            let id = named.clone().becomes(id, Ty::Text(None));
            let label = named.becomes(format!("split_part({text}, ',', 1)"), Ty::Text(None));
            Some((label, id))
        }
        None => scope.problem(&id_path, "missing"),
    }
}

/// The types that a row may name, each with its test.
fn kinds<'a>(
    scope: &Scope<'_>,
    place: &Place<'a>,
    (declared, named): (&'a Polymorphic, &Draft),
    path: &str,
) -> Option<Vec<Kind<'a>>> {
    let table = match type_table(declared, &scope.table.name) {
        None => None,
        Some(name) => match scope.others.tables.iter().find(|table| table.name == name) {
            Some(table)
                if ["id", "app_label", "model"]
                    .iter()
                    .all(|name| table.column(name).is_some()) =>
            {
                Some(table)
            }
            Some(_) | None => {
                let words = format!("the source has no table {name} with id, app_label and model");
                return scope.problem(&format!("{path}.types_from"), words);
            }
        },
    };
    let mut kinds = Vec::new();
    for (label, entity) in declared.types.iter() {
        let at = format!("{path}.types.{label}");
        let target = place.all.iter().find(|other| other.name() == entity.0)?;
        let test = match table {
            None => format!("{} = {}", named.text_sql(), quote_literal(label)),
            Some(table) => {
                let Some((app, model)) = label.split_once('.') else {
                    return scope.problem(&at, "a type of Django is app_label.model");
                };
                // Independent of the row: the source looks once.
                format!(
                    "{} IN (SELECT ct.{} FROM {} AS ct WHERE ct.app_label = {} AND ct.model = {})",
                    named.sql,
                    quote_ident("id"),
                    table.name.quoted(),
                    quote_literal(app),
                    quote_literal(model)
                )
            }
        };
        kinds.push(Kind {
            label,
            target,
            test,
        });
    }
    Some(kinds)
}

/// A check that counts only for rows of one type.
fn of_kind(fault: &DraftFault, test: &str) -> DraftFault {
    let own = fault.condition.as_deref().unwrap_or("false");
    let condition = match &fault.guard {
        Some(guard) => format!("(CASE WHEN {guard} THEN {own} ELSE false END)"),
        None => own.to_owned(),
    };
    DraftFault {
        guard: None,
        condition: Some(format!(
            "(CASE WHEN {test} THEN {condition} ELSE false END)"
        )),
        fault: fault.fault.clone(),
    }
}
