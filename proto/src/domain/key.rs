//! Keys of source rows, ranges of them, and the SELECT of a range.
//!
//! A key is a list of canonical texts, one per key column. Order is the source's own: nothing here
//! compares two keys, only SQL does.

use serde::{Deserialize, Serialize};

use super::catalog::quote_literal;
use super::compiled::{KeyText, ReadRule};

/// Placeholder in compiled SQL for the start of the run, as a timestamptz literal.
pub const RUN_NOW: &str = "$run_now$";
/// Placeholder in compiled SQL for the migration's id, as a text literal.
pub const MIGRATION_ID: &str = "$migration_id$";

/// The key of one source row: canonical text per key column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyValue(pub Vec<String>);

impl KeyValue {
    /// The key as the data model shows it: the text itself, or a JSON array for a composite key.
    pub fn to_record_id(&self) -> String {
        record_id(self.0.iter().map(String::as_str))
    }

    /// The key behind a record id, of so many columns; none where it is no such id.
    pub fn from_record_id(record_id: &str, width: usize) -> Option<Self> {
        if width == 1 {
            return Some(Self(vec![record_id.to_owned()]));
        }
        let key: Self = serde_json::from_str(record_id).ok()?;
        (key.0.len() == width).then_some(key)
    }
}

/// One text for a whole key: the text itself, or a JSON array for a composite key.
pub fn record_id<'a>(parts: impl ExactSizeIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    push_record_id(&mut text, parts);
    text
}

/// Appends [`record_id`] to a text.
pub fn push_record_id<'a>(out: &mut String, mut parts: impl ExactSizeIterator<Item = &'a str>) {
    if parts.len() == 1 {
        out.push_str(parts.next().unwrap_or_default());
        return;
    }
    out.push('[');
    for (at, part) in parts.enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_quoted(out, part);
    }
    out.push(']');
}

/// A JSON string; most need no escape.
fn push_quoted(out: &mut String, text: &str) {
    let needs_escape = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    if text.bytes().any(needs_escape) {
        out.push_str(&serde_json::Value::from(text).to_string());
        return;
    }
    out.push('"');
    out.push_str(text);
    out.push('"');
}

/// Keys in `(after, upto]`, in the source's key order; an end that is missing is open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRange {
    /// Exclusive lower end.
    pub after: Option<KeyValue>,
    /// Inclusive upper end.
    pub upto: Option<KeyValue>,
}

/// What a run puts in the place of the placeholders of compiled SQL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunConstants {
    /// Start of the run, as timestamptz text.
    pub now: String,
    /// The migration's id.
    pub migration_id: String,
}

impl RunConstants {
    /// Compiled SQL with the placeholders replaced by literals.
    pub fn apply(&self, sql: &str) -> String {
        sql.replace(RUN_NOW, &quote_literal(&self.now))
            .replace(MIGRATION_ID, &quote_literal(&self.migration_id))
    }
}

impl ReadRule {
    /// The rows of a range in key order. Outputs are `c1…cn`; the ORDER BY names the table's own
    /// columns, since a bare name would bind to an output.
    pub fn select(&self, range: &KeyRange, run: &RunConstants) -> String {
        self.select_with(range, run, &[])
    }

    /// As [`Self::select`], with more fields behind the rule's own.
    pub fn select_with(&self, range: &KeyRange, run: &RunConstants, more: &[&String]) -> String {
        let ends = self.conditions(range, None);
        let ends = (!ends.is_empty()).then(|| ends.join(" AND "));
        self.select_where(ends, run, more)
    }

    /// The rows that fulfil a condition on their key, in key order.
    pub(super) fn select_where(
        &self,
        condition: Option<String>,
        run: &RunConstants,
        more: &[&String],
    ) -> String {
        let fields: Vec<String> = self
            .fields
            .iter()
            .chain(more.iter().copied())
            .enumerate()
            .map(|(at, field)| format!("{} AS c{}", run.apply(field), at + 1))
            .collect();
        let keys = self.key_columns();
        let once = match &self.joins {
            Some(joins) if joins.may_multiply => format!("DISTINCT ON ({keys}) "),
            Some(_) | None => String::new(),
        };
        let conditions = condition.into_iter().chain(self.condition(run)).collect();
        format!(
            "SELECT {once}{} FROM {}{} ORDER BY {keys}",
            fields.join(", "),
            self.rows(),
            where_clause(conditions),
        )
    }

