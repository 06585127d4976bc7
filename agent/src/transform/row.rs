//! One row: source tuple in, destination tuple and id map entry out, or a failure.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use foldhash::fast::RandomState;
use proto::domain::compiled::{
    AgentStep, CompiledEntity, ConflictRule, EachCall, Fault, IdCall, IdRule, IdsCall, KeyPart,
    KeyText, OrphanCheck, ParentRef, RowAction, ValueRule,
};
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::id::IdMaker;
use proto::domain::key::{KeyValue, record_id};
use serde_json::json;
use uuid::Uuid;

use super::document::{self, Document};
use super::encode::{put, put_head};
use super::ids::NamedMaker;
use super::map_entry::MapEntry;
use super::objection::Objection;
use super::overrides::{Match, Overrides};
use super::presence::Presence;
use super::secrecy::Keys;
use super::{ids, key, steps};
use crate::batch::Batch;
use crate::source::tuple::Tuple;

/// Keys of rows that failed, per parent entity: their children are held.
pub type HeldKeys = HashMap<String, KeySet, RandomState>;
/// Keys as texts; asked once per row and reference.
pub type KeySet = HashSet<String, RandomState>;

enum Value {
    /// Source fields as they came, first and last: neighbours in the SELECT and in the table.
    Fields(usize, usize),
    Own,
    Id {
        maker: NamedMaker,
        parts: Vec<KeyPart>,
    },
    FirstId(Vec<(NamedMaker, Vec<KeyPart>)>),
    Ids {
        maker: NamedMaker,
        call: IdsCall,
    },
    EachSteps {
        call: EachCall,
        column: String,
    },
    Document {
        document: Document,
        column: String,
    },
    Steps {
        field: usize,
        steps: Vec<AgentStep>,
        column: String,
    },
}

/// A compiled entity, ready to turn rows.
pub struct RowTransform {
    key: Vec<KeyText>,
    fault_field: Option<usize>,
    faults: Vec<Fault>,
    orphans: Vec<OrphanCheck>,
    columns: Vec<Value>,
    /// Number of destination columns.
    width: usize,
    own: IdMaker,
    /// The entity that names the rows' ids.
    named: String,
    /// What becomes of rows that match the same row, and the rule that says so.
    duplicates: Option<(RowAction, String)>,
    overrides: OnceLock<Overrides>,
    map: MapEntry,
    parents: Vec<ParentRef>,
    /// Rows and mappings carry their number in the batch in front: they go through a stage.
    is_numbered: bool,
    default_action: RowAction,
    keys: Keys,
}

/// Buffers that are used again for every row.
#[derive(Default)]
pub struct Scratch {
    text: String,
    ends: Vec<usize>,
    ids: Vec<Option<Uuid>>,
    part: String,
}

impl Scratch {
    /// The key of the row that was appended last.
    pub fn last_key(&self) -> Option<KeyValue> {
        (!self.ends.is_empty()).then(|| KeyValue(key_parts(self).map(str::to_owned).collect()))
    }
}

