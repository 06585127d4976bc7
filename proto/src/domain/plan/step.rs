//! Pipelines and their steps: the vocabulary of `transformation_rules`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value as Json, json};

use super::arguments::{
    ArrayAgg, Concat, Fk, Hash, Hmac, Lookup, MapRule, Mask, Pad, Phone, PolymorphicPart, Regex,
    Replace, Split, Tz, Unit, WhenCase,
};
use super::cast_type::Cast;
use super::declare::{Choice, choice, plain_choice};
use super::decode::{At, Decode};
use super::document::NodeKind;
use super::name::{Name, Sql};
use super::ordered::{Ordered, Several};
use super::scalar::{Constant, Value};
use super::template::Template;
use super::vocabulary::Unfit;
use super::{schema, suggest};

/// The steps of one destination column, in order; never empty. The first yields a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline(pub Vec<StepEntry>);

/// A step and what stands beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct StepEntry {
    /// The step.
    pub step: Step,
    /// `on_error`: what happens to a value that does not fit here.
    pub on_error: Option<Unfit>,
    /// `else` of `when`.
    pub otherwise: Option<Pipeline>,
    /// `part` of `polymorphic`.
    pub part: Option<PolymorphicPart>,
}

choice! {
    /// Where a value that is not in the row comes from.
    pub enum SourceMeta {
        /// Name of the source table.
        Table = "table";
        /// The row's key as text.
        Pk = "pk";
        /// Id of the migration.
        MigrationId = "migration_id";
    }
}

plain_choice!(SourceMeta);

choice! {
    /// One step of a pipeline.
    pub enum Step {
        /// A source column.
        Col(Name) = "col";
        /// A fixed value.
        Const(Constant) = "const";
        /// The start of the run, the same when repeated.
        Now = "now";
        /// Something about the row that is not in it.
        SourceMeta(SourceMeta) = "source_meta";
        /// Another type; strict: lossless or an error.
        Cast(Cast) = "cast";
        /// This value where there is NULL.
        Default(Value) = "default";
        /// NULL where there is one of these values.
        NullIf(Several<Value>) = "null_if";
        /// The first of these columns that is not NULL.
        Coalesce(Several<Name>) = "coalesce";
        /// No white space at both ends.
        Trim = "trim";
        /// Lower case, as the source's collation has it.
        Lower = "lower";
        /// Upper case, as the source's collation has it.
        Upper = "upper";
        /// One space for every run of white space.
        CollapseWs = "collapse_ws";
        /// Unicode normal form C.
        Nfc = "nfc";
        /// Filled up to a length.
        Pad(Pad) = "pad";
        /// Cut to so many characters.
        Truncate(u32) = "truncate";
        /// One text for another.
        Replace(Replace) = "replace";
        /// A replacement by regular expression.
        Regex(Regex) = "regex";
        /// An e-mail address: trimmed, NFC, lower case, one @.
        Email = "email";
        /// A telephone number.
        Phone(Phone) = "phone";
        /// Columns joined; NULL reads as the empty text, all NULL gives NULL.
        Concat(Concat) = "concat";
        /// A part of a text.
        Split(Split) = "split";
        /// Text with ${column} in it; NULL reads as the empty text, all NULL gives NULL.
        Template(Template) = "template";
        /// Another value for each listed one; NULL stays NULL.
        Map(MapRule) = "map";
        /// A value from a small table.
        Lookup(Lookup) = "lookup";
        /// The new id of a row that the legacy id names.
        Fk(Fk) = "fk";
        /// Part of a reference whose target differs by row.
        Polymorphic(Name) = "polymorphic";
        /// The moment that a local time means.
        Tz(Tz) = "tz";
        /// Arithmetic on numbers: times `mul`, plus `add`.
        Unit(Unit) = "unit";
        /// A JSON object of pipelines; NULL stands in it as null.
        JsonBuild(Ordered<Pipeline>) = "json_build";
        /// A value out of JSON as text, by a path like `$.address.lines[0]`; NULL where there is none.
        JsonGet(String) = "json_get";
        /// JSON from text; json or jsonb, as the destination has it.
        JsonParse = "json_parse";
        /// An array of values of child rows.
        ArrayAgg(Box<ArrayAgg>) = "array_agg";
        /// A hash in hexadecimal digits.
        Hash(Hash) = "hash";
        /// A keyed hash in hexadecimal digits, so that joins survive.
        Hmac(Hmac) = "hmac";
        /// All but the last characters hidden, each behind a `*`.
        Mask(Mask) = "mask";
        /// Everything hidden: `[redacted]` for every value.
        Redact = "redact";
        /// The pipeline of the first condition that holds.
        When(Several<WhenCase>) = "when";
        /// One scalar SQL expression over the source row.
        Sql(Sql) = "sql";
    }
}

