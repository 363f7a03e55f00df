// SPDX-License-Identifier: GPL-2.0

//! What a record remembers of puts and failures.

use super::{drain, failure, page_ext, task, Host, Meeting};
use crate::page_ext::PageExt;
use crate::reason::{Reason, Recovery, Stage};
use crate::record::{Failure, Snapshot, User, BURST_NS};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The bit that stands for a stack: where its number's multiple of the golden ratio lies between
/// two whole numbers, in 64ths.
pub(super) fn bit(stack: u32) -> u64 {
    let fraction = (u64::from(stack) * 0x9e37_79b9) % (1 << 32);
    fraction / (1 << 26)
}

#[test]
fn a_put_is_new_to_a_folio_once_for_each_bit_of_its_stack() {
    let (marks, mem) = (page_ext(1), Host::new(100));
    let put = |stack| marks.lookup(5).expect("marked").put(1, stack, &task(1));
    marks.mark(&failure(5, 0), &mem, |_, _| ()).expect("room");
    let twin = (2..).find(|&n| bit(n) == bit(1)).expect("only 64 bits");
    assert!(put(1));
    assert!(!put(1));
    assert!(!put(twin), "taken for the first");
    let other = (2..).find(|&n| bit(n) != bit(1)).expect("64 bits");
    assert!(put(other));
    assert!(!put(1) && !put(other));
    // Failing again is no new story.
    marks.mark(&failure(5, 0), &mem, |_, _| ()).expect("marked");
    assert!(!put(1));
    marks.forget(5, 1, |_| ());
    marks.mark(&failure(5, 0), &mem, |_, _| ()).expect("room");
    assert!(put(twin) && !put(1));
    // A lost stack is like any other.
    marks.forget(5, 1, |_| ());
    marks.mark(&failure(5, 0), &mem, |_, _| ()).expect("room");
    assert!(put(0) && !put(0));
    // Every bit is of use.
    let bits: std::collections::HashSet<_> = (1..1000).map(bit).collect();
    assert_eq!(bits.len(), 64);
    drain(&marks, &mem);
}

/// Of two puts at once both are counted, one of them is the last, and one is the first with a
/// stack that they share.
#[test]
fn two_puts_at_once_are_both_in_the_record() {
    const ROUNDS: u32 = 10_000;
    let (marks, mem) = (page_ext(1), Host::new(100));
    let here = Meeting::default();
    let firsts = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (marks, mem, here, firsts) = (&marks, &mem, &here, &firsts);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    if thread == 0 {
                        marks.forget(5, 1, |_| ());
                        marks.mark(&failure(5, 0), mem, |_, _| ()).expect("room");
                        firsts.store(0, Ordering::Relaxed);
                    }
                    here.meet();
                    let record = marks.lookup(5).expect("marked");
                    let n = 2 * round + thread;
                    if record.put(3, round, &task(n)) {
                        firsts.fetch_add(1, Ordering::Relaxed);
                    }
                    here.meet();
                    assert_eq!(firsts.load(Ordering::Relaxed), 1);
                    let s = record.snapshot();
                    assert!(s.whole);
                    assert_eq!((s.puts, s.dropped, s.put_stack), (2, 6, round));
                    assert_eq!(s.put_task.pid / 2, round as i32);
                    assert_eq!(s.put_task, task(s.put_task.pid as u32));
                    drop(record);
                    here.meet();
                }
            });
        }
    });
    assert_eq!(drain(&marks, &mem), 1);
}

/// A put and a failure leave nothing out for each other.
#[test]
fn a_put_and_a_failure_at_once_are_both_remembered() {
    const ROUNDS: u32 = 10_000;
    let (marks, mem) = (page_ext(1), Host::new(100));
    marks.mark(&failure(5, 0), &mem, |_, _| ()).expect("room");
    let here = Meeting::default();
    std::thread::scope(|scope| {
        for puts in [true, false] {
            let (record, here) = (marks.lookup(5).expect("marked"), &here);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let again = Failure {
                        now: round.into(),
                        stack: round,
                        task: task(round),
                        ..failure(5, 0)
                    };
                    here.meet();
                    if puts {
                        record.put(1, round, &task(round));
                    } else {
                        assert_eq!(record.failed_again(&again), round + 2);
                    }
                    here.meet();
                    let s = record.snapshot();
                    assert_eq!((s.put_stack, s.put_task), (round, task(round)));
                    assert_eq!((s.failure.now, s.failure.stack), (round.into(), round));
                    assert_eq!((s.failure.task, s.whole), (task(round), true));
                    here.meet();
                }
            });
        }
    });
    drain(&marks, &mem);
}

