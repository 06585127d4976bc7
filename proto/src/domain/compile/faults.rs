//! Checks of the SELECT as bits of one number.

use super::super::compiled::Fault;
use super::super::rules::DraftFault;

/// Bits of a non-negative `int8`.
pub(super) const MAX_FAULTS: usize = 63;

/// Drops checks that are there twice (a value that is used in two places).
pub(super) fn distinct(drafts: Vec<DraftFault>) -> Vec<DraftFault> {
    let mut kept: Vec<DraftFault> = Vec::new();
    for draft in drafts {
        if !kept.contains(&draft) {
            kept.push(draft);
        }
    }
    kept
}

/// The expression whose bit `n` is the verdict of check `n`; `None` where there is no check.
pub(super) fn bits(drafts: &[DraftFault]) -> Option<String> {
    let mut terms = Vec::new();
    let mut rest = drafts;
    let mut bit = 0;
    while let Some(first) = rest.first() {
        // Neighbours behind the same guard share its evaluation.
        let together = match &first.guard {
            Some(_) => rest
                .iter()
                .take_while(|draft| draft.guard == first.guard)
                .count(),
            None => 1,
        };
        let (group, others) = rest.split_at(together);
        let flags: Vec<String> = group
            .iter()
            .enumerate()
            .filter_map(|(at, draft)| Some(flag(draft.condition.as_ref()?, 1_u64 << (bit + at))))
            .collect();
        match &first.guard {
            Some(guard) => terms.push(format!(
                "(CASE WHEN {guard} THEN {} ELSE 0::int8 END)",
                flags.join(" | ")
            )),
            None => terms.extend(flags),
        }
        bit += together;
        rest = others;
    }
    if terms.is_empty() {
        None
    } else {
        Some(format!("({})", terms.join(" | ")))
    }
}

fn flag(condition: &str, value: u64) -> String {
    format!("(CASE WHEN {condition} THEN {value}::int8 ELSE 0::int8 END)")
}

/// What the checks say of a row, index = bit.
pub(super) fn verdicts(drafts: &[DraftFault]) -> Vec<Fault> {
    drafts.iter().map(|draft| draft.fault.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::compiled::RowAction;

    fn draft(guard: Option<&str>, condition: &str) -> DraftFault {
        DraftFault {
            guard: guard.map(str::to_owned),
            condition: Some(condition.to_owned()),
            fault: Fault {
                code: "DROVER_X".to_owned(),
                path: String::new(),
                message: String::new(),
                action: RowAction::Quarantine,
            },
        }
    }

    #[test]
    fn the_agents_checks_have_a_bit_and_no_sql() {
        let agents = DraftFault {
            condition: None,
            ..draft(None, "")
        };
        assert_eq!(bits(std::slice::from_ref(&agents)), None);
        let both = bits(&[agents, draft(None, "a")]).unwrap();
        assert_eq!(both, "((CASE WHEN a THEN 2::int8 ELSE 0::int8 END))");
    }

    #[test]
    fn each_check_is_a_bit_and_neighbours_share_their_guard() {
        assert_eq!(bits(&[]), None);
        let drafts = [
            draft(None, "a"),
            draft(Some("g"), "b"),
            draft(Some("g"), "c"),
        ];
        assert_eq!(
            bits(&drafts).unwrap(),
            "((CASE WHEN a THEN 1::int8 ELSE 0::int8 END) | \
             (CASE WHEN g THEN (CASE WHEN b THEN 2::int8 ELSE 0::int8 END) | \
             (CASE WHEN c THEN 4::int8 ELSE 0::int8 END) ELSE 0::int8 END))"
        );
    }
}
