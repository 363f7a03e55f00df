// SPDX-License-Identifier: GPL-2.0

use super::super::ranges::{Ranges, TooMany, MAX_RANGES};
use proptest::prelude::*;
use std::collections::BTreeSet;

#[test]
fn not_more_than_so_many() {
    let mut ranges = Ranges::new();
    for i in 0..MAX_RANGES as u64 {
        assert_eq!(ranges.set(4 * i..4 * i + 3, true), Ok(()));
    }
    let before: Vec<_> = ranges.iter().collect();
    assert_eq!(ranges.set(1000..1001, true), Err(TooMany));
    assert_eq!(ranges.set(1..2, false), Err(TooMany), "two of one");
    assert_eq!(ranges.iter().collect::<Vec<_>>(), before);
    assert_eq!(ranges.set(0..1000, true), Ok(()), "one of all");
    assert_eq!(ranges.iter().count(), 1);
    assert_eq!(ranges.hull(), 0..1000);
}

proptest! {
    /// They are the set of all pfns that were added and not taken out since, in as few ranges as
    /// can be.
    #[test]
    fn are_a_set(steps in prop::collection::vec((0u64..60, 1u64..20, any::<bool>()), 1..40)) {
        let (mut ranges, mut set) = (Ranges::new(), BTreeSet::new());
        for (pfn, count, is_in) in steps {
            prop_assert_eq!(ranges.overlaps(&(pfn..pfn + count)), (pfn..pfn + count).any(|p| set.contains(&p)));
            ranges.set(pfn..pfn + count, is_in).expect("room");
            for pfn in pfn..pfn + count {
                if is_in { set.insert(pfn); } else { set.remove(&pfn); }
            }
            prop_assert_eq!(ranges.iter().flatten().collect::<Vec<_>>(), set.iter().copied().collect::<Vec<_>>());
            let apart: Vec<_> = ranges.iter().collect();
            prop_assert!(apart.windows(2).all(|pair| pair[0].end < pair[1].start), "{:?}", apart);
            let hull = set.first().map_or(0..0, |&first| first..set.last().expect("one") + 1);
            prop_assert_eq!(ranges.hull(), hull);
            prop_assert_eq!(ranges.is_empty(), set.is_empty());
        }
    }
}
