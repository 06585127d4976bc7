//! Parts of a compiled entity that reach beyond one source row.

use serde::{Deserialize, Serialize};

use super::KeyPart;

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
    /// The field that says how many elements were left out, as `int8`: the rows they refer to are not
    /// there.
    pub dropped: Option<usize>,
}
