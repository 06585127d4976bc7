//! A compiled entity in words, for `drover rules explain`.

use serde::Serialize;

use super::super::compiled::{
    AgentOp, AgentStep, CompiledEntity, Digest, DocumentCall, Fault, IdCall, IdRule, JsonStep,
    KeyPart, OrphanAction, REDACTED, RowAction, ValueRule, WriteColumn,
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
                steps: column_words(entity, column),
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
        IdRule::Uuid5 {
            column,
            entity: name,
        } if *name != entity.entity => {
            format!("{column} is the id of the same key in {name}")
        }
        IdRule::Uuid5 { column, .. } => match &entity.matches {
            Some(rule) => {
                let names: Vec<&str> = rule.columns.iter().map(|it| it.name.as_str()).collect();
                let names = names.join(" and ");
                format!(
                    "{column} is that of the row with the same {names}, else a uuid5 of the key"
                )
            }
            None => format!("{column} is a uuid5 of the key"),
        },
        IdRule::Keep { column } => format!("{column} keeps the key"),
        IdRule::None { columns } => {
            format!("none: {} identify a row", columns.join(", "))
        }
    }
}

/// As [`value_words`], and what the agent looks up first.
fn column_words(entity: &CompiledEntity, column: &WriteColumn) -> Vec<String> {
    let value = &column.value;
    let fields: Vec<usize> = match value {
        ValueRule::Field(field) | ValueRule::Steps { field, .. } => vec![*field],
        ValueRule::Id(call) => call.parts.iter().map(|part| part.field).collect(),
        ValueRule::Ids(call) => vec![call.part.field],
        ValueRule::EachSteps(call) => vec![call.field],
        ValueRule::Document(call) => vec![call.field],
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
    let cast = column.cast.iter();
    words.extend(cast.map(|name| format!("as text, of which the destination makes {name}")));
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
        ValueRule::Document(call) => document_words(call),
        ValueRule::Steps { field, steps } => steps_words(name(*field), steps),
        ValueRule::EachSteps(call) => {
            let once = if call.is_distinct { ", once" } else { "" };
            steps_words(
                format!("each element of {}{once}", name(call.field)),
                &call.steps,
            )
        }
    }
}

fn steps_words(input: String, steps: &[AgentStep]) -> Vec<String> {
    let mut words = vec![input];
    words.extend(steps.iter().map(|step| match step.op.can_fail() {
        true => {
            let otherwise = action_words(&step.on_error);
            format!("{}, else {otherwise}", op_words(&step.op))
        }
        false => op_words(&step.op),
    }));
    words
}

fn document_words(call: &DocumentCall) -> Vec<String> {
    let places = call.references.iter().map(|reference| {
        let path: String = reference
            .path
            .iter()
            .map(|step| match step {
                JsonStep::Item(name) => format!(".{name}"),
                JsonStep::Each => "[*]".to_owned(),
            })
            .collect();
        let found = name(reference.found);
        match &reference.entity {
            Some(entity) => format!("${path} becomes the id of {entity} that {found} finds"),
            None => format!("${path} stays where {found} finds it"),
        }
    });
    std::iter::once(name(call.field)).chain(places).collect()
}

fn call_words(call: &IdCall) -> String {
    let part = |part: &KeyPart| name(part.field);
    let parts: Vec<String> = call.parts.iter().map(part).collect();
    format!("id of {} {}", call.entity, parts.join(":"))
}

fn op_words(op: &AgentOp) -> String {
    match op {
        AgentOp::Email => "an e-mail address, trimmed and in lower case".to_owned(),
        AgentOp::ParseDate => "a date YYYY-MM-DD".to_owned(),
        AgentOp::ParseTimestamp => "a timestamp in ISO 8601".to_owned(),
        AgentOp::ParseTimestamptz => "a timestamp with offset in ISO 8601".to_owned(),
        AgentOp::ParseJson | AgentOp::ParseJsonb => "JSON".to_owned(),
        AgentOp::Nfc => "in Unicode normal form C".to_owned(),
        AgentOp::Phone { region: None } => "a telephone number with country code".to_owned(),
        AgentOp::Phone {
            region: Some(region),
        } => format!("a telephone number, of {region} without country code"),
        AgentOp::Hash(digest) => format!("its {} hash", digest_words(*digest)),
        AgentOp::Hmac { digest, key_from } => {
            format!("its {} hash with the key {key_from}", digest_words(*digest))
        }
        AgentOp::Mask { keep_last } => format!("* but for the last {keep_last} characters"),
        AgentOp::Redact => format!("\"{REDACTED}\""),
        AgentOp::JsonGet(parts) => format!("what it has at {}", parts.join(".")),
    }
}

fn digest_words(digest: Digest) -> &'static str {
    match digest {
        Digest::Sha256 => "SHA-256",
        Digest::Sha512 => "SHA-512",
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
