// SPDX-License-Identifier: GPL-2.0

//! How marks make room for others, and how one record is ended.

use super::{drain, failure, number, page_ext, task, Host};
use crate::page_ext::Marked;
use crate::reason::Cause;
use crate::record::{Failure, Lost, Record, Snapshot};
use std::cell::RefCell;

#[test]
fn the_oldest_goes_first_when_there_is_no_room() {
    let (marks, mem) = (page_ext(3), Host::new(1000));
    let closed = RefCell::new(Vec::new());
    let evicted = |r: &Record, cause| closed.borrow_mut().push((r.pfn(), cause));
    for pfn in 1..=8 {
        let marked = marks.mark(&failure(pfn, 0), &mem, evicted);
        assert_eq!(marked, Ok(Marked::New));
        assert!(marks.records().live() <= 3);
    }
    let expected: Vec<_> = (1..=5).map(|pfn| (pfn, Cause::Evicted)).collect();
    assert_eq!(*closed.borrow(), expected);
    assert!((1..=5).all(|pfn| marks.lookup(pfn).is_none()));
    assert_eq!(drain(&marks, &mem), 3);
}

#[test]
fn a_folio_that_failed_again_is_passed_over_once() {
    let (marks, mem) = (page_ext(3), Host::new(1000));
    let closed = RefCell::new(Vec::new());
    let mark = |pfn| {
        let evicted = |r: &Record, _| closed.borrow_mut().push(r.pfn());
        marks.mark(&failure(pfn, 0), &mem, evicted).expect("room");
    };
    (1..=3).for_each(mark);
    mark(1);
    mark(1);
    (4..=6).for_each(mark);
    // 1 lost its grace when it was passed over, and did not fail since.
    assert_eq!(*closed.borrow(), [2, 3, 1]);
    drain(&marks, &mem);
}

#[test]
fn not_more_than_64_are_passed_over_at_a_time() {
    let (marks, mem) = (page_ext(100), Host::new(1000));
    for pfn in (0..100).chain(0..100) {
        marks.mark(&failure(pfn, 0), &mem, |_, _| ()).expect("room");
    }
    let mut closed = Vec::new();
    for pfn in 100..103 {
        marks
            .mark(&failure(pfn, 0), &mem, |r, _| closed.push(r.pfn()))
            .expect("room");
    }
    // Of the second search none had to be passed over at the beginning, but 35 at the end.
    assert_eq!(closed, [64, 0, 1]);
    drain(&marks, &mem);
}

#[test]
fn who_is_evicted_is_told_with_the_whole_story() {
    // Over and over, where there is room for one.
    let (marks, mem) = (page_ext(1), Host::new(100));
    for pfn in 0..100u32 {
        let mut told: Vec<(Snapshot, Cause)> = Vec::new();
        let now = Failure {
            now: 1000 + u64::from(pfn),
            stack: pfn,
            ..failure(pfn.into(), 0)
        };
        let marked = marks.mark(&now, &mem, |r, cause| told.push((r.snapshot(), cause)));
        assert_eq!(marked, Ok(Marked::New));
        assert_eq!(told.len(), usize::from(pfn != 0));
        for (s, cause) in told {
            let before = pfn - 1;
            assert_eq!(cause, Cause::Evicted);
            assert_eq!((s.failure.pfn, s.first), (before.into(), now.now - 1));
            assert_eq!((s.failure.stack, s.attempts), (before, 2));
            assert_eq!((s.puts, s.dropped, s.put_stack), (1, 1023, 7 * before));
            assert_eq!(s.put_task, task(before));
            assert!(s.whole);
        }
        marks
            .mark(&now, &mem, |_, _| unreachable!())
            .expect("marked already");
        let record = marks.lookup(pfn.into()).expect("marked");
        record.put(1023, 7 * pfn, &task(pfn));
    }
    assert_eq!(drain(&marks, &mem), 1);
    assert_eq!(mem.out(), 0);
}

#[test]
fn a_thp_that_is_evicted_leaves_no_page_behind() {
    let (marks, mem) = (page_ext(2), Host::new(100));
    marks.mark(&failure(512, 9), &mem, |_, _| ()).expect("room");
    // A part of it changed over.
    marks.mark(&failure(640, 6), &mem, |_, _| ()).expect("room");
    let mut closed = Vec::new();
    marks
        .mark(&failure(1 << 30, 0), &mem, |r, _| {
            closed.push((r.pfn(), r.order()))
        })
        .expect("room");
    assert_eq!(closed, [(512, 9)]);
    for pfn in 512..1024 {
        let is_part = (640..704).contains(&pfn);
        assert_eq!(marks.lookup(pfn).is_some(), is_part, "{pfn}");
        assert_eq!(marks.maybe_marked(number(pfn)), is_part, "{pfn}");
    }
    assert_eq!(drain(&marks, &mem), 2);
    assert_eq!(mem.out(), 0);
}

