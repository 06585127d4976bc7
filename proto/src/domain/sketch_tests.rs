use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn row(key: u64, hash: u128) -> Element {
    Element {
        key: RowKey::of([key.to_be_bytes().as_slice()].into_iter()),
        hash,
    }
}

fn sketch(rows: &BTreeSet<(u64, u128)>) -> Sketch {
    let mut sketch = Sketch::default();
    rows.iter()
        .for_each(|(key, hash)| sketch.add(&row(*key, *hash)));
    sketch
}

fn rows(elements: &[Element]) -> BTreeSet<(u64, u128)> {
    let one = |element: &Element| {
        let key = element.key.values(1).unwrap()[0];
        (u64::from_be_bytes(key.try_into().unwrap()), element.hash)
    };
    elements.iter().map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn exactly_what_one_of_the_sets_lacks_is_read_from_their_difference(
        both in proptest::collection::btree_set((any::<u64>(), any::<u128>()), 0..3000),
        left in proptest::collection::btree_set((any::<u64>(), any::<u128>()), 0..500),
        right in proptest::collection::btree_set((any::<u64>(), any::<u128>()), 0..500),
        cut in any::<prop::sample::Index>(),
    ) {
        let first: BTreeSet<_> = both.union(&left).copied().collect();
        let second: BTreeSet<_> = both.union(&right).copied().collect();
        // In parts, in any order, and by way of text.
        let at = cut.index(first.len().max(1));
        let part = |skip: usize, take: usize| sketch(&first.iter().skip(skip).take(take).copied().collect());
        let mut whole = part(at, usize::MAX);
        whole.merge(&part(0, at));
        let whole = Sketch::from_hex(&whole.to_hex()).unwrap();
        prop_assert_eq!(&whole, &sketch(&first));
        let found = whole.difference(&sketch(&second)).unwrap();
        prop_assert_eq!(rows(&found.first), first.difference(&second).copied().collect());
        prop_assert_eq!(rows(&found.second), second.difference(&first).copied().collect());
    }

    #[test]
    fn keys_are_told_as_they_are_or_by_their_fingerprint(
        values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 1..4),
    ) {
        let slices = || values.iter().map(Vec::as_slice);
        let key = RowKey::of(slices());
        let told = key.values(values.len());
        let length: usize = values.iter().map(|value| value.len() + 1).sum();
        if length <= KEY {
            prop_assert_eq!(told.unwrap(), slices().collect::<Vec<_>>());
        } else {
            prop_assert!(told.is_none());
        }
    }
}

#[test]
fn thousands_of_differences_are_told_and_too_many_are_no_lie() {
    let many = |from: u64, to: u64| (from..to).map(|key| (key, u128::from(key) * 7)).collect();
    let (none, some, flood) = (many(0, 0), many(0, 3300), many(0, 20_000));
    let found = sketch(&some).difference(&sketch(&none)).unwrap();
    assert_eq!(found.first.len(), 3300);
    assert_eq!(sketch(&flood).difference(&sketch(&none)), None);
    assert_eq!(
        sketch(&flood).difference(&sketch(&flood)),
        Some(Difference::default())
    );
}

#[test]
fn a_row_that_is_there_twice_is_no_equality() {
    let mut twice = Sketch::default();
    (0..2).for_each(|_| twice.add(&row(1, 5)));
    let mut once = Sketch::default();
    once.add(&row(1, 5));
    let found = twice.difference(&once).unwrap();
    assert_eq!((found.first.len(), found.second.len()), (1, 0));
    assert_eq!(twice.difference(&Sketch::default()), None);
}

#[test]
fn other_text_is_no_sketch() {
    assert_eq!(Sketch::from_hex("00"), None);
    assert_eq!(Sketch::from_hex("zz"), None);
}