/// Two threads whose puts, and two whose failures follow from one number: a snapshot that calls
/// itself whole shows one of them, and the counters fit each other and are exact in the end.
#[test]
fn a_whole_snapshot_is_of_one_moment() {
    const WRITES: u32 = 40_000;
    let (marks, mem) = (page_ext(1), Host::new(100));
    let one = |n: u32| Failure {
        reason: Reason(n as u8),
        stage: Stage::ALL[n as usize % 4],
        err: n as i32,
        count: n as i32 + 1,
        expected: n as i32 + 2,
        now: n.into(),
        stack: n,
        task: task(n),
        ..failure(5, 0)
    };
    marks.mark(&one(0), &mem, |_, _| ()).expect("room");
    let record = marks.lookup(5).expect("marked");
    let check = |s: &Snapshot| {
        let (f, n) = (&s.failure, s.failure.stack);
        let expected = one(n);
        assert_eq!((f.pfn, f.order, f.reason), (5, 0, expected.reason));
        assert_eq!((f.stage, f.now), (expected.stage, expected.now));
        assert_eq!(
            (f.err, f.count, f.expected),
            (n as i32, n as i32 + 1, n as i32 + 2)
        );
        assert_eq!(f.task, task(n));
        assert_eq!(u64::from(s.dropped), 3 * u64::from(s.puts));
        if s.puts != 0 {
            assert_eq!(s.put_task, task(s.put_stack));
        }
        assert_eq!(s.first, 0);
    };
    let done = AtomicBool::new(false);
    let wholes = std::thread::scope(|scope| {
        let threads = [0, 1, 2, 3].map(|thread| {
            let record = &record;
            scope.spawn(move || {
                for i in 0..WRITES {
                    let n = 4 * i + thread;
                    if thread % 2 == 0 {
                        record.put(3, n, &task(n));
                    } else {
                        record.failed_again(&one(n));
                    }
                    // Readers need a pause now and then.
                    if i % 64 == 0 {
                        std::thread::yield_now();
                    }
                }
            })
        });
        let reader = scope.spawn(|| {
            let mut wholes = 0;
            while !done.load(Ordering::Relaxed) {
                let s = record.snapshot();
                if s.whole {
                    wholes += 1;
                    check(&s);
                }
            }
            wholes
        });
        for thread in threads {
            thread.join().expect("no panic");
        }
        done.store(true, Ordering::Relaxed);
        reader.join().expect("no panic")
    });
    assert!(wholes > 100, "only {wholes} snapshots were whole");
    let s = record.snapshot();
    assert!(s.whole);
    check(&s);
    assert_eq!((s.puts, s.attempts), (2 * WRITES, 2 * WRITES + 1));
    drop(record);
    drain(&marks, &mem);
}

/// Whether a failure after the first is to be reported.
fn is_news(again: Failure) -> bool {
    let (marks, mem) = (page_ext(1), Host::new(100));
    let record = marked(&marks, &mem);
    assert!(record.claim_report());
    record.failed_again(&again);
    let news = record.claim_report();
    assert!(!record.claim_report());
    drop(record);
    drain(&marks, &mem);
    news
}

fn marked<'a>(marks: &'a PageExt, mem: &Host) -> User<'a> {
    marks.mark(&failure(5, 0), mem, |_, _| ()).expect("room");
    marks.lookup(5).expect("marked")
}

#[test]
fn a_burst_of_failures_is_one_report() {
    let first = failure(5, 0);
    let after = |ns| Failure {
        now: first.now + ns,
        ..first
    };
    assert!(!is_news(after(BURST_NS - 1)));
    assert!(is_news(after(BURST_NS)));
    assert!(is_news(Failure {
        stage: Stage::Isolate,
        ..after(1)
    }));
    assert!(is_news(Failure {
        reason: Reason(3),
        ..after(1)
    }));
    assert!(!is_news(Failure {
        err: -5,
        ..after(1)
    }));
}

/// A burst goes on as long as failures follow each other, however long it lasts.
#[test]
fn a_burst_ends_with_a_pause() {
    let (marks, mem) = (page_ext(1), Host::new(100));
    let record = marked(&marks, &mem);
    let mut now = failure(5, 0).now;
    let mut fail = |after| {
        now += after;
        record.failed_again(&Failure {
            now,
            ..failure(5, 0)
        });
        record.claim_report()
    };
    assert!(fail(1));
    assert!((0..10).all(|_| !fail(BURST_NS - 1)));
    assert!(fail(BURST_NS));
    assert!(!fail(1));
    drop(record);
    drain(&marks, &mem);
}

#[test]
fn a_report_that_could_not_be_made_is_owed() {
    let (marks, mem) = (page_ext(1), Host::new(100));
    let record = marked(&marks, &mem);
    assert!(record.claim_report());
    record.not_reported();
    record.failed_again(&failure(5, 0));
    assert!(record.claim_report());
    record.failed_again(&failure(5, 0));
    assert!(!record.claim_report());
    drop(record);
    drain(&marks, &mem);
}

/// The flags of a record share a word with what is told of its folio, and with its order.
#[test]
fn what_became_of_a_memory_error_is_remembered() {
    let (marks, mem) = (page_ext(1), Host::new(100));
    let of = |recovery| Failure {
        recovery,
        ..failure(4, 2)
    };
    marks.mark(&of(None), &mem, |_, _| ()).expect("room");
    let record = marks.lookup(5).expect("marked");
    assert_eq!(record.snapshot().failure.recovery, None);
    for recovery in Recovery::ALL.into_iter().map(Some).chain([None]) {
        record.failed_again(&of(recovery));
        assert_eq!(record.snapshot().failure.recovery, recovery);
        assert_eq!((record.order(), record.stage()), (2, of(None).stage));
        assert_eq!(record.reason(), of(None).reason);
    }
    drop(record);
    drain(&marks, &mem);
}
