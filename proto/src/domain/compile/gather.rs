//! The step `array_agg`: child rows become an array of values, or of the new ids that they refer to.

use super::super::catalog::{Column, Table, quote_ident};
use super::super::compiled::{Fault, IdRule, KeyText, RowAction};
use super::super::plan::{ArrayAgg, Fk, Sql, Step, StepEntry, Unfit};
use super::super::rules::{
    Draft, DraftFault, Fit, Scope, Ty, convert, equal, missing, named, value_of,
};
use super::elements::Elements;
use super::resolve::Resolved;
use super::{by, key, orphan, reference};

/// A compiled array.
pub(super) struct Gathered {
    /// The array: of values, or of keys of the parent's rows.
    pub draft: Draft,
    /// What the keys refer to.
    pub references: Option<References>,
    /// The elements go through the array's steps in the agent: their type oid at the destination, and whether
    /// every value stands there once.
    pub each: Option<(u32, bool)>,
}

/// The rows that an array's elements refer to.
pub(super) struct References {
    /// The entity.
    pub parent: String,
    /// Entity that names the parent's ids: itself, or the one whose ids it shares.
    pub named: String,
    /// How a key of the array reads as text.
    pub text: KeyText,
    /// How many columns a key has; of several, the texts are a JSON array.
    pub width: usize,
    /// The keys become ids; else they are written as they are.
    pub is_id: bool,
    /// SQL of the number of elements whose row is not there.
    pub dropped: Option<String>,
    /// The parent may come later.
    pub is_deferred: bool,
}

/// Where an array is made.
pub(super) struct Place<'a> {
    pub all: &'a [Resolved<'a>],
    /// The destination column.
    pub column: &'a Column,
    /// Path of the step.
    pub path: String,
}

/// Compiles `array_agg`. `None` with problems noted.
pub(super) fn compile(scope: &Scope<'_>, place: &Place<'_>, rule: &ArrayAgg) -> Option<Gathered> {
    let path = &place.path;
    let Some(child) = scope.others.table(&rule.source) else {
        return scope.problem(&format!("{path}.source"), missing(&rule.source));
    };
    let (own, link) = link(scope, rule, child, path)?;
    let inner = Scope {
        table: child,
        joined: &[],
        joins: "",
        key: &child.primary_key,
        ..*scope
    };
    let mut conditions = vec![link];
    if let Some(filter) = &rule.filter {
        conditions.push(inner.condition(filter, &format!("{path}.where"))?.sql);
    }
    let mut order = Vec::new();
    if let Some(by) = &rule.order_by {
        let (sql, direction) = ordering(by);
        let draft = inner.sql_value(&sql, &format!("{path}.order_by"))?;
        order.push((draft.sql, direction));
    }
    // Equal ones in the order of their key, so that a repeated read gives the same array.
    let ties = child
        .primary_key
        .iter()
        .map(|name| (format!("src.{}", quote_ident(name)), ""));
    order.extend(ties);
    let elements = Elements {
        own: own.sql.clone(),
        from: format!("{} AS src", child.name.quoted()),
        conditions,
        order,
        is_distinct: rule.distinct == Some(true),
    };
    let mut gathered = values(&inner, place, &rule.value.0, elements)?;
    gathered.draft.columns = own.columns;
    Some(gathered)
}

/// Compiles `fk` with `each`: every element of an array refers to a row. `None` with problems noted.
pub(super) fn each(
    scope: &Scope<'_>,
    place: &Place<'_>,
    (draft, fk): (Draft, &Fk),
) -> Option<Gathered> {
    let (Ty::Array(from), Ty::Array(to)) = (draft.ty.clone(), Ty::of(&place.column.ty)) else {
        let words = format!(
            "with each, fk turns an array into an array; here is {} for a column that is {}",
            draft.ty, place.column.ty.sql
        );
        return scope.problem(&place.path, words);
    };
    let elements = Elements {
        own: draft.sql.clone(),
        from: "unnest(up.k) WITH ORDINALITY AS src(v, n)".to_owned(),
        conditions: Vec::new(),
        order: vec![("src.n".to_owned(), "")],
        is_distinct: false,
    };
    let mut element = Draft::new("src.v", from.alone());
    element.is_deterministic = draft.is_deterministic;
    if fk.cols.is_some() {
        return scope.problem(&place.path, "with each, fk takes no cols");
    }
    let given = vec![element];
    let mut gathered = references(scope, place, (given, &to), (fk, &place.path), &elements)?;
    let array = &mut gathered.draft;
    array.sql = format!(
        "(CASE WHEN {} IS NOT NULL THEN {} END)",
        draft.sql, array.sql
    );
    let own = std::mem::take(&mut array.faults);
    array.faults = draft.faults.into_iter().chain(own).collect();
    (array.columns, array.mentioned) = (draft.columns, draft.mentioned);
    Some(gathered)
}