impl RowTransform {
    /// The keys of its steps.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Prepares an entity; `keys` are those of its steps.
    pub fn new(entity: &CompiledEntity, namespace: Uuid, keys: Keys) -> Self {
        let columns = entity.columns.iter().map(|column| match &column.value {
            ValueRule::Field(field) => Value::Fields(*field, *field),
            ValueRule::Id(call) if is_own_id(entity, call) => Value::Own,
            ValueRule::Id(call) => Value::Id {
                maker: NamedMaker::new(namespace, &call.entity),
                parts: call.parts.clone(),
            },
            ValueRule::FirstId(calls) => {
                let maker = |call: &IdCall| {
                    let maker = NamedMaker::new(namespace, &call.entity);
                    (maker, call.parts.clone())
                };
                Value::FirstId(calls.iter().map(maker).collect())
            }
            ValueRule::Ids(call) => Value::Ids {
                maker: NamedMaker::new(namespace, &call.entity),
                call: call.clone(),
            },
            ValueRule::EachSteps(call) => Value::EachSteps {
                call: call.clone(),
                column: column.name.clone(),
            },
            ValueRule::Document(call) => Value::Document {
                document: Document::new(call, |named| NamedMaker::new(namespace, named)),
                column: column.name.clone(),
            },
            ValueRule::Steps { field, steps } => Value::Steps {
                field: *field,
                steps: steps.clone(),
                column: column.name.clone(),
            },
        });
        Self {
            key: entity.read.key.iter().map(|column| column.text).collect(),
            fault_field: entity.read.fault_field,
            faults: entity.faults.clone(),
            orphans: entity.orphans.clone(),
            width: entity.columns.len(),
            columns: columns.fold(Vec::new(), join_fields),
            own: IdMaker::new(namespace, named(entity)),
            named: named(entity).to_owned(),
            duplicates: entity
                .matches
                .as_ref()
                .map(|rule| (rule.duplicates.clone(), rule.path.clone())),
            overrides: OnceLock::new(),
            map: MapEntry::new(entity),
            parents: entity.parents.clone(),
            is_numbered: entity.on_conflict != ConflictRule::Error,
            default_action: entity.on_row_error.clone(),
            keys,
        }
    }

    /// Turns a row and appends it, or its failure, to the batch.
    ///
    /// # Errors
    /// `RowRefused` where a rule says `fail`; `Internal` when the tuple is not as compiled.
    pub fn append(
        &self,
        tuple: &mut Tuple,
        (held, presence): (&HeldKeys, &Presence),
        scratch: &mut Scratch,
        batch: &mut Batch,
    ) -> Result<(), Failure> {
        self.read_key(tuple, scratch)?;
        let orphaned = presence.judge(&self.orphans, tuple)?;
        let verdict = match self.first_objection(tuple, held, (orphaned, &mut scratch.part))? {
            Some(objection) => Some(objection),
            None => self.encode(tuple, scratch, batch)?,
        };
        let parts = key_parts(scratch);
        match verdict {
            None => batch.keys.push(parts),
            Some(objection) => {
                let key = KeyValue(parts.map(str::to_owned).collect());
                batch
                    .failures
                    .push(objection.into_failure(batch.rows.len(), key)?);
            }
        }
        Ok(())
    }

