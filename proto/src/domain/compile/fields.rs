//! The fields of a SELECT: each expression once, key columns first.

/// Expressions in the order of the SELECT.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<String>);

impl Fields {
    /// Adds a field of its own, even where the same expression is there already.
    pub(super) fn push(&mut self, sql: String) -> usize {
        self.0.push(sql);
        self.0.len() - 1
    }

    /// The index of an expression, added where it is new.
    pub(super) fn index(&mut self, sql: &str) -> usize {
        match self.0.iter().position(|known| known == sql) {
            Some(index) => index,
            None => self.push(sql.to_owned()),
        }
    }

    /// The expressions.
    pub(super) fn into_vec(self) -> Vec<String> {
        self.0
    }
}