    /// The first `limit` keys of a range as text, in key order, filter or not.
    pub fn select_keys(&self, range: &KeyRange, limit: usize) -> String {
        format!(
            "SELECT {} FROM {} AS src{} ORDER BY {} LIMIT {limit}",
            self.key_texts(),
            self.source.quoted(),
            where_clause(self.conditions(range, None)),
            self.key_columns()
        )
    }

    /// The keys, of one integer column, of a range's rows that the filter and the joins let through.
    pub fn select_met(&self, range: &KeyRange, run: &RunConstants) -> String {
        format!(
            "SELECT ({})::int8 FROM {}{}",
            self.key_columns(),
            self.rows(),
            where_clause(self.conditions(range, self.condition(run)))
        )
    }

    /// Keys in key order, of so many percent of the table's pages and of this share of the rows on them
    /// that the filter, where one is asked for, lets through.
    pub fn select_sample(
        &self,
        percent: f64,
        share: f64,
        filtered: Option<&RunConstants>,
    ) -> String {
        // A filter that looks at joined rows cannot stand alone.
        let filter = filtered.filter(|_| self.joins.is_none());
        let mut conditions = self.conditions(
            &KeyRange::default(),
            filter.and_then(|run| self.condition(run)),
        );
        if share < 1.0 {
            conditions.insert(0, format!("random() < {share}"));
        }
        format!(
            "SELECT {} FROM {} AS src TABLESAMPLE SYSTEM ({percent}){} ORDER BY {}",
            self.key_texts(),
            self.source.quoted(),
            where_clause(conditions),
            self.key_columns()
        )
    }

    /// Key texts and the whole row as the text of JSON, of the given keys. What columns of JSON hold is
    /// copied into it, not looked into.
    pub fn select_rows(&self, keys: &[KeyValue]) -> String {
        let keys: Vec<String> = keys
            .iter()
            .map(|key| format!("({})", self.key_literals(key)))
            .collect();
        format!(
            "SELECT {}, row_to_json(src)::text FROM {} AS src WHERE ({}) IN ({})",
            self.key_texts(),
            self.source.quoted(),
            self.key_columns(),
            keys.join(", ")
        )
    }

    /// How many rows of a range the filter, or a join, leaves out.
    pub fn count_filtered(&self, range: &KeyRange, run: &RunConstants) -> Option<String> {
        let condition = self.condition(run);
        if self.joins.is_none() {
            let left_out = format!("{} IS NOT TRUE", condition?);
            return Some(self.count(&self.conditions(range, Some(left_out))));
        }
        let is_inner = self.joins.as_ref().is_some_and(|joins| joins.is_inner);
        (condition.is_some() || is_inner).then(|| {
            let all = self.count_all(range);
            format!("SELECT ({all}) - ({})", self.count_rows(range, run))
        })
    }

    /// How many rows of a range there are, filter or not.
    pub fn count_all(&self, range: &KeyRange) -> String {
        self.count(&self.conditions(range, None))
    }

    /// How many rows of a range the filter and the joins let through.
    pub fn count_rows(&self, range: &KeyRange, run: &RunConstants) -> String {
        let conditions = self.conditions(range, self.condition(run));
        match &self.joins {
            Some(joins) if joins.is_inner || self.filter.is_some() => {
                let once = if joins.may_multiply { "DISTINCT " } else { "" };
                format!(
                    "SELECT count(*) FROM (SELECT {once}{} FROM {}{}) AS met",
                    self.key_columns(),
                    self.rows(),
                    where_clause(conditions)
                )
            }
            Some(_) | None => self.count(&conditions),
        }
    }

    /// How many rows of the source fulfil conditions on themselves.
    fn count(&self, conditions: &[String]) -> String {
        format!(
            "SELECT count(*) FROM {} AS src{}",
            self.source.quoted(),
            where_clause(conditions.to_vec())
        )
    }

