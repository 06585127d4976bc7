//! The values at a path in JSON as rows of SQL.

use super::catalog::quote_literal;
use super::compiled::JsonStep;

/// A table, without a name yet, whose column `v` has what stands at a path of a `jsonb` as text, one row for
/// each place; NULL where nothing or null is.
pub fn texts(document: &str, path: &[JsonStep]) -> String {
    let mut from = format!("(SELECT {document} AS v OFFSET 0) AS e0");
    let (mut items, mut level) = (Vec::new(), 0);
    for step in path {
        match step {
            JsonStep::Item(name) => items.push(quote_literal(name)),
            JsonStep::Each => {
                let list = at(level, "#>", &items);
                items.clear();
                level += 1;
                // What is no array has no elements.
                from.push_str(&format!(
                    " CROSS JOIN LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof({list}) = 'array' \
                     THEN {list} ELSE '[]' END) AS e{level}(v)"
                ));
            }
        }
    }
    format!("(SELECT {} AS v FROM {from})", at(level, "#>>", &items))
}

fn at(level: usize, operator: &str, items: &[String]) -> String {
    format!(
        "(e{level}.v {operator} ARRAY[{}]::text[])",
        items.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_array_on_the_way_is_taken_apart() {
        let item = |name: &str| JsonStep::Item(name.to_owned());
        assert_eq!(
            texts("src.\"d\"", &[item("a"), item("b")]),
            "(SELECT (e0.v #>> ARRAY['a', 'b']::text[]) AS v FROM (SELECT src.\"d\" AS v OFFSET 0) AS e0)"
        );
        let sql = texts("d", &[item("a"), JsonStep::Each, item("b"), JsonStep::Each]);
        for part in [
            "(SELECT (e2.v #>> ARRAY[]::text[]) AS v FROM (SELECT d AS v OFFSET 0) AS e0",
            "jsonb_typeof((e0.v #> ARRAY['a']::text[])) = 'array'",
            "THEN (e1.v #> ARRAY['b']::text[]) ELSE '[]' END) AS e2(v)",
        ] {
            assert!(sql.contains(part), "{part}\n{sql}");
        }
    }
}
