//! One row: source tuple in, destination tuple and id map entry out, or a failure.

use std::collections::{HashMap, HashSet};

use proto::domain::compiled::{
    AgentStep, CompiledEntity, Fault, IdCall, IdRule, IdsCall, KeyPart, KeyText, OrphanCheck,
    ParentRef, RowAction, ValueRule,
};
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::id::IdMaker;
use proto::domain::key::{KeyValue, record_id};
use serde_json::json;
use uuid::Uuid;

use super::presence::Presence;
use super::{ids, key, steps};
use crate::batch::{Batch, RowFailure};
use crate::source::tuple::Tuple;

/// Keys of rows that failed, per parent entity: their children are held.
pub type HeldKeys = HashMap<String, HashSet<String>>;

/// How an entity's id map stores the legacy key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyShape {
    /// One integer.
    Int8,
    /// One text: the key itself, or a JSON array.
    Text,
}

impl KeyShape {
    /// The shape of an entity's key.
    pub fn of(entity: &CompiledEntity) -> Self {
        match entity.read.key.as_slice() {
            [only] => match only.text {
                KeyText::Int2 | KeyText::Int4 | KeyText::Int8 => Self::Int8,
                KeyText::Text | KeyText::Uuid => Self::Text,
            },
            _ => Self::Text,
        }
    }
}