    /// The source and what is joined to it.
    pub(super) fn rows(&self) -> String {
        let joins = self.joins.as_ref().map_or("", |joins| joins.sql.as_str());
        format!("{} AS src{joins}", self.source.quoted())
    }

    /// The plan's `where`, ready to run. Placeholders are replaced here and in the fields, never in a
    /// key, which is data.
    pub(super) fn condition(&self, run: &RunConstants) -> Option<String> {
        Some(run.apply(&wrap(self.filter.as_deref()?)))
    }

    /// The row comparison `(k1, k2) op ('…'::t1, '…'::t2)`.
    fn compare(&self, op: &str, key: &KeyValue) -> String {
        format!("({}) {op} ({})", self.key_columns(), self.key_literals(key))
    }

    /// The key as typed literals, to compare with the key columns.
    pub fn key_literals(&self, key: &KeyValue) -> String {
        let values: Vec<String> = self
            .key
            .iter()
            .zip(&key.0)
            .map(|(column, text)| format!("{}::{}", quote_literal(text), column.type_sql))
            .collect();
        values.join(", ")
    }

    /// The key columns, as an ORDER BY or a row has them.
    pub(super) fn key_columns(&self) -> String {
        self.key
            .iter()
            .map(|column| column.sql.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The key columns as text.
    pub(super) fn key_texts(&self) -> String {
        let texts = self
            .key
            .iter()
            .zip(&self.fields)
            .map(|(column, field)| match column.text {
                // The field is the text already, whatever the session's time zone.
                KeyText::Text => field.clone(),
                _ => format!("{}::text", column.sql),
            });
        texts.collect::<Vec<_>>().join(", ")
    }

    fn conditions(&self, range: &KeyRange, filter: Option<String>) -> Vec<String> {
        let after = range.after.as_ref().map(|key| self.compare(">", key));
        let upto = range.upto.as_ref().map(|key| self.compare("<=", key));
        after.into_iter().chain(upto).chain(filter).collect()
    }
}

/// A free condition in parentheses; the line end keeps a trailing comment from swallowing them.
fn wrap(sql: &str) -> String {
    format!("({sql}\n)")
}

fn where_clause(conditions: Vec<String>) -> String {
    if conditions.is_empty() {
        String::new()
    } else {
        format!(" WHERE {}", conditions.join(" AND "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::TableName;
    use crate::domain::compiled::KeyColumn;

    fn rule() -> ReadRule {
        let column = |name: &str, ty: &str| KeyColumn {
            name: name.to_owned(),
            sql: format!("src.\"{name}\""),
            type_sql: ty.to_owned(),
            text: KeyText::Int4,
        };
        ReadRule {
            source: TableName::parse("jaw"),
            joins: None,
            also: Vec::new(),
            key: vec![column("order_id", "integer"), column("side", "text")],
            fields: vec![
                "src.\"order_id\"".to_owned(),
                "lower(src.\"side\")".to_owned(),
            ],
            fault_field: None,
            filter: Some("deleted_at is null -- live".to_owned()),
            time_zone: None,
        }
    }

    fn run() -> RunConstants {
        RunConstants {
            now: "2026-01-01T00:00:00Z".to_owned(),
            migration_id: "m".to_owned(),
        }
    }

    #[test]
    fn a_range_is_read_in_the_order_of_the_table_not_of_the_output() {
        let range = KeyRange {
            after: Some(KeyValue(vec!["7".to_owned(), "O'x".to_owned()])),
            upto: None,
        };
        assert_eq!(
            rule().select(&range, &run()),
            "SELECT src.\"order_id\" AS c1, lower(src.\"side\") AS c2 FROM \"public\".\"jaw\" AS src \
             WHERE (src.\"order_id\", src.\"side\") > ('7'::integer, 'O''x'::text) \
             AND (deleted_at is null -- live\n) ORDER BY src.\"order_id\", src.\"side\""
        );
    }

    #[test]
    fn composite_keys_read_as_json_arrays() {
        assert_eq!(
            KeyValue(vec!["7".into(), "a\"b".into()]).to_record_id(),
            r#"["7","a\"b"]"#
        );
        assert_eq!(KeyValue(vec!["7".into()]).to_record_id(), "7");
    }
}
