//! SELECTs that read rows of an entity again, beside the ranges that a load reads.

use super::compiled::{JoinRule, ReadRule};
use super::key::{KeyValue, RunConstants};

impl ReadRule {
    /// The rows with these keys, in key order, as [`ReadRule::select_with`] reads them.
    pub fn select_keyed(&self, keys: &[KeyValue], run: &RunConstants, more: &[&String]) -> String {
        self.select_where(Some(self.among(keys, "IN")), run, more)
    }

    /// The keys as text, and an expression over `src`, of the rows with these keys, filter or not.
    pub fn select_versions(&self, keys: &[KeyValue], expression: &str) -> String {
        format!(
            "SELECT {}, {expression} FROM {} AS src WHERE {}",
            self.key_texts(),
            self.source.quoted(),
            self.among(keys, "IN")
        )
    }

    /// Expressions over all rows that the filter and the joins let through, without those of some keys; a row
    /// that meets several joined rows counts once for each.
    pub fn select_over(
        &self,
        expressions: &str,
        run: &RunConstants,
        left_out: &[KeyValue],
    ) -> String {
        let left_out = (!left_out.is_empty()).then(|| self.among(left_out, "NOT IN"));
        let conditions: Vec<String> = left_out.into_iter().chain(self.condition(run)).collect();
        let conditions = match conditions.as_slice() {
            [] => String::new(),
            some => format!(" WHERE {}", some.join(" AND ")),
        };
        format!("SELECT {expressions} FROM {}{conditions}", self.rows())
    }

    /// Whether a row may be read several times by [`Self::select_over`].
    pub fn may_repeat(&self) -> bool {
        let multiplies = |joins: &JoinRule| joins.may_multiply;
        self.joins.as_ref().is_some_and(multiplies)
    }

    /// The key is, or is not, one of these; a list of VALUES is hashed, however long it is.
    fn among(&self, keys: &[KeyValue], test: &str) -> String {
        let rows: Vec<String> = keys
            .iter()
            .map(|key| format!("({})", self.key_literals(key)))
            .collect();
        format!(
            "({}) {test} (VALUES {})",
            self.key_columns(),
            rows.join(", ")
        )
    }
}
