//! One entity: its rules, its SELECT and everything else an agent needs.

use super::super::catalog::Table;
use super::super::compiled::{
    CompiledEntity, Fault, IdCall, IdRule, KeyPart, LateReference, OrphanCheck, ParentRef,
    ReadRule, ValueRule, WriteColumn,
};
use super::super::rules::{Draft, DraftFault, Fit, Scope, Ty, convert};
use super::column::{self, Rule, RuleValue};
use super::fields::Fields;
use super::resolve::Resolved;
use super::{Context, conflict, coverage, faults, hash, joins, key, like, matching, needs};

mod references;
mod shapes;

/// Compiles an entity. `None` with problems noted.
pub(super) fn compile<'a>(
    context: &Context<'a>,
    all: &[Resolved<'a>],
    entity: &Resolved<'a>,
) -> Option<CompiledEntity> {
    let before = context.log.count();
    let (source, destination) = (entity.source?, entity.destination?);
    let key_names: Vec<String> = entity
        .key
        .iter()
        .flatten()
        .map(|column| column.name.clone())
        .collect();
    let joined = joins::resolve(context.source, context.log, entity)?;
    let others = needs::others(context, all);
    let join_sql = joins::sql_of_all(entity.entity);
    let scope = Scope {
        table: source,
        joined: &joined,
        joins: &join_sql,
        others: &others,
        key: &key_names,
        timezone: entity.timezone,
        on_row_error: &entity.on_row_error,
        expressions: &context.source.expressions,
        server_version: context.source.server_version,
        log: context.log,
    };
    let filter = entity.entity.filter.as_ref();
    let filter = filter.and_then(|sql| scope.condition(sql, &format!("{}.where", entity.path)));
    let join = joins::rule(entity, &joined, &key_names);
    let rules = column::compile_all(&scope, entity, all, destination);
    coverage::check_destination(&scope, entity, destination);
    let matching = matching::compile(&scope, entity, destination);
    if let Some(matching) = &matching {
        coverage::check_source(&scope, entity, &rules, &matching.columns);
    }
    let snapshot = coverage::snapshot(&scope, entity, &rules, destination);
    let mut parts = Assembly::new(entity)?;
    // First, so that its verdict is: the other checks see one of the rows.
    let (join, several) = join.unzip();
    parts.drafts.extend(several.flatten());
    let id = entity.id.clone()?;
    match like::compile(&scope, entity, all, destination) {
        Some(rule) => parts.write_rule(entity, &rule),
        None => parts.write_id(&scope, entity, &id, destination),
    }
    for rule in &rules {
        parts.write_rule(entity, rule);
    }
    let knot = parts.knot(&scope, entity, &id);
    let (fields, fault_field, drafts) = parts.finish_fields(&scope, entity);
    let (verdicts, orphans) = (faults::verdicts(&drafts), parts.finish_orphans(&drafts));
    if context.log.count() > before {
        return None;
    }
    let on_conflict = conflict::compile(&scope, entity, &id, (destination, &parts.columns))?;
    let order = |column: &WriteColumn| {
        destination
            .columns
            .iter()
            .position(|known| known.name == column.name)
    };
    parts.columns.sort_by_key(order);
    for written in &mut parts.columns {
        let column = destination.column(&written.name);
        written.cast = column.and_then(|column| match Ty::of(&column.ty) {
            Ty::User(name) => Some(name),
            _ => None,
        });
    }
    let needed = needs::dependencies(entity);
    let mut compiled = CompiledEntity {
        entity: entity.name().to_owned(),
        entity_type: entity.entity.entity_type.to_string(),
        version: entity
            .entity
            .version
            .as_ref()
            .map_or_else(|| "1".to_owned(), |v| v.0.clone()),
        is_active: entity.entity.is_active.unwrap_or(true),
        dependencies: all
            .iter()
            .map(|other| other.name().to_owned())
            .filter(|name| needed.contains(name.as_str()))
            .collect(),
        read: ReadRule {
            source: source.name.clone(),
            joins: join,
            also: needs::also(entity, all),
            key: parts.key,
            fields,
            fault_field,
            filter: entity
                .entity
                .filter
                .as_ref()
                .zip(filter)
                .map(|(sql, draft)| {
                    // As it is, where it needs no wrapping.
                    if draft.sql == format!("({}\n)", sql.0) {
                        sql.0.clone()
                    } else {
                        draft.sql
                    }
                }),
            time_zone: entity.timezone.map(str::to_owned),
        },
        destination: destination.name.clone(),
        columns: parts.columns,
        id,
        matches: matching?.rule,
        on_conflict,
        faults: verdicts,
        orphans,
        parents: parts.parents,
        late: parts.late,
        knot,
        snapshot,
        on_row_error: entity.row_action(),
        settings: entity.settings.clone(),
        hash: String::new(),
    };
    compiled.hash = hash::of(&compiled, context.plan.namespace);
    Some(compiled)
}