#[test]
fn a_folio_may_take_the_place_of_what_it_was_a_part_of() {
    let (marks, mem) = (page_ext(1), Host::new(100));
    let mut closed = Vec::new();
    for (pfn, order) in [(64, 6), (70, 0), (64, 3), (64, 6), (64, 5)] {
        let marked = marks.mark(&failure(pfn, order), &mem, |r, cause| {
            closed.push((r.pfn(), r.order(), cause))
        });
        assert_eq!(marked, Ok(Marked::New));
        let found: Vec<u64> = (0..256).filter(|&p| marks.lookup(p).is_some()).collect();
        assert_eq!(found, (pfn..pfn + (1 << order)).collect::<Vec<_>>());
    }
    let evicted = |(pfn, order)| (pfn, order, Cause::Evicted);
    assert_eq!(closed, [(64, 6), (70, 0), (64, 3), (64, 6)].map(evicted));
    drain(&marks, &mem);
}

#[test]
fn nothing_is_marked_while_every_record_is_in_use() {
    let (marks, mem) = (page_ext(2), Host::new(100));
    let mut closed = Vec::new();
    for pfn in [1, 2] {
        marks.mark(&failure(pfn, 0), &mem, |_, _| ()).expect("room");
    }
    let users = [1, 2].map(|pfn| marks.lookup(pfn).expect("marked"));
    let marked = marks.mark(&failure(3, 0), &mem, |r, _| closed.push(r.pfn()));
    assert_eq!(marked, Err(Lost::Full));
    // They were told to go, but a user sees what it saw.
    assert_eq!(closed, [1, 2]);
    assert_eq!(users.each_ref().map(|user| user.pfn()), [1, 2]);
    assert!(marks.is_empty() && (1..4).all(|pfn| marks.lookup(pfn).is_none()));
    drop(users);
    for pfn in [3, 4] {
        let marked = marks.mark(&failure(pfn, 0), &mem, |_, _| unreachable!());
        assert_eq!(marked, Ok(Marked::New));
    }
    assert_eq!(drain(&marks, &mem), 2);

    let none = page_ext(0);
    assert_eq!(none.mark(&failure(1, 0), &mem, |_, _| ()), Err(Lost::Full));
    assert_eq!(drain(&none, &mem), 0);
    assert_eq!(mem.out(), 0);
}

#[test]
fn blocks_are_as_many_as_allowed_and_refused_whole() {
    let (marks, mem) = (page_ext(20), Host::new(10_000));
    let mark = |pfn, order| marks.mark(&failure(pfn, order), &mem, |_, _| ());
    // 4096 are allowed for few marks: all but the last four.
    let mut thp = 0;
    for order in (8..=17).rev() {
        assert_eq!(mark(thp, order), Ok(Marked::New));
        thp += 1 << order;
    }
    thp += 1 << 8;
    assert_eq!(mark(thp, 9), Err(Lost::Blocks));
    assert!((thp..thp + 512).all(|pfn| marks.lookup(pfn).is_none()));
    // What was made for it is there, and may be had.
    assert_eq!(mark(thp, 8), Ok(Marked::New));
    assert_eq!(mark(thp + 256, 0), Err(Lost::Blocks));
    assert_eq!(marks.records().live(), 11);
    // Room comes back with the blocks that are empty.
    marks.forget(thp, 1 << 9, |_| ());
    assert_eq!(mark(thp + 256, 0), Err(Lost::Blocks));
    let mut dead = [None; 8];
    assert_eq!(marks.reap(&mut dead), 4);
    for block in dead.into_iter().flatten() {
        // SAFETY: The test is the only user.
        unsafe { marks.free_block(block, &mem) };
    }
    assert_eq!(mark(thp + 256, 0), Ok(Marked::New));
    // The filter has forgotten all as well.
    marks.forget(0, thp + 512, |_| ());
    assert!((0..thp + 512).all(|pfn| !marks.maybe_marked(number(pfn))));
    assert_eq!(drain(&marks, &mem), 0);
    assert_eq!(mem.out(), 0);
}

#[test]
fn ending_a_record_leaves_what_was_marked_anew() {
    let (marks, mem) = (page_ext(10), Host::new(100));
    marks.mark(&failure(512, 9), &mem, |_, _| ()).expect("room");
    let thp = marks.lookup(512).expect("marked");
    for (pfn, order) in [(512, 0), (600, 3), (1022, 1)] {
        let marked = marks.mark(&failure(pfn, order), &mem, |_, _| unreachable!());
        assert_eq!(marked, Ok(Marked::New));
    }
    let mut closed = Vec::new();
    marks.end(&thp, |r| closed.push((r.pfn(), r.order())));
    assert_eq!(closed, [(512, 9)]);
    for pfn in 512..1024 {
        let order = match pfn {
            512 => Some(0),
            600..608 => Some(3),
            1022.. => Some(1),
            _ => None,
        };
        assert_eq!(marks.lookup(pfn).map(|r| r.order()), order, "{pfn}");
    }
    assert_eq!(marks.records().live(), 3);

    // Not twice, and not what stands in its place.
    marks
        .mark(&failure(512, 9), &mem, |_, _| ())
        .expect("room again");
    marks.end(&thp, |_| unreachable!());
    drop(thp);
    assert!((512..1024).all(|pfn| marks.lookup(pfn).is_some()));
    assert_eq!(drain(&marks, &mem), 1);
    assert_eq!(mem.out(), 0);
}