/// Keys that may stand beside a step, and the step they belong to (every step where empty).
const BESIDE: &[(&str, &str)] = &[("on_error", ""), ("else", "when"), ("part", "polymorphic")];

impl Pipeline {
    /// Every step, those inside others included.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a StepEntry)) {
        for entry in &self.0 {
            visit(entry);
            match &entry.step {
                Step::When(cases) => cases.iter().for_each(|case| case.then.walk(visit)),
                Step::JsonBuild(parts) => parts.iter().for_each(|(_, part)| part.walk(visit)),
                Step::ArrayAgg(rule) => rule.value.walk(visit),
                _ => {}
            }
            if let Some(otherwise) = &entry.otherwise {
                otherwise.walk(visit);
            }
        }
    }
}

impl Decode for StepEntry {
    fn decode(at: &At<'_>) -> Option<Self> {
        match &at.node.kind {
            NodeKind::Scalar { text, .. } => {
                let word = word(at, text)?;
                let step = Step::decode_word(word, &at.bare(word))?;
                Some(Self {
                    step,
                    on_error: None,
                    otherwise: None,
                    part: None,
                })
            }
            NodeKind::Mapping(_) => decode_mapping(at),
            NodeKind::List(_) => at.wrong("a step: a word or a mapping"),
        }
    }
}

fn decode_mapping(at: &At<'_>) -> Option<StepEntry> {
    let is_beside = |text: &str| BESIDE.iter().any(|(key, _)| *key == text);
    let pairs = at.pairs()?;
    let mut steps = pairs.iter().filter(|(key, _)| !is_beside(&key.text));
    let Some((key, node)) = steps.next() else {
        at.problem("no step here");
        return None;
    };
    if let Some((second, _)) = steps.next() {
        at.problem(format!(
            "\"{}\" and \"{}\" in one step; each step is an item of its own",
            key.text, second.text
        ));
        return None;
    }
    let word = word(at, &key.text)?;
    let step = Step::decode_word(word, &at.child(word, node));
    let mut entry = StepEntry {
        step: Step::Now,
        on_error: None,
        otherwise: None,
        part: None,
    };
    let mut is_whole = true;
    for (key, node) in pairs.iter().filter(|(key, _)| is_beside(&key.text)) {
        let at = at.child(&key.text, node);
        let owner = BESIDE
            .iter()
            .find(|(name, _)| *name == key.text)
            .map(|(_, owner)| *owner);
        if owner.is_some_and(|owner| !owner.is_empty() && owner != word) {
            at.problem(format!("does not belong to {word}"));
            is_whole = false;
        } else if key.text == "on_error" {
            entry.on_error = Unfit::decode(&at);
            is_whole &= entry.on_error.is_some();
        } else if key.text == "else" {
            entry.otherwise = Pipeline::decode(&at);
            is_whole &= entry.otherwise.is_some();
        } else {
            entry.part = PolymorphicPart::decode(&at);
            is_whole &= entry.part.is_some();
        }
    }
    entry.step = step?;
    is_whole.then_some(entry)
}

/// The step of that name.
fn word(at: &At<'_>, text: &str) -> Option<&'static str> {
    let found = Step::known(text);
    if found.is_none() {
        let hint = suggest::hint(text, Step::WORDS.iter().copied());
        at.problem(format!("unknown step \"{text}\"{hint}"));
    }
    found
}

impl Decode for Pipeline {
    fn decode(at: &At<'_>) -> Option<Self> {
        let steps = Vec::<StepEntry>::decode(at)?;
        if steps.is_empty() {
            at.problem("a pipeline needs a step that yields a value, for instance {col: name}");
            return None;
        }
        Some(Self(steps))
    }
}

impl JsonSchema for Pipeline {
    fn schema_name() -> Cow<'static, str> {
        "Pipeline".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "minItems": 1,
            "items": generator.subschema_for::<StepEntry>(),
        })
    }
}

impl JsonSchema for StepEntry {
    fn schema_name() -> Cow<'static, str> {
        "Step".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let beside = [
            ("on_error", generator.subschema_for::<Unfit>()),
            ("else", generator.subschema_for::<Pipeline>()),
            ("part", generator.subschema_for::<PolymorphicPart>()),
        ];
        let words = Step::schema_words(generator);
        let bare: Vec<&str> = words
            .iter()
            .filter(|word| word.arguments.is_none() || word.word == "tz")
            .map(|word| word.word)
            .collect();
        let mut forms = vec![json!({ "enum": bare, "description": "a step without arguments" })];
        for word in &words {
            let properties: Map<String, Json> = BESIDE
                .iter()
                .zip(&beside)
                .filter(|((_, owner), _)| owner.is_empty() || *owner == word.word)
                .map(|((key, _), (_, schema))| ((*key).to_owned(), schema.as_value().clone()))
                .collect();
            forms.push(word.mapping(word.arguments_json(), properties));
        }
        schema::to_schema(json!({ "oneOf": forms }))
    }
}