/// The row's own column that children refer to, and the condition that they do.
fn link(scope: &Scope<'_>, rule: &ArrayAgg, child: &Table, path: &str) -> Option<(Draft, String)> {
    let by_path = format!("{path}.by");
    let by = named(scope, child, &rule.by, &by_path)?;
    let foreign = child
        .foreign_keys
        .iter()
        .find(|foreign| foreign.target == scope.table.name && foreign.columns == [by.name.clone()]);
    let target = match (
        foreign.map(|foreign| foreign.target_columns.as_slice()),
        scope.key,
    ) {
        (Some([target]), _) | (_, [target]) => target,
        _ => return scope.problem(&by_path, "one column cannot refer to a key of several"),
    };
    let own = scope.column_value(target, &by_path)?;
    match equal(&Ty::of(&by.ty), &own.ty) {
        Some(cast) => Some((
            own,
            format!("src.{}{cast} = up.k{cast}", quote_ident(&by.name)),
        )),
        None => {
            let message = format!(
                "{} is no reference to \"{target}\", which is {}",
                by.ty.sql, own.ty
            );
            scope.problem(&by_path, message)
        }
    }
}

/// `expression`, `expression asc` or `expression desc`.
pub(super) fn ordering(order_by: &Sql) -> (Sql, &'static str) {
    let text = order_by.0.trim_end();
    let cut = |word: &str| {
        let at = text.len().checked_sub(word.len())?;
        let (before, last) = (text.get(..at)?, text.get(at..)?);
        let is_word = last.eq_ignore_ascii_case(word) && before.ends_with(char::is_whitespace);
        is_word.then(|| Sql(before.trim_end().to_owned()))
    };
    match (cut("desc"), cut("asc")) {
        (Some(sql), _) => (sql, " DESC"),
        (None, Some(sql)) => (sql, ""),
        (None, None) => (Sql(text.to_owned()), ""),
    }
}

/// The array of what a pipeline makes of each row.
fn values(
    inner: &Scope<'_>,
    place: &Place<'_>,
    steps: &[StepEntry],
    mut elements: Elements,
) -> Option<Gathered> {
    let path = format!("{}.value", place.path);
    let Ty::Array(element) = Ty::of(&place.column.ty) else {
        let words = format!(
            "column \"{}\" is {}, this makes an array of a built-in type",
            place.column.name, place.column.ty.sql
        );
        return inner.problem(&place.path, words);
    };
    let element = Box::new(element.alone());
    let (last, before) = steps.split_last()?;
    let last_path = format!("{path}[{}].{}", before.len(), last.step.word());
    let fk = match &last.step {
        Step::Fk(fk) => Some(fk),
        _ => None,
    };
    if let (Some(_), Some(_)) = (fk, &last.on_error) {
        return inner.problem(
            &format!("{path}[{}].on_error", before.len()),
            "fk has orphan instead",
        );
    }
    if let Some((fk, columns)) = fk.and_then(|fk| Some((fk, fk.cols.as_ref()?))) {
        if !before.is_empty() {
            return inner.problem(&last_path, "with cols, fk is the first and only step");
        }
        let given = columns.iter().enumerate();
        let given: Option<Vec<Draft>> = given
            .map(|(at, name)| inner.column_value(name, &format!("{last_path}.cols[{at}]")))
            .collect();
        return references(
            inner,
            place,
            (given?, &element),
            (fk, &last_path),
            &elements,
        );
    }
    let draft = value_of(inner, if fk.is_some() { before } else { steps }, &path)?;
    if let (Some(step), Some(_)) = (draft.agent.first(), fk) {
        let words = "runs in the agent; fk needs a value of the source before it";
        return inner.problem(&step.path, words);
    }
    if let Some(fk) = fk {
        let given = vec![draft];
        return references(inner, place, (given, &element), (fk, &last_path), &elements);
    }
    let fit = Fit {
        unfit: last.on_error.as_ref().unwrap_or(inner.on_row_error),
        path: &last_path,
        is_asked: false,
    };
    let draft = inner.noted(&path, convert(draft, &element, &fit))?;
    if elements.is_distinct && matches!(*element, Ty::Json) {
        return inner.problem(&format!("{}.distinct", place.path), "json has no equality");
    }
    if let Some(step) = draft.agent.first() {
        let Some(oid) = oid_of(&element, &place.column.ty.base) else {
            let words = format!(
                "runs in the agent, which makes no {}; use sql",
                place.column.ty.sql
            );
            return inner.problem(&step.path, words);
        };
        // What is equal is known behind the steps.
        let is_distinct = std::mem::take(&mut elements.is_distinct);
        let mut array = Draft::new(
            elements.array(&draft.sql, "text[]", None),
            Ty::Array(element),
        );
        array.faults = elements.lift(&draft.faults);
        array.agent = draft.agent;
        return Some(Gathered {
            draft: array,
            references: None,
            each: Some((oid, is_distinct)),
        });
    }
    let sql = elements.array(&draft.sql, &place.column.ty.base, None);
    let mut array = Draft::new(sql, Ty::Array(element));
    array.faults = elements.lift(&draft.faults);
    Some(Gathered {
        draft: array,
        references: None,
        each: None,
    })
}

