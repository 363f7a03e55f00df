// SPDX-License-Identifier: GPL-2.0

//! Writes that interrupt each other on one CPU; across CPUs they are loom's.

use crate::sync::AtomicU64;
use crate::version::{read, write, Group};

#[test]
fn only_the_first_writer_of_a_group_is_alone() {
    let version = AtomicU64::new(0);
    let told = |group| {
        let mut told = None;
        write(&version, group, |alone| told = Some(alone));
        told.expect("told")
    };
    let all_alone = || told(Group::First) && told(Group::Second);
    assert!(all_alone());
    write(&version, Group::First, |alone| {
        assert!(alone);
        assert!(!told(Group::First));
        write(&version, Group::Second, |alone| {
            assert!(alone, "the groups do not know each other");
            assert!(!told(Group::First) && !told(Group::Second));
        });
        assert!(!told(Group::First) && told(Group::Second));
    });
    assert!(all_alone());
    // Whoever is done leaves the others their count.
    for _ in 0..100_000 {
        assert!(all_alone());
    }
}

#[test]
fn what_is_read_during_a_write_is_not_whole() {
    let version = AtomicU64::new(0);
    let is_whole = || read(&version, || ()).1;
    assert!(is_whole());
    for group in [Group::First, Group::Second] {
        write(&version, group, |_| assert!(!is_whole()));
        assert!(is_whole());
    }
    // The reader is interrupted, for ever.
    assert!(!read(&version, || write(&version, Group::First, |_| ())).1);
    // Once: it reads again.
    let reads = std::cell::Cell::new(0);
    let (last, whole) = read(&version, || {
        reads.set(reads.get() + 1);
        if reads.get() == 1 {
            write(&version, Group::Second, |_| ());
        }
        reads.get()
    });
    assert_eq!((last, whole), (2, true));
}