    /// The entities that name the ids it makes, its own first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let referred = self.columns.iter().flat_map(|column| match column {
            Value::Id { maker, .. } | Value::Ids { maker, .. } => vec![maker.named.as_str()],
            Value::FirstId(calls) => {
                let makers = calls.iter().map(|(maker, _)| maker.named.as_str());
                makers.collect()
            }
            Value::Document { document, .. } => document.names().collect(),
            Value::Fields(..) | Value::Own | Value::Steps { .. } | Value::EachSteps { .. } => {
                Vec::new()
            }
        });
        std::iter::once(self.named.as_str()).chain(referred)
    }

    /// Whether the ids that are no uuid5 are known.
    pub fn knows_overrides(&self) -> bool {
        self.overrides.get().is_some()
    }

    /// Makes the ids known that are no uuid5; those that were known first stay.
    pub fn know_overrides(&self, overrides: Overrides) {
        let _ = self.overrides.set(overrides);
    }

    /// What a row that the destination refuses becomes.
    pub fn default_action(&self) -> &RowAction {
        &self.default_action
    }

    fn read_key(&self, tuple: &Tuple, scratch: &mut Scratch) -> Result<(), Failure> {
        scratch.text.clear();
        scratch.ends.clear();
        for (at, text) in self.key.iter().enumerate() {
            let bytes = tuple
                .field(at)
                .ok_or_else(|| Failure::new(FailureKind::SchemaDrift, "a key column holds NULL"))?;
            key::push_text(&mut scratch.text, *text, bytes)?;
            scratch.ends.push(scratch.text.len());
        }
        Ok(())
    }

    fn first_objection(
        &self,
        tuple: &Tuple,
        held: &HeldKeys,
        (orphaned, text): (u64, &mut String),
    ) -> Result<Option<Objection>, Failure> {
        if let Some(fault) = self.fault(tuple, orphaned)? {
            return Ok(Some(Objection {
                code: fault.code.clone(),
                message: fault.message.clone(),
                context: json!({ "rule": fault.path }),
                action: fault.action.clone(),
                is_held: false,
            }));
        }
        for parent in self.parents.iter().filter(|_| !held.is_empty()) {
            let Some(keys) = held.get(&parent.entity) else {
                continue;
            };
            if ids::is_held(parent, tuple, keys, text)? {
                return Ok(Some(Objection {
                    code: "DROVER_PARENT_QUARANTINED".to_owned(),
                    message: format!("the row's parent in {} failed", parent.entity),
                    context: json!({ "column": parent.column, "parent_entity": parent.entity,
                                     "parent_id": text }),
                    action: RowAction::Quarantine,
                    is_held: true,
                }));
            }
        }
        Ok(None)
    }

    /// The first verdict on the row: the SELECT's and the agent's, in the order of the rules.
    fn fault(&self, tuple: &Tuple, orphaned: u64) -> Result<Option<&Fault>, Failure> {
        let selected = match self.fault_field {
            None => 0,
            Some(field) => tuple
                .field(field)
                .and_then(|bytes| key::as_int8(KeyText::Int8, bytes))
                .ok_or_else(|| {
                    Failure::new(FailureKind::Internal, "the row's check column is missing")
                })?,
        };
        let bits = selected.cast_unsigned() | orphaned;
        if bits == 0 {
            return Ok(None);
        }
        let lowest = usize::try_from(bits.trailing_zeros()).unwrap_or(usize::MAX);
        self.faults.get(lowest).map(Some).ok_or_else(|| {
            Failure::new(
                FailureKind::Internal,
                "the row's check column has an unknown bit",
            )
        })
    }

    fn encode(
        &self,
        tuple: &Tuple,
        scratch: &mut Scratch,
        batch: &mut Batch,
    ) -> Result<Option<Objection>, Failure> {
        let own = match self.own_id(scratch) {
            Ok(own) => own,
            Err(objection) => return Ok(Some(objection)),
        };
        let start = batch.rows.bytes.len();
        let number = self.is_numbered.then(|| batch.read());
        let overrides = self.overrides.get();
        let out = &mut batch.rows.bytes;
        put_head(out, self.width, number);
        scratch.ids.clear();
        for column in &self.columns {
            match column {
                Value::Fields(first, last) => match tuple.encoded(*first, *last) {
                    Some(bytes) => out.extend_from_slice(bytes),
                    None => (*first..=*last).for_each(|field| put(out, tuple.field(field))),
                },
                Value::Own => {
                    scratch.ids.push(Some(own));
                    put(out, Some(own.as_bytes()));
                }
                Value::Id { maker, parts } => {
                    let id = maker.id(parts, tuple, (overrides, &mut scratch.part))?;
                    scratch.ids.push(id);
                    put(out, id.as_ref().map(|id| id.as_bytes().as_slice()));
                }
                Value::FirstId(calls) => {
                    let id = ids::first_id(calls, tuple, (overrides, &mut scratch.part))?;
                    scratch.ids.push(id);
                    put(out, id.as_ref().map(|id| id.as_bytes().as_slice()));
                }
                Value::Ids { maker, call } => {
                    let array = maker.ids(
                        (call.part, call.width),
                        tuple,
                        (overrides, &mut scratch.part),
                    )?;
                    put(out, array.as_deref());
                    batch.dropped += ids::dropped(call, tuple);
                }
                Value::Document { document, column } => {
                    match document.encode(tuple, column, overrides)? {
                        document::Outcome::Value(value) => put(out, value.as_deref()),
                        document::Outcome::Refused(objection) => {
                            out.truncate(start);
                            return Ok(Some(objection));
                        }
                    }
                }
                Value::Steps {
                    field,
                    steps,
                    column,
                } => {
                    let outcome = steps::run(steps, &self.keys, tuple.field(*field));
                    if let Some(objection) = put_outcome(out, outcome, column) {
                        out.truncate(start);
                        return Ok(Some(objection));
                    }
                }
                Value::EachSteps { call, column } => {
                    let outcome = steps::run_each(call, &self.keys, tuple.field(call.field))?;
                    if let Some(objection) = put_outcome(out, outcome, column) {
                        out.truncate(start);
                        return Ok(Some(objection));
                    }
                }
            }
        }
        batch.rows.finish_row();
        self.map.append(
            &mut batch.map.bytes,
            (tuple, parts_of(&scratch.text, &scratch.ends)),
            (own, number),
            (&scratch.ids, &mut scratch.part),
        );
        batch.map.finish_row();
        Ok(None)
    }

    /// The row's own id: one hash serves its column and the id map.
    fn own_id(&self, scratch: &Scratch) -> Result<Uuid, Objection> {
        if let Some(overrides) = self.overrides.get().filter(|all| all.has(&self.named)) {
            match overrides.get(&self.named, &record_id(key_parts(scratch))) {
                None => {}
                Some(Match::Id(id)) => return Ok(id),
                Some(refusal) => {
                    let rule = self.duplicates.as_ref();
                    return Err(Objection::of_match(refusal, rule, &self.default_action));
                }
            }
        }
        let mut builder = self.own.start();
        for part in key_parts(scratch) {
            builder.push_part(part.as_bytes());
        }
        Ok(builder.finish())
    }

    /// Whether id map entries carry metadata as a third field.
    pub fn has_map_meta(&self) -> bool {
        self.map.has_meta()
    }
}