/// Type oid of an element that the agent makes.
fn oid_of(element: &Ty, array: &str) -> Option<u32> {
    match element {
        Ty::Text(_) if array == "text[]" => Some(25),
        Ty::Text(_) if array == "character varying[]" => Some(1043),
        Ty::Char(_) => Some(1042),
        Ty::Date => Some(1082),
        Ty::Timestamp(_) => Some(1114),
        Ty::Timestamptz(_) => Some(1184),
        Ty::Json => Some(114),
        Ty::Jsonb => Some(3802),
        _ => None,
    }
}

/// The array of the rows that elements refer to.
fn references(
    inner: &Scope<'_>,
    place: &Place<'_>,
    (given, element): (Vec<Draft>, &Ty),
    (fk, path): (&Fk, &str),
    elements: &Elements,
) -> Option<Gathered> {
    if fk.path.is_some() {
        return inner.problem(&format!("{path}.path"), "an element of an array is no JSON");
    }
    let parent = place
        .all
        .iter()
        .find(|entity| entity.name() == &*fk.entity)?;
    let (keys, id) = (parent.key.as_ref()?, parent.id.as_ref()?);
    let is_set = by::all_set(&given);
    let mut faults: Vec<DraftFault> = given
        .iter()
        .flat_map(|part| elements.lift(&part.faults))
        .collect();
    let (parts, exists) = if fk.by.is_empty() {
        if given.len() != keys.len() {
            let words = format!(
                "the key of {} has {} column(s), here are {}; name them all in cols",
                parent.name(),
                keys.len(),
                given.len()
            );
            return inner.problem(path, words);
        }
        for (part, key) in given.iter().zip(keys) {
            inner.noted(path, reference::same_text(part, key, parent.name()))?;
        }
        let exists = orphan::exists(inner.table, parent, keys, &given);
        (given, exists)
    } else {
        let parts = by::find(inner, parent, keys, &given, (&fk.by, path))?;
        let exists = parts
            .first()
            .map(|part| format!("{} IS NOT NULL", part.sql));
        (parts, exists)
    };
    let mut dropped = None;
    let mut is_kept = is_set.clone();
    if let Some(exists) = exists {
        let action = match &fk.orphan {
            None => None,
            Some(Unfit::Quarantine) => Some(RowAction::Quarantine),
            Some(Unfit::Fail) => Some(RowAction::Fail),
            Some(Unfit::SetNull | Unfit::Default(_)) => {
                let words = "an orphan element is dropped; orphan can be quarantine or fail";
                return inner.problem(&format!("{path}.orphan"), words);
            }
        };
        let is_orphan = format!("({is_set} AND NOT {exists})");
        match action {
            None => {
                dropped = Some(elements.count(&is_orphan));
                is_kept = format!("({is_set} AND {exists})");
            }
            Some(action) => faults.push(DraftFault {
                guard: None,
                condition: Some(elements.any(&is_orphan)),
                fault: Fault {
                    code: "DROVER_ORPHAN".to_owned(),
                    path: path.to_owned(),
                    message: format!(
                        "an element refers to a row of {} that does not exist",
                        parent.name()
                    ),
                    action,
                },
            }),
        }
    }
    let width = parts.len();
    let (value, text, array, is_id) = match id {
        IdRule::Uuid5 { .. } if *element == Ty::Uuid => {
            let (sql, text) = match parts.as_slice() {
                [part] => key::text_of(part),
                several => (key::record_id(several), KeyText::Text),
            };
            (sql, text, array_of(text), true)
        }
        IdRule::Uuid5 { .. } => {
            let words = format!(
                "column \"{}\" is {}, the ids of {} are uuid",
                place.column.name,
                place.column.ty.sql,
                parent.name()
            );
            return inner.problem(path, words);
        }
        IdRule::Keep { .. } => {
            let fit = Fit {
                unfit: inner.on_row_error,
                path,
                is_asked: false,
            };
            let draft = parts.into_iter().next()?;
            let value = inner.noted(path, convert(draft, element, &fit))?;
            faults.extend(elements.lift(&value.faults));
            let (_, text) = key::text_of(&value);
            if text == KeyText::Text && !matches!(value.ty, Ty::Text(_)) {
                let words = format!("an array of {} cannot hold references", value.ty);
                return inner.problem(path, words);
            }
            (value.sql, text, place.column.ty.base.as_str(), false)
        }
        IdRule::None { .. } => {
            let words = format!("rows of {} have no id (kind none)", parent.name());
            return inner.problem(path, words);
        }
    };
    let sql = elements.array(&value, array, Some(&is_kept));
    let mut array = Draft::new(sql, Ty::Array(Box::new(element.clone())));
    array.faults = faults;
    let references = References {
        parent: parent.name().to_owned(),
        named: parent.named().to_owned(),
        text,
        width,
        is_id,
        dropped,
        is_deferred: fk.deferred == Some(true),
    };
    Some(Gathered {
        draft: array,
        references: Some(references),
        each: None,
    })
}

/// The array type of keys that read as text so.
fn array_of(text: KeyText) -> &'static str {
    match text {
        KeyText::Int2 => "smallint[]",
        KeyText::Int4 => "integer[]",
        KeyText::Int8 => "bigint[]",
        KeyText::Text => "text[]",
        KeyText::Uuid => "uuid[]",
    }
}