enum Value {
    Field(usize),
    Own,
    Id {
        maker: IdMaker,
        parts: Vec<KeyPart>,
    },
    FirstId(Vec<(IdMaker, Vec<KeyPart>)>),
    Ids {
        maker: IdMaker,
        call: IdsCall,
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
    own: IdMaker,
    shape: KeyShape,
    parents: Vec<ParentRef>,
    identity: Vec<(String, usize)>,
    default_action: RowAction,
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
    /// Prepares an entity.
    pub fn new(entity: &CompiledEntity, namespace: Uuid) -> Self {
        let columns = entity.columns.iter().map(|column| match &column.value {
            ValueRule::Field(field) => Value::Field(*field),
            ValueRule::Id(call) if is_own_id(entity, call) => Value::Own,
            ValueRule::Id(call) => Value::Id {
                maker: IdMaker::new(namespace, &call.entity),
                parts: call.parts.clone(),
            },
            ValueRule::FirstId(calls) => {
                let maker = |call: &IdCall| {
                    let maker = IdMaker::new(namespace, &call.entity);
                    (maker, call.parts.clone())
                };
                Value::FirstId(calls.iter().map(maker).collect())
            }
            ValueRule::Ids(call) => Value::Ids {
                maker: IdMaker::new(namespace, &call.entity),
                call: call.clone(),
            },
            ValueRule::Steps { field, steps } => Value::Steps {
                field: *field,
                steps: steps.clone(),
                column: column.name.clone(),
            },
        });
        let identity = match &entity.id {
            IdRule::Uuid5 { .. } | IdRule::Keep { .. } => Vec::new(),
            IdRule::None { columns } => identity(entity, columns),
        };
        Self {
            key: entity.read.key.iter().map(|column| column.text).collect(),
            fault_field: entity.read.fault_field,
            faults: entity.faults.clone(),
            orphans: entity.orphans.clone(),
            columns: columns.collect(),
            own: IdMaker::new(namespace, &entity.entity),
            shape: KeyShape::of(entity),
            parents: entity.parents.clone(),
            identity,
            default_action: entity.on_row_error.clone(),
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
        let own = self.own_id(scratch);
        let start = batch.rows.bytes.len();
        let out = &mut batch.rows.bytes;
        put_count(out, self.columns.len());
        scratch.ids.clear();
        for column in &self.columns {
            let mut id = None;
            match column {
                Value::Field(field) => put(out, tuple.field(*field)),
                Value::Own => {
                    id = Some(own);
                    put(out, Some(own.as_bytes()));
                }
                Value::Id { maker, parts } => {
                    id = ids::make_id(maker, parts, tuple, &mut scratch.part)?;
                    put(out, id.as_ref().map(|id| id.as_bytes().as_slice()));
                }
                Value::FirstId(calls) => {
                    id = ids::first_id(calls, tuple, &mut scratch.part)?;
                    put(out, id.as_ref().map(|id| id.as_bytes().as_slice()));
                }
                Value::Ids { maker, call } => {
                    let array = ids::make_ids(maker, call.part, tuple, &mut scratch.part)?;
                    put(out, array.as_deref());
                    batch.dropped += ids::dropped(call, tuple);
                }
                Value::Steps {
                    field,
                    steps,
                    column,
                } => match steps::run(steps, tuple.field(*field)) {
                    steps::Outcome::Value(value) => put(out, Some(&value)),
                    steps::Outcome::Null => put(out, None),
                    steps::Outcome::Refused {
                        code,
                        reason,
                        path,
                        action,
                    } => {
                        out.truncate(start);
                        return Ok(Some(Objection {
                            code: code.to_owned(),
                            message: reason.to_owned(),
                            context: json!({ "rule": path, "column": column }),
                            action,
                            is_held: false,
                        }));
                    }
                },
            }
            scratch.ids.push(id);
        }
        batch.rows.finish_row();
        self.encode_map(tuple, own, scratch, batch);
        Ok(None)
    }

    /// The row's own uuid5: one hash serves its column and the id map.
    fn own_id(&self, scratch: &Scratch) -> Uuid {
        let mut builder = self.own.start();
        for part in key_parts(scratch) {
            builder.push_part(part.as_bytes());
        }
        builder.finish()
    }

    fn encode_map(&self, tuple: &Tuple, own: Uuid, scratch: &Scratch, batch: &mut Batch) {
        let out = &mut batch.map.bytes;
        let with_meta = self.has_map_meta();
        put_count(out, if with_meta { 3 } else { 2 });
        put(out, Some(own.as_bytes()));
        match self.shape {
            KeyShape::Int8 => {
                let key = tuple
                    .field(0)
                    .and_then(|bytes| key::as_int8(self.key[0], bytes));
                put(
                    out,
                    key.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice),
                );
            }
            KeyShape::Text => {
                let parts: Vec<&str> = key_parts(scratch).collect();
                put(out, Some(record_id(parts.into_iter()).as_bytes()));
            }
        }
        if with_meta {
            let ids = self.identity.iter().filter_map(|(name, at)| {
                scratch
                    .ids
                    .get(*at)
                    .copied()
                    .flatten()
                    .map(|id| (name.clone(), json!(id)))
            });
            let key: serde_json::Map<String, serde_json::Value> = ids.collect();
            put(
                out,
                Some(&steps::jsonb(
                    json!({ "destination_key": key }).to_string().as_bytes(),
                )),
            );
        }
        batch.map.finish_row();
    }

    /// Whether id map entries carry metadata as a third field.
    pub fn has_map_meta(&self) -> bool {
        !self.identity.is_empty()
    }
}

/// Why a row is not written.
struct Objection {
    code: String,
    message: String,
    context: serde_json::Value,
    action: RowAction,
    is_held: bool,
}

impl Objection {
    fn into_failure(self, at: usize, key: KeyValue) -> Result<RowFailure, Failure> {
        if self.action == RowAction::Fail {
            return Err(Failure::new(
                FailureKind::RowRefused,
                format!(
                    "row {} is refused ({}): {}",
                    key.to_record_id(),
                    self.code,
                    self.message
                ),
            ));
        }
        Ok(RowFailure {
            at,
            key,
            code: self.code,
            message: self.message,
            context: self.context,
            is_held: self.is_held,
        })
    }
}

/// Whether a column holds the row's own id.
fn is_own_id(entity: &CompiledEntity, call: &IdCall) -> bool {
    call.entity == entity.entity
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

/// Identity columns of a join table and their places among the written columns.
fn identity(entity: &CompiledEntity, names: &[String]) -> Vec<(String, usize)> {
    names
        .iter()
        .filter_map(|name| {
            let at = entity
                .columns
                .iter()
                .position(|column| &column.name == name)?;
            Some((name.clone(), at))
        })
        .collect()
}

fn key_parts(scratch: &Scratch) -> impl Iterator<Item = &str> {
    scratch.ends.iter().scan(0, |start, end| {
        let part = &scratch.text[*start..*end];
        *start = *end;
        Some(part)
    })
}

fn put_count(out: &mut Vec<u8>, fields: usize) {
    let fields = i16::try_from(fields).unwrap_or(i16::MAX);
    out.extend_from_slice(&fields.to_be_bytes());
}

fn put(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(bytes) => {
            let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(bytes);
        }
        None => out.extend_from_slice(&(-1i32).to_be_bytes()),
    }
}
