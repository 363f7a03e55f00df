// SPDX-License-Identifier: GPL-2.0

//! Marks and their records.

use super::records::bit;
use super::{drain, failure, number, page_ext, random, Host, Meeting};
use crate::page_ext::{Marked, BLOCK_LEN};
use crate::reason::{Cause, Stage};
use crate::record::{Failure, Lost, Record, Task};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

#[test]
fn a_mark_is_found_on_every_page_and_ends_with_the_last() {
    let (marks, mem) = (page_ext(10), Host::new(100));
    let closed = RefCell::new(Vec::new());
    assert_eq!(
        marks.mark(&failure(512, 9), &mem, |_, _| ()),
        Ok(Marked::New)
    );
    assert!(!marks.is_empty());
    for pfn in 512..1024 {
        assert!(marks.maybe_marked(number(pfn)));
        let record = marks.lookup(pfn).expect("marked");
        assert_eq!((record.pfn(), record.order()), (512, 9));
    }
    assert!(marks.lookup(511).is_none() && marks.lookup(1024).is_none());

    // Freed page by page, as after a split.
    for pfn in (512..1024).rev() {
        assert!(closed.borrow().is_empty());
        marks.forget(pfn, 1, |r| closed.borrow_mut().push(r.pfn()));
        assert!(marks.lookup(pfn).is_none());
    }
    assert_eq!(*closed.borrow(), [512]);
    assert!(marks.is_empty());
    assert!(!marks.maybe_marked(number(512)));
    assert_eq!(drain(&marks, &mem), 0);
    assert_eq!(mem.out(), 0);
}

#[test]
fn memory_may_lie_anywhere_and_costs_only_where_marked() {
    let (marks, mem) = (page_ext(100), Host::new(1000));
    // As if plugged in later, each far beyond what was there before.
    let pfns: Vec<u64> = (0..42).map(|bit| 1 << bit).collect();
    for &pfn in &pfns {
        assert_eq!(
            marks.mark(&failure(pfn, 0), &mem, |_, _| ()),
            Ok(Marked::New)
        );
    }
    assert!(pfns
        .iter()
        .all(|&pfn| marks.lookup(pfn).is_some_and(|r| r.pfn() == pfn)));
    assert!(pfns
        .iter()
        .skip(2)
        .all(|&pfn| marks.lookup(pfn + 1).is_none()));
    assert_eq!(marks.bytes() as i64, mem.out());
    assert!(marks.bytes() < 350 << 10, "{} bytes", marks.bytes());
    assert_eq!(drain(&marks, &mem), pfns.len());
    assert_eq!(mem.out(), 0);
}

#[test]
fn a_folio_that_is_gone_once_it_is_marked_does_not_stay_so() {
    let (marks, mem) = (page_ext(10), Host::new(100));
    let closed = RefCell::new(Vec::new());
    let close = |r: &Record, cause| closed.borrow_mut().push((r.pfn(), cause));
    // What it is told of the folio it asks for when the mark can be seen, not before.
    let mark = |pfn, is_there| {
        marks.mark_unheld(&failure(pfn, 2), &mem, close, || {
            assert!(marks.lookup(pfn).is_some());
            is_there
        })
    };
    assert_eq!(mark(8, true), Ok(Marked::New));
    assert_eq!(mark(8, true), Ok(Marked::Again(2)));
    assert!(marks.lookup(8).is_some() && closed.borrow().is_empty());

    assert_eq!(mark(16, false), Ok(Marked::New));
    assert!((16..20).all(|pfn| marks.lookup(pfn).is_none()));
    assert_eq!(*closed.borrow(), [(16, Cause::Freed)]);
    // Of what was there before too: it is the end of its story.
    assert_eq!(mark(8, false), Ok(Marked::Again(3)));
    assert!(marks.lookup(8).is_none() && marks.is_empty());
    assert_eq!(drain(&marks, &mem), 0);
}

#[test]
fn a_failure_more_is_an_attempt_and_keeps_the_first_time() {
    let (marks, mem) = (page_ext(10), Host::new(100));
    assert_eq!(marks.mark(&failure(5, 0), &mem, |_, _| ()), Ok(Marked::New));
    let later = Failure {
        now: 9000,
        err: -16,
        stage: Stage::Isolate,
        ..failure(5, 0)
    };
    assert_eq!(marks.mark(&later, &mem, |_, _| ()), Ok(Marked::Again(2)));
    assert_eq!(marks.mark(&later, &mem, |_, _| ()), Ok(Marked::Again(3)));
    let s = marks.lookup(5).expect("marked").snapshot();
    assert_eq!((s.first, s.failure.now, s.attempts), (1000, 9000, 3));
    assert_eq!((s.failure.err, s.failure.stage), (-16, Stage::Isolate));
    assert_eq!(drain(&marks, &mem), 1);
}