/// The parts of a compiled entity while its rules are put together.
struct Assembly {
    key: Vec<super::super::compiled::KeyColumn>,
    fields: Fields,
    columns: Vec<WriteColumn>,
    drafts: Vec<DraftFault>,
    orphans: Vec<(OrphanCheck, Option<Fault>)>,
    parents: Vec<ParentRef>,
    late: Vec<LateReference>,
}

impl Assembly {
    /// Begins with the key; `None` where the entity has none.
    fn new(entity: &Resolved<'_>) -> Option<Self> {
        let mut fields = Fields::default();
        let mut key = Vec::new();
        for column in entity.key.as_ref()? {
            let (column, sql) = key::column(column);
            fields.push(sql);
            key.push(column);
        }
        Some(Self {
            key,
            fields,
            columns: Vec::new(),
            drafts: Vec::new(),
            orphans: Vec::new(),
            parents: Vec::new(),
            late: Vec::new(),
        })
    }

    /// The id column, which no rule writes.
    fn write_id(
        &mut self,
        scope: &Scope<'_>,
        entity: &Resolved<'_>,
        id: &IdRule,
        destination: &Table,
    ) {
        match id {
            IdRule::Uuid5 {
                column,
                entity: named,
            } => {
                let call = IdCall {
                    entity: named.clone(),
                    parts: self.own_key(),
                };
                self.columns
                    .push(WriteColumn::new(column, ValueRule::Id(call)));
            }
            IdRule::Keep { column } => {
                let path = format!("{}.id", entity.path);
                let [key] = scope.key else {
                    scope.log.add(path, "kind keep needs a key of one column");
                    return;
                };
                let fit = Fit {
                    unfit: scope.on_row_error,
                    path: &path,
                    is_asked: false,
                };
                let draft = scope
                    .column_value(key, &path)
                    .zip(destination.column(column));
                if let Some((draft, target)) = draft
                    && let Some(draft) =
                        scope.noted(&path, convert(draft, &Ty::of(&target.ty), &fit))
                {
                    self.write_draft(column, &draft);
                }
            }
            IdRule::None { .. } => {}
        }
    }

    /// This row's own key as parts of a name.
    fn own_key(&self) -> Vec<KeyPart> {
        self.key
            .iter()
            .enumerate()
            .map(|(field, column)| KeyPart {
                field,
                text: column.text,
            })
            .collect()
    }

    fn write_rule(&mut self, entity: &Resolved<'_>, rule: &Rule<'_>) {
        self.drafts.extend(rule.faults().iter().cloned());
        match &rule.value {
            RuleValue::Draft(draft) => self.write_draft(&rule.column.name, draft),
            RuleValue::Reference(reference) => self.write_reference(entity, rule, reference),
            RuleValue::Polymorphic(reference) => self.write_choice(entity, rule, reference),
            RuleValue::Array(gathered) => self.write_array(entity, rule, gathered),
            RuleValue::Document(document) => self.write_document(entity, rule, document),
        }
    }

    fn write_draft(&mut self, column: &str, draft: &Draft) {
        let field = self.fields.index(&draft.sql);
        self.write_field(column, draft, field);
    }

    fn write_field(&mut self, column: &str, draft: &Draft, field: usize) {
        self.drafts.extend(draft.faults.iter().cloned());
        let value = if draft.agent.is_empty() {
            ValueRule::Field(field)
        } else {
            ValueRule::Steps {
                field,
                steps: draft.agent.clone(),
            }
        };
        self.columns.push(WriteColumn::new(column, value));
    }

    /// The SELECT's fields with the checks behind them.
    fn finish_fields(
        &mut self,
        scope: &Scope<'_>,
        entity: &Resolved<'_>,
    ) -> (Vec<String>, Option<usize>, Vec<DraftFault>) {
        let drafts = faults::distinct(std::mem::take(&mut self.drafts));
        let mut fields = std::mem::take(&mut self.fields);
        if drafts.len() > faults::MAX_FAULTS {
            let path = format!("{}.transformation_rules", entity.path);
            let message = format!(
                "too many checks: {} of at most {}; let some rules say set_null or a default",
                drafts.len(),
                faults::MAX_FAULTS
            );
            scope.log.add(path, message);
            return (fields.into_vec(), None, Vec::new());
        }
        let fault_field = faults::bits(&drafts).map(|sql| fields.push(sql));
        (fields.into_vec(), fault_field, drafts)
    }
}
