//! The SQL of an array over rows that belong to this one.

use super::super::rules::DraftFault;

/// Rows that become elements; `src` is one of them, `up.k` the row's own value that they belong to.
pub(super) struct Elements {
    pub own: String,
    pub from: String,
    pub conditions: Vec<String>,
    /// Expression and direction.
    pub order: Vec<(String, &'static str)>,
    pub is_distinct: bool,
}

impl Elements {
    /// One value of the rows.
    fn outside(&self, sql: &str) -> String {
        format!("(SELECT {sql} FROM (SELECT {} AS k) AS up)", self.own)
    }

    fn rows(&self, what: &str, more: &[&str]) -> String {
        let conditions: Vec<&str> = self
            .conditions
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied())
            .collect();
        format!(
            "SELECT {what} FROM {} WHERE {}",
            self.from,
            conditions.join(" AND ")
        )
    }

    /// Whether a row of them fulfils a condition.
    pub(super) fn any(&self, condition: &str) -> String {
        self.outside(&format!("EXISTS ({})", self.rows("1", &[condition])))
    }

    /// How many of them fulfil a condition.
    pub(super) fn count(&self, condition: &str) -> String {
        self.outside(&format!("({})", self.rows("count(*)", &[condition])))
    }

    /// The array of a value; only of rows that fulfil the condition, if there is one.
    pub(super) fn array(&self, value: &str, ty: &str, condition: Option<&str>) -> String {
        let mut what = format!("{value} AS v");
        let mut order = Vec::new();
        for (at, (sql, direction)) in self.order.iter().enumerate() {
            what.push_str(&format!(", {sql} AS o{at}"));
            order.push(format!("e.o{at}{direction}"));
        }
        if order.is_empty() {
            order.push("e.v".to_owned());
        }
        let order = order.join(", ");
        let more: Vec<&str> = condition.into_iter().collect();
        let rows = self.rows(&what, &more);
        let rows = if self.is_distinct {
            format!("SELECT DISTINCT ON (e.v) e.* FROM ({rows}) AS e ORDER BY e.v, {order}")
        } else {
            rows
        };
        self.outside(&format!(
            "(SELECT COALESCE(array_agg(e.v ORDER BY {order}), '{{}}') FROM ({rows}) AS e)::{ty}"
        ))
    }

    /// Checks of an element as checks of the row.
    pub(super) fn lift(&self, faults: &[DraftFault]) -> Vec<DraftFault> {
        let lifted = |fault: &DraftFault| {
            let own = fault.condition.as_deref().unwrap_or("false");
            let condition = match &fault.guard {
                Some(guard) => format!("(CASE WHEN {guard} THEN {own} ELSE false END)"),
                None => format!("({own})"),
            };
            DraftFault {
                guard: None,
                condition: Some(self.any(&condition)),
                fault: fault.fault.clone(),
            }
        };
        faults.iter().map(lifted).collect()
    }
}