/// Appends what steps made of a value, or says why the row is not written.
fn put_outcome(out: &mut Vec<u8>, outcome: steps::Outcome, column: &str) -> Option<Objection> {
    match outcome {
        steps::Outcome::Value(value) => put(out, Some(&value)),
        steps::Outcome::Null => put(out, None),
        steps::Outcome::Refused {
            code,
            reason,
            path,
            action,
        } => {
            return Some(Objection {
                code: code.to_owned(),
                message: reason.to_owned(),
                context: json!({ "rule": path, "column": column }),
                action,
                is_held: false,
            });
        }
    }
    None
}

/// The entity that names the ids of an entity's rows.
pub fn named(entity: &CompiledEntity) -> &str {
    match &entity.id {
        IdRule::Uuid5 { entity: named, .. } => named,
        IdRule::Keep { .. } | IdRule::None { .. } => &entity.entity,
    }
}

/// Whether a column holds the row's own id.
fn is_own_id(entity: &CompiledEntity, call: &IdCall) -> bool {
    call.entity == named(entity)
        && call.parts.len() == entity.read.key.len()
        && call.parts.iter().enumerate().all(|(at, part)| {
            part.field == at
                && entity
                    .read
                    .key
                    .get(at)
                    .is_some_and(|key| key.text == part.text)
        })
}

/// Source fields that follow each other in the SELECT and in the table are copied in one piece.
fn join_fields(mut columns: Vec<Value>, next: Value) -> Vec<Value> {
    match (columns.last_mut(), next) {
        (Some(Value::Fields(_, last)), Value::Fields(first, end)) if *last + 1 == first => {
            *last = end;
        }
        (_, next) => columns.push(next),
    }
    columns
}

fn key_parts(scratch: &Scratch) -> impl ExactSizeIterator<Item = &str> {
    parts_of(&scratch.text, &scratch.ends)
}

/// The texts that end at these places.
fn parts_of<'a>(text: &'a str, ends: &'a [usize]) -> impl ExactSizeIterator<Item = &'a str> {
    let mut start = 0;
    ends.iter().map(move |end| {
        let part = &text[start..*end];
        start = *end;
        part
    })
}