#[test]
fn a_reused_record_shows_nothing_of_its_past() {
    let (marks, mem) = (page_ext(1), Host::new(100));
    marks.mark(&failure(5, 0), &mem, |_, _| ()).expect("room");
    marks.lookup(5).expect("marked").put(
        1023,
        99,
        &Task {
            comm: [8, 8],
            pid: 8,
        },
    );
    let s = marks.lookup(5).expect("marked").snapshot();
    assert_eq!(
        (s.puts, s.dropped, s.put_stack, s.put_task.pid),
        (1, 1023, 99, 8)
    );
    marks.forget(5, 1, |_| ());
    marks
        .mark(&failure(6, 0), &mem, |_, _| ())
        .expect("room again");
    let s = marks.lookup(6).expect("marked").snapshot();
    assert_eq!(
        (s.puts, s.dropped, s.put_stack, s.put_task),
        (0, 0, 0, Task::default())
    );
    drain(&marks, &mem);
}

#[test]
fn a_record_in_use_is_not_reused() {
    let (marks, mem) = (page_ext(1), Host::new(100));
    marks.mark(&failure(5, 0), &mem, |_, _| ()).expect("room");
    let user = marks.lookup(5).expect("marked");
    marks.forget(5, 1, |_| ());
    assert_eq!(marks.mark(&failure(6, 0), &mem, |_, _| ()), Err(Lost::Full));
    assert_eq!(user.pfn(), 5);
    drop(user);
    assert_eq!(marks.mark(&failure(6, 0), &mem, |_, _| ()), Ok(Marked::New));
    drain(&marks, &mem);
}

#[test]
fn what_cannot_be_marked_is_refused_whole() {
    let mem = Host::new(1000);
    let marks = page_ext(1);
    assert_eq!(
        marks.mark(&failure(1 << 42, 0), &mem, |_, _| ()),
        Err(Lost::Range)
    );
    assert_eq!(
        marks.mark(&failure(u64::MAX, 0), &mem, |_, _| ()),
        Err(Lost::Range)
    );

    // Whatever allocation fails, nothing stays behind.
    let mut refused = 0;
    for left in 0.. {
        let mem = Host::new(left);
        let marks = page_ext(10);
        match marks.mark(&failure(1024, 9), &mem, |_, _| ()) {
            Ok(_) => {
                drain(&marks, &mem);
                break;
            }
            Err(lost) => {
                assert_eq!(lost, Lost::NoMemory);
                assert!(marks.is_empty());
                assert!((1024..1536).all(|pfn| marks.lookup(pfn).is_none()));
                assert!((1024..1536).all(|pfn| !marks.maybe_marked(number(pfn))));
                drain(&marks, &mem);
                assert_eq!(mem.out(), 0);
                refused += 1;
            }
        }
    }
    // Two allocations for the record, three tables, eight blocks.
    assert_eq!(refused, 13);
}

#[test]
fn empty_blocks_are_taken_out_and_made_again() {
    let (marks, mem) = (page_ext(4096), Host::new(10_000));
    for pfn in (0..2400 * BLOCK_LEN).step_by(BLOCK_LEN as usize) {
        marks.mark(&failure(pfn, 0), &mem, |_, _| ()).expect("room");
    }
    assert!(!marks.is_crowded());
    let mut dead = [None; 32];
    assert_eq!(marks.reap(&mut dead), 0, "all are in use");
    marks.forget(0, 256 * BLOCK_LEN, |_| ());
    assert!(!marks.is_crowded(), "few are empty");
    marks.forget(0, 2399 * BLOCK_LEN, |_| ());
    assert!(marks.is_crowded());
    let before = marks.bytes();
    assert_eq!(marks.reap(&mut dead), 32);
    // Marked again while the old block is not yet freed.
    assert_eq!(marks.mark(&failure(0, 0), &mem, |_, _| ()), Ok(Marked::New));
    assert!(marks.lookup(0).is_some());
    for block in dead.into_iter().flatten() {
        // SAFETY: The test is the only user.
        unsafe { marks.free_block(block, &mem) };
    }
    assert!(marks.bytes() < before);
    assert!(marks.lookup(0).is_some() && marks.lookup(2399 * BLOCK_LEN).is_some());
    assert_eq!(drain(&marks, &mem), 2);
    assert_eq!(mem.out(), 0);
}

