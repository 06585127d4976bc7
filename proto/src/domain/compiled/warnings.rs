//! Warnings in few words: what many tables have in common is said once.

use super::Warning;

/// Tables that are named before the rest is a number.
const NAMED: usize = 3;

/// The warnings in their order, those that say the same of several tables as one.
pub fn in_short(warnings: &[Warning]) -> Vec<String> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for warning in warnings {
        let split = warning.message.split_once(": ");
        let (table, words) = split.unwrap_or((&warning.entity, &warning.message));
        match groups.iter_mut().find(|(known, _)| *known == words) {
            Some((_, tables)) => tables.push(table),
            None => groups.push((words, vec![table])),
        }
    }
    let line = |(words, tables): (&str, Vec<&str>)| {
        let named = tables.iter().take(NAMED).copied().collect::<Vec<_>>();
        let more = match tables.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{}{more}: {words}", named.join(", "))
    };
    groups.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_tables_have_in_common_is_said_once() {
        let warning = |table: &str, words: &str| Warning {
            entity: "e".to_owned(),
            message: format!("{table}: {words}"),
        };
        let all = [
            warning("a", "x is on: y"),
            warning("a", "z"),
            warning("b", "x is on: y"),
            warning("c", "x is on: y"),
            warning("d", "x is on: y"),
        ];
        let said = in_short(&all);
        assert_eq!(said, ["a, b, c and 1 more: x is on: y", "a: z"]);
    }
}
