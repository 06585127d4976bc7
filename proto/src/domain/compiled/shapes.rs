//! Parts of a compiled entity that reach beyond one source row.

use serde::{Deserialize, Serialize};

use super::{AgentStep, KeyPart, RowAction};

/// Tables that are joined to the source. A source row is read once, however many rows it meets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRule {
    /// What stands behind `FROM table AS src`.
    pub sql: String,
    /// A row may meet several rows: then the fault of bit 0 says so.
    pub may_multiply: bool,
    /// Rows that meet none are left out, like those that the filter leaves out.
    pub is_inner: bool,
}

/// The deterministic ids of an array of keys of some entity, element by element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdsCall {
    /// Entity whose ids they are.
    pub entity: String,
    /// The field of the array, and how one element of it reads as text.
    pub part: KeyPart,
    /// How many columns the key has; of several, an element is a JSON array of their texts.
    pub width: usize,
    /// The field that says how many elements were left out, as `int8`: the rows they refer to are not
    /// there.
    pub dropped: Option<usize>,
}

/// Steps on the elements of an array, one by one; an element that becomes NULL stays in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EachCall {
    /// The field of the array of texts.
    pub field: usize,
    /// Steps in order.
    pub steps: Vec<AgentStep>,
    /// Type oid of an element at the destination.
    pub element: u32,
    /// Every value once, where it comes first.
    pub is_distinct: bool,
}

/// Where the references of a column stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefShape {
    /// The column is one.
    Row,
    /// Every element of the array is one.
    Each,
    /// They stand in JSON at this path.
    Document(Vec<JsonStep>),
}

/// A step of a path in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JsonStep {
    /// The member of that name, or the element of that number.
    Item(String),
    /// Every element of an array.
    Each,
}

/// A foreign key into another entity of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentRef {
    /// The parent entity.
    pub entity: String,
    /// Destination column that holds the reference.
    pub column: String,
    /// The parent's key in this row's fields: its columns, an array of keys, or an object of them.
    pub parts: Vec<KeyPart>,
    /// Where the references stand.
    pub shape: RefShape,
}

/// A reference into this entity itself, or into one that is loaded later or fails rows later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateReference {
    /// The parent entity.
    pub entity: String,
    /// Destination column that holds the reference.
    pub column: String,
    /// Where the references stand.
    pub shape: RefShape,
    /// Path of the rule in the plan.
    pub path: String,
}

/// JSON in which references stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocumentCall {
    /// The field of the JSON, as text.
    pub field: usize,
    /// It is written as jsonb.
    pub is_jsonb: bool,
    /// What is put in the places, in order.
    pub references: Vec<DocumentReference>,
}

/// The references at one path of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocumentReference {
    /// Entity that names the ids; none: the parent keeps its keys.
    pub entity: Option<String>,
    /// A kept key is a number.
    pub is_number: bool,
    /// Where they stand.
    pub path: Vec<JsonStep>,
    /// The field that has, as the text of a JSON object, the key of every row that is there: a text, or an
    /// array of the texts of its columns.
    pub found: usize,
    /// What becomes of one whose row is not there: `SetNull`, or a verdict on the row.
    pub orphan: RowAction,
    /// Path of the rule in the plan.
    pub rule: String,
    /// What is wrong with an orphan, in words.
    pub message: String,
}