#[test]
fn a_thp_marked_again_in_pieces_closes_with_its_last_page() {
    let (marks, mem) = (page_ext(600), Host::new(1000));
    marks.mark(&failure(512, 9), &mem, |_, _| ()).expect("room");
    let mut closed = Vec::new();
    for pfn in 512..1024 {
        assert!(closed.is_empty());
        let marked = marks.mark(&failure(pfn, 0), &mem, |r, cause| {
            closed.push((r.pfn(), cause))
        });
        assert_eq!(marked, Ok(Marked::New));
        assert_eq!(marks.lookup(pfn).expect("marked").order(), 0);
    }
    assert_eq!(closed, [(512, Cause::Evicted)]);
    assert_eq!(marks.records().live(), 512);
    assert_eq!(drain(&marks, &mem), 512);
    assert_eq!(mem.out(), 0);
}

/// What one does with marks.
#[derive(Clone, Debug)]
enum Op {
    Mark { pfn: u64, order: u8 },
    Forget { pfn: u64, len: u64 },
    End { pfn: u64 },
    Put { pfn: u64, stack: u32 },
    Reap,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    // Few places, for folios that fail again.
    let pfn = prop_oneof![0u64..256, (0u64..8).prop_map(|n| n * 32)];
    let op = prop_oneof![
        5 => (pfn.clone(), prop_oneof![Just(0), 0u8..8])
            .prop_map(|(pfn, order)| Op::Mark { pfn: pfn >> order << order, order }),
        1 => (pfn.clone(), 1u64..80).prop_map(|(pfn, len)| Op::Forget { pfn, len }),
        1 => pfn.clone().prop_map(|pfn| Op::End { pfn }),
        3 => (pfn, 0u32..100).prop_map(|(pfn, stack)| Op::Put { pfn, stack }),
        1 => Just(Op::Reap),
    ];
    prop::collection::vec(op, 1..120)
}

/// A mark as the model has it.
#[derive(Clone, Debug)]
struct Story {
    head: u64,
    order: u8,
    attempts: u32,
    puts: u32,
    pages: u64,
    /// Failed again since the hand was there.
    again: bool,
    /// Bits of the stacks seen.
    bits: Vec<u64>,
    place: usize,
}

/// The plain model: which story each page belongs to, and which stories there is room for.
struct Model {
    page: HashMap<u64, usize>,
    stories: Vec<Story>,
    closed: Vec<(u64, Cause)>,
    /// The story in each place where a record was ever made.
    places: Vec<Option<usize>>,
    /// Places left, of which the last one is taken first.
    free: Vec<usize>,
    hand: usize,
    cap: usize,
}

impl Model {
    fn new(cap: u32) -> Self {
        Model {
            page: HashMap::new(),
            stories: Vec::new(),
            closed: Vec::new(),
            places: Vec::new(),
            free: Vec::new(),
            hand: 0,
            cap: cap as usize,
        }
    }

    fn leave(&mut self, pfn: u64, cause: Cause) {
        if let Some(story) = self.page.remove(&pfn) {
            let s = &mut self.stories[story];
            s.pages -= 1;
            if s.pages == 0 {
                self.closed.push((s.head, cause));
                self.places[s.place] = None;
                self.free.push(s.place);
            }
        }
    }

    fn end(&mut self, story: usize, cause: Cause) {
        let mut pages: Vec<u64> = self.page.keys().copied().collect();
        pages.sort();
        for pfn in pages {
            if self.page[&pfn] == story {
                self.leave(pfn, cause);
            }
        }
    }

    /// The hand goes round: whoever failed again is let off once.
    fn evict(&mut self) {
        loop {
            let place = self.hand % self.places.len();
            self.hand += 1;
            let story = self.places[place].expect("none is free");
            if !std::mem::take(&mut self.stories[story].again) {
                return self.end(story, Cause::Evicted);
            }
        }
    }

