//! A compiled entity in words, for `drover rules explain`.

use serde::Serialize;

use super::super::compiled::{
    AgentOp, CompiledEntity, Fault, IdCall, IdRule, KeyPart, OrphanAction, RowAction, ValueRule,
};

/// What the SELECT and the agent do for an entity.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The entity.
    pub entity: String,
    /// Source table.
    pub source: String,
    /// Destination table.
    pub destination: String,
    /// Condition of the rows that are read.
    pub filter: Option<String>,
    /// Key columns in order.
    pub key: Vec<String>,
    /// What the new rows are called, in words.
    pub id: String,
    /// Entities that come first.
    pub dependencies: Vec<String>,
    /// Fields of the SELECT in order.
    pub fields: Vec<ExplainedField>,
    /// Destination columns in order.
    pub columns: Vec<ExplainedColumn>,
    /// Checks that the SELECT makes.
    pub checks: Vec<ExplainedCheck>,
}

/// A field of the SELECT.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainedField {
    /// Its name in the SELECT, `c1` and so on.
    pub name: String,
    /// Its expression.
    pub sql: String,
}

/// A destination column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainedColumn {
    /// Its name.
    pub column: String,
    /// What the agent does, in words; one item where the field passes through.
    pub steps: Vec<String>,
}

/// A check of the SELECT.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainedCheck {
    /// Code of the error row.
    pub code: String,
    /// Path of the rule.
    pub path: String,
    /// What is wrong and what happens then.
    pub message: String,
}

/// Puts a compiled entity into words.
pub fn explain(entity: &CompiledEntity) -> Explanation {
    let read = &entity.read;
    let field = |(at, sql): (usize, &String)| ExplainedField {
        name: name(at),
        sql: sql.clone(),
    };
    Explanation {
        entity: entity.entity.clone(),
        source: read.source.to_string(),
        destination: entity.destination.to_string(),
        filter: read.filter.clone(),
        key: read.key.iter().map(|column| column.name.clone()).collect(),
        id: id_words(entity),
        dependencies: entity.dependencies.clone(),
        fields: read.fields.iter().enumerate().map(field).collect(),
        columns: entity
            .columns
            .iter()
            .map(|column| ExplainedColumn {
                column: column.name.clone(),
                steps: column_words(entity, &column.value),
            })
            .collect(),
        checks: entity.faults.iter().map(check_words).collect(),
    }
}

fn name(field: usize) -> String {
    format!("c{}", field + 1)
}

fn id_words(entity: &CompiledEntity) -> String {
    match &entity.id {
        IdRule::Uuid5 { column } => format!("{column} is a uuid5 of the key"),
        IdRule::Keep { column } => format!("{column} keeps the key"),
        IdRule::None { columns } => {
            format!("none: {} identify a row", columns.join(", "))
        }
    }
}

/// As [`value_words`], and what the agent looks up first.
fn column_words(entity: &CompiledEntity, value: &ValueRule) -> Vec<String> {
    let fields: Vec<usize> = match value {
        ValueRule::Field(field) | ValueRule::Steps { field, .. } => vec![*field],
        ValueRule::Id(call) => call.parts.iter().map(|part| part.field).collect(),
        ValueRule::Ids(call) => vec![call.part.field],
        ValueRule::FirstId(calls) => {
            let parts = calls.iter().flat_map(|call| &call.parts);
            parts.map(|part| part.field).collect()
        }
    };
    let nulls = entity.orphans.iter().filter(|check| {
        check.action == OrphanAction::SetNull && fields.contains(&check.part.field)
    });
    let mut words: Vec<String> = nulls
        .map(|check| {
            let name = name(check.part.field);
            format!("{name} is NULL where {} has no such row", check.entity)
        })
        .collect();
    words.extend(value_words(value));
    words
}

fn value_words(value: &ValueRule) -> Vec<String> {
    match value {
        ValueRule::Field(field) => vec![format!("{} as it is", name(*field))],
        ValueRule::Id(call) => vec![call_words(call)],
        ValueRule::FirstId(calls) => {
            let words: Vec<String> = calls.iter().map(call_words).collect();
            vec![format!("the first of: {}", words.join(", "))]
        }
        ValueRule::Ids(call) => vec![format!("ids of {} {}", call.entity, name(call.part.field))],
        ValueRule::Steps { field, steps } => {
            let mut words = vec![name(*field)];
            words.extend(steps.iter().map(|step| {
                format!(
                    "{}, else {}",
                    op_words(&step.op),
                    action_words(&step.on_error)
                )
            }));
            words
        }
    }
}

fn call_words(call: &IdCall) -> String {
    let part = |part: &KeyPart| name(part.field);
    let parts: Vec<String> = call.parts.iter().map(part).collect();
    format!("id of {} {}", call.entity, parts.join(":"))
}

fn op_words(op: &AgentOp) -> &'static str {
    match op {
        AgentOp::Email => "an e-mail address, trimmed and in lower case",
        AgentOp::ParseDate => "a date YYYY-MM-DD",
        AgentOp::ParseTimestamp => "a timestamp in ISO 8601",
        AgentOp::ParseTimestamptz => "a timestamp with offset in ISO 8601",
        AgentOp::ParseJson | AgentOp::ParseJsonb => "JSON",
    }
}

fn action_words(action: &RowAction) -> String {
    match action {
        RowAction::Fail => "the run stops".to_owned(),
        RowAction::Quarantine => "the row is quarantined".to_owned(),
        RowAction::SetNull => "NULL".to_owned(),
        RowAction::Default(text) => format!("\"{text}\""),
    }
}

fn check_words(fault: &Fault) -> ExplainedCheck {
    ExplainedCheck {
        code: fault.code.clone(),
        path: fault.path.clone(),
        message: format!("{}: {}", fault.message, action_words(&fault.action)),
    }
}
