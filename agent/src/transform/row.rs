//! One row: source tuple in, destination tuple and id map entry out, or a failure.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use proto::domain::compiled::{
    AgentStep, CompiledEntity, ConflictRule, Fault, IdCall, IdRule, IdsCall, KeyPart, KeyText,
    OrphanCheck, ParentRef, RowAction, ValueRule,
};
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::id::IdMaker;
use proto::domain::key::{KeyValue, record_id};
use serde_json::json;
use uuid::Uuid;

use super::encode::{put, put_head};
use super::ids::NamedMaker;
use super::objection::Objection;
use super::overrides::{Match, Overrides};
use super::presence::Presence;
use super::secrecy::Keys;
use super::{ids, key, steps};
use crate::batch::Batch;
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
        maker: NamedMaker,
        parts: Vec<KeyPart>,
    },
    FirstId(Vec<(NamedMaker, Vec<KeyPart>)>),
    Ids {
        maker: NamedMaker,
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
    /// The entity that names the rows' ids.
    named: String,
    /// What becomes of rows that match the same row, and the rule that says so.
    duplicates: Option<(RowAction, String)>,
    overrides: OnceLock<Overrides>,
    shape: KeyShape,
    parents: Vec<ParentRef>,
    identity: Vec<(String, usize)>,
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
            ValueRule::Field(field) => Value::Field(*field),
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
            own: IdMaker::new(namespace, named(entity)),
            named: named(entity).to_owned(),
            duplicates: entity
                .matches
                .as_ref()
                .map(|rule| (rule.duplicates.clone(), rule.path.clone())),
            overrides: OnceLock::new(),
            shape: KeyShape::of(entity),
            parents: entity.parents.clone(),
            identity,
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
            Value::Field(_) | Value::Own | Value::Steps { .. } => Vec::new(),
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
        put_head(out, self.columns.len(), number);
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
                    id = maker.id(parts, tuple, (overrides, &mut scratch.part))?;
                    put(out, id.as_ref().map(|id| id.as_bytes().as_slice()));
                }
                Value::FirstId(calls) => {
                    id = ids::first_id(calls, tuple, (overrides, &mut scratch.part))?;
                    put(out, id.as_ref().map(|id| id.as_bytes().as_slice()));
                }
                Value::Ids { maker, call } => {
                    let array = maker.ids(call.part, tuple, (overrides, &mut scratch.part))?;
                    put(out, array.as_deref());
                    batch.dropped += ids::dropped(call, tuple);
                }
                Value::Steps {
                    field,
                    steps,
                    column,
                } => match steps::run(steps, &self.keys, tuple.field(*field)) {
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
        self.encode_map(tuple, (own, number), scratch, batch);
        Ok(None)
    }

    /// The row's own id: one hash serves its column and the id map.
    fn own_id(&self, scratch: &Scratch) -> Result<Uuid, Objection> {
        if let Some(overrides) = self.overrides.get().filter(|all| all.has(&self.named)) {
            let parts: Vec<&str> = key_parts(scratch).collect();
            match overrides.get(&self.named, &record_id(parts.into_iter())) {
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

    fn encode_map(
        &self,
        tuple: &Tuple,
        (own, number): (Uuid, Option<usize>),
        scratch: &Scratch,
        batch: &mut Batch,
    ) {
        let out = &mut batch.map.bytes;
        let with_meta = self.has_map_meta();
        put_head(out, if with_meta { 3 } else { 2 }, number);
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