    fn mark(&mut self, pfn: u64, order: u8) -> Marked {
        if let Some(&story) = self.page.get(&pfn) {
            let story = &mut self.stories[story];
            if story.head == pfn && story.order == order {
                story.attempts += 1;
                story.again = true;
                return Marked::Again(story.attempts);
            }
        }
        if self.free.is_empty() && self.places.len() == self.cap {
            self.evict();
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[place] = Some(self.stories.len());
        let pages = 1 << order;
        self.stories.push(Story {
            head: pfn,
            order,
            attempts: 1,
            puts: 0,
            pages,
            again: false,
            bits: Vec::new(),
            place,
        });
        for p in pfn..pfn + pages {
            self.leave(p, Cause::Evicted);
            self.page.insert(p, self.stories.len() - 1);
        }
        Marked::New
    }

    fn put(&mut self, pfn: u64, stack: u32) -> Option<bool> {
        let story = &mut self.stories[*self.page.get(&pfn)?];
        story.puts += 1;
        let is_new = !story.bits.contains(&bit(stack));
        story.bits.push(bit(stack));
        Some(is_new)
    }
}

proptest! {
    #[test]
    fn marks_are_what_a_plain_map_says(ops in ops(), cap in prop_oneof![Just(100_000), 1u32..8]) {
        let (marks, mem) = (page_ext(cap), Host::new(i64::MAX));
        let mut model = Model::new(cap);
        let closed = RefCell::new(Vec::new());
        let close = |r: &Record, cause| closed.borrow_mut().push((r.pfn(), cause));
        for op in ops {
            match op {
                Op::Mark { pfn, order } => {
                    let marked = marks.mark(&failure(pfn, order), &mem, close);
                    prop_assert_eq!(marked, Ok(model.mark(pfn, order)));
                }
                Op::Forget { pfn, len } => {
                    marks.forget(pfn, len, |r| close(r, Cause::Freed));
                    (pfn..pfn + len).for_each(|p| model.leave(p, Cause::Freed));
                }
                Op::End { pfn } => {
                    if let Some(r) = marks.lookup(pfn) {
                        marks.end(&r, |r| close(r, Cause::Unpinned));
                    }
                    if let Some(&story) = model.page.get(&pfn) {
                        model.end(story, Cause::Unpinned);
                    }
                }
                Op::Put { pfn, stack } => {
                    let is_new = marks.lookup(pfn).map(|r| r.put(1, stack, &Task::default()));
                    prop_assert_eq!(is_new, model.put(pfn, stack));
                }
                Op::Reap => {
                    let mut dead = [None; 4];
                    marks.reap(&mut dead);
                    for block in dead.into_iter().flatten() {
                        // SAFETY: The test is the only user.
                        unsafe { marks.free_block(block, &mem) };
                    }
                }
            }
            for pfn in 0..400 {
                let found = marks
                    .lookup(pfn)
                    .map(|r| (r.pfn(), r.order(), r.snapshot().attempts, r.puts()));
                let expected = model.page.get(&pfn).map(|&story| {
                    let s = &model.stories[story];
                    (s.head, s.order, s.attempts, s.puts)
                });
                prop_assert_eq!(found, expected, "pfn {}", pfn);
                prop_assert!(found.is_none() || marks.maybe_marked(number(pfn)));
            }
            let live = model.stories.iter().filter(|s| s.pages != 0).count();
            prop_assert_eq!(marks.records().live() as usize, live);
            prop_assert!(live <= cap as usize);
            prop_assert_eq!(&*closed.borrow(), &model.closed);
        }
        marks.forget(0, 1024, |_| ());
        prop_assert!(marks.is_empty());
        prop_assert!((0..1024).all(|pfn| !marks.maybe_marked(number(pfn))));
        drain(&marks, &mem);
        prop_assert_eq!(mem.out(), 0);
    }
}

/// Threads that mark, look up, put and forget the same folios: nothing is lost or left over, and a
/// record is never seen with another folio's content.
#[test]
fn threads_leave_marks_whole() {
    let (marks, mem) = (page_ext(64), Host::new(i64::MAX));
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (marks, mem) = (&marks, &mem);
            scope.spawn(move || {
                let mut x = thread + 1;
                for _ in 0..20_000 {
                    let pfn = random(&mut x) % 64 * 4;
                    match random(&mut x) % 4 {
                        // A folio's pfn is in all its fields, for the readers to check.
                        0 => {
                            let f = Failure {
                                stack: pfn as u32,
                                now: pfn,
                                ..failure(pfn, 2)
                            };
                            let _ = marks.mark(&f, mem, |_, _| ());
                        }
                        1 => marks.forget(pfn, 4, |r| assert_eq!(r.pfn(), pfn)),
                        _ => {
                            if let Some(r) = marks.lookup(pfn + 3) {
                                r.put(1, 0, &Task::default());
                                let s = r.snapshot();
                                assert_eq!(s.failure.pfn, pfn);
                                assert_eq!((s.first, s.failure.stack), (pfn, pfn as u32));
                            }
                        }
                    }
                }
            });
        }
    });
    marks.forget(0, 256, |_| ());
    assert!(marks.is_empty());
    assert!((0..256).all(|pfn| !marks.maybe_marked(number(pfn))));
    // Every record is free again.
    for pfn in 0..64 {
        assert_eq!(
            marks.mark(&failure(pfn, 0), &mem, |_, _| ()),
            Ok(Marked::New)
        );
    }
    assert_eq!(drain(&marks, &mem), 64);
    assert_eq!(mem.out(), 0);
}

