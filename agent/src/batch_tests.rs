//! Batches that are cut and whose rows are rejected.

use super::*;

fn batch(rows: usize, failed_at: &[usize]) -> Batch {
    let mut batch = Batch::default();
    for row in 0..rows {
        batch.rows.bytes.extend_from_slice(&vec![b'r'; row + 1]);
        batch.rows.finish_row();
        batch.map.bytes.push(u8::try_from(row).unwrap());
        batch.map.finish_row();
        batch.keys.push([row.to_string().as_str(), "x"].into_iter());
    }
    for at in failed_at {
        batch.failures.push(RowFailure {
            at: *at,
            key: KeyValue(vec![format!("{at}b"), "x".into()]),
            code: "22000".into(),
            message: "m".into(),
            context: serde_json::json!({}),
            is_held: false,
        });
    }
    batch.hi = Some(KeyValue(vec!["end".into(), "x".into()]));
    batch.is_last = true;
    batch
}

#[test]
fn halves_hold_all_rows_and_failures_once_and_meet_at_a_key() {
    let whole = batch(5, &[0, 2, 5]);
    let (first, second) = whole.clone().split().unwrap();
    assert_eq!((first.read(), second.read()), (3, 5));
    assert_eq!(first.hi, second.lo);
    assert_eq!(first.hi, Some(KeyValue(vec!["1".into(), "x".into()])));
    assert_eq!(second.hi, whole.hi);
    assert!(!first.is_last && second.is_last);
    assert_eq!(
        [first.rows.bytes, second.rows.bytes].concat(),
        whole.rows.bytes
    );
    assert_eq!(
        second.failures.iter().map(|f| f.at).collect::<Vec<_>>(),
        [0, 3]
    );
}

#[test]
fn a_single_row_cannot_be_halved() {
    assert_eq!(
        batch(1, &[]).split().unwrap_err().kind,
        FailureKind::Timeout
    );
}

#[test]
fn rejected_rows_become_failures_in_their_place() {
    let mut batch = batch(4, &[2]);
    let bad = |place| {
        (
            place,
            "23502".to_owned(),
            "m".to_owned(),
            serde_json::json!({}),
        )
    };
    batch.reject(vec![bad(1), bad(3)]);
    assert_eq!(batch.rows.len(), 2);
    assert_eq!(batch.map.bytes, [0, 2]);
    assert_eq!(batch.rows.rows(1, 2), b"rrr");
    assert_eq!(batch.keys.get(1).0[0], "2");
    let places: Vec<_> = batch
        .failures
        .iter()
        .map(|f| (f.at, f.key.0[0].clone()))
        .collect();
    assert_eq!(places, [(1, "1".into()), (1, "2b".into()), (2, "3".into())]);
}

proptest::proptest! {
    /// Whatever is rejected and wherever it is cut: every row is counted once, and no key is lost.
    #[test]
    fn counters_add_up(
        rows in 0..40_usize,
        failed in proptest::collection::vec(0..40_usize, 0..20),
        cuts in proptest::collection::vec((proptest::prelude::any::<bool>(), 0..64_u64), 0..8),
    ) {
        let mut failed: Vec<usize> = failed.into_iter().map(|at| at.min(rows)).collect();
        failed.sort_unstable();
        let whole = batch(rows, &failed);
        let total = count(whole.read());
        let mut parts = vec![whole];
        for (is_cut, bits) in cuts {
            let last = parts.pop().unwrap();
            if is_cut && last.rows.len() > 1 {
                let (first, second) = last.split().unwrap();
                parts.extend([first, second]);
            } else {
                let mut last = last;
                let bad = (0..last.rows.len()).filter(|row| bits >> (row % 64) & 1 == 1);
                let bad = bad.map(|row| (row, "23514".to_owned(), String::new(), serde_json::json!({})));
                last.reject(bad.collect());
                parts.push(last);
            }
        }
        let mut read = 0;
        for part in &parts {
            let counts = part.counts();
            proptest::prop_assert_eq!(counts.read, counts.written + counts.failed + counts.skipped);
            proptest::prop_assert_eq!(part.rows.len(), part.map.len());
            proptest::prop_assert_eq!(part.rows.len(), part.keys.len());
            let places: Vec<usize> = part.failures.iter().map(|failure| failure.at).collect();
            proptest::prop_assert!(places.is_sorted() && places.iter().all(|at| *at <= part.rows.len()));
            read += counts.read;
        }
        proptest::prop_assert_eq!(read, total);
        let mut keys: Vec<KeyValue> = parts
            .iter()
            .flat_map(|part| {
                let good = (0..part.rows.len()).map(|row| part.keys.get(row));
                good.chain(part.failures.iter().map(|failure| failure.key.clone())).collect::<Vec<_>>()
            })
            .collect();
        keys.sort();
        let mut expected: Vec<KeyValue> = (0..rows)
            .map(|row| KeyValue(vec![row.to_string(), "x".into()]))
            .chain(failed.iter().map(|at| KeyValue(vec![format!("{at}b"), "x".into()])))
            .collect();
        expected.sort();
        proptest::prop_assert_eq!(keys, expected);
    }
}