/// Threads that mark, evict, end and forget overlapping folios: each story ends exactly once, or
/// is there in the end.
#[test]
fn threads_end_every_story_once() {
    const MARKS: u64 = 60_000;
    let (marks, mem) = (page_ext(12), Host::new(i64::MAX));
    let count = || (0..MARKS).map(|_| AtomicU32::new(0)).collect::<Vec<_>>();
    let (begun, ended) = (count(), count());
    let next = AtomicU64::new(0);
    // A story is known by the time it began at.
    let close = |r: &Record| {
        ended[r.first() as usize].fetch_add(1, Ordering::Relaxed);
    };
    let evictions = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (marks, mem, begun, next) = (&marks, &mem, &begun, &next);
            let (close, evictions) = (&close, &evictions);
            scope.spawn(move || {
                let mut x = thread;
                loop {
                    let order = random(&mut x) % 4;
                    let pfn = (random(&mut x) % 96) >> order << order;
                    match random(&mut x) % 8 {
                        0 => marks.forget(pfn, 1 << order, close),
                        1 | 2 => {
                            if let Some(user) = marks.lookup(pfn) {
                                marks.end(&user, close);
                            }
                        }
                        _ => {
                            let now = next.fetch_add(1, Ordering::Relaxed);
                            if now >= MARKS {
                                break;
                            }
                            let f = Failure {
                                now,
                                ..failure(pfn, order as u8)
                            };
                            let marked = marks.mark(&f, mem, |r, cause| {
                                assert_eq!(cause, Cause::Evicted);
                                evictions.fetch_add(1, Ordering::Relaxed);
                                close(r)
                            });
                            if marked == Ok(Marked::New) {
                                begun[now as usize].fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                }
            });
        }
    });
    assert!(marks.records().live() <= 12);
    marks.forget(0, 96, close);
    assert!(marks.is_empty());
    assert!((0..96).all(|pfn| !marks.maybe_marked(number(pfn))));
    let sum = |counts: &[AtomicU32]| {
        let counts = counts.iter().map(|n| n.load(Ordering::Relaxed));
        counts.collect::<Vec<_>>()
    };
    assert_eq!(sum(&begun), sum(&ended));
    assert!(evictions.into_inner() > 1000);
    assert_eq!(drain(&marks, &mem), 0);
    assert_eq!(mem.out(), 0);
}

/// Threads that end the record of one folio while others forget its pages: one of them is told.
#[test]
fn threads_that_end_the_same_record_are_told_once() {
    let (marks, mem) = (page_ext(4), Host::new(i64::MAX));
    for _ in 0..2000 {
        marks.mark(&failure(64, 4), &mem, |_, _| ()).expect("room");
        let told = AtomicU32::new(0);
        let close = |_: &Record| {
            told.fetch_add(1, Ordering::Relaxed);
        };
        let user = marks.lookup(64).expect("marked");
        std::thread::scope(|scope| {
            scope.spawn(|| marks.forget(64, 8, close));
            marks.end(&user, close);
        });
        drop(user);
        assert_eq!(told.into_inner(), 1);
        assert!(marks.is_empty());
    }
    drain(&marks, &mem);
    assert_eq!(mem.out(), 0);
}

/// What is marked anew while the old record is ended stays marked, on every page.
#[test]
fn ending_a_record_takes_no_page_that_was_marked_meanwhile() {
    const ROUNDS: u32 = 1_000;
    let (marks, mem) = (page_ext(3), Host::new(i64::MAX));
    let here = Meeting::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..ROUNDS {
                here.meet();
                let thp = marks.lookup(512).expect("marked");
                here.meet();
                marks.end(&thp, |_| ());
                drop(thp);
                here.meet();
            }
        });
        for _ in 0..ROUNDS {
            marks.mark(&failure(512, 9), &mem, |_, _| ()).expect("room");
            here.meet();
            here.meet();
            // Page by page side by side with the other thread.
            for half in [512, 768] {
                marks
                    .mark(&failure(half, 8), &mem, |_, _| ())
                    .expect("room");
            }
            here.meet();
            assert!((512..1024).all(|pfn| marks.lookup(pfn).is_some_and(|r| r.order() == 8)));
            assert_eq!(marks.records().live(), 2);
            marks.forget(512, 512, |_| ());
        }
    });
    assert_eq!(drain(&marks, &mem), 0);
    assert_eq!(mem.out(), 0);
}
