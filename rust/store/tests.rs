// SPDX-License-Identifier: GPL-2.0

//! Host tests: units, properties against plain models, and threads.

use super::depot::{Depot, Handle, MAX_FRAMES, POOL_BYTES};
use super::memory::{Memory, Zeroed};
use super::page_ext::{Marked, PageExt, BLOCK_LEN};
use super::reason::{Cause, Reason, ReasonSet, Stage};
use super::record::{Failure, Lost, Task};
use proptest::prelude::*;
use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI64, Ordering};

/// The host's memory, of which only so many allocations can be had, and which knows what is out.
struct Host {
    left: AtomicI64,
    out: AtomicI64,
}

impl Host {
    fn new(left: i64) -> Self {
        Host {
            left: AtomicI64::new(left),
            out: AtomicI64::new(0),
        }
    }

    fn out(&self) -> i64 {
        self.out.load(Ordering::Relaxed)
    }
}

impl Memory for Host {
    fn alloc<T: Zeroed>(&self) -> Option<NonNull<T>> {
        if self.left.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return None;
        }
        self.out.fetch_add(size_of::<T>() as i64, Ordering::Relaxed);
        // SAFETY: No T of the store is of size zero.
        NonNull::new(unsafe { alloc_zeroed(Layout::new::<T>()) }.cast())
    }

    unsafe fn free<T: Zeroed>(&self, p: NonNull<T>) {
        self.out.fetch_sub(size_of::<T>() as i64, Ordering::Relaxed);
        // SAFETY: From `alloc`, as the caller promises.
        unsafe { dealloc(p.as_ptr().cast(), Layout::new::<T>()) };
    }
}

fn failure(pfn: u64, order: u8) -> Failure {
    Failure {
        pfn,
        order,
        reason: Reason(6),
        stage: Stage::Migrate,
        err: 1,
        count: 4,
        expected: 3,
        now: 1000,
        stack: 7,
        task: Task {
            comm: [1, 2],
            pid: 3,
        },
    }
}

fn page_ext(cap: u32) -> PageExt {
    let marks = PageExt::new();
    marks.configure(cap, 12345);
    marks
}

fn number(pfn: u64) -> usize {
    (pfn / BLOCK_LEN) as usize + 12345
}

fn drain(marks: &PageExt, mem: &Host) -> usize {
    let mut closed = 0;
    // SAFETY: The test is the only user.
    unsafe {
        marks.drain(mem, |_, cause| {
            assert_eq!(cause, Cause::Forgotten);
            closed += 1;
        })
    };
    closed
}

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
    marks.mark(&failure(1, 0), &mem, |_, _| ()).expect("room");
    assert_eq!(marks.mark(&failure(2, 0), &mem, |_, _| ()), Err(Lost::Full));
    drain(&marks, &mem);

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
    let (marks, mem) = (page_ext(512), Host::new(10_000));
    for pfn in (0..300 * BLOCK_LEN).step_by(BLOCK_LEN as usize) {
        marks.mark(&failure(pfn, 0), &mem, |_, _| ()).expect("room");
    }
    assert!(!marks.is_crowded());
    let mut dead = [None; 32];
    assert_eq!(marks.reap(&mut dead), 0, "all are in use");
    marks.forget(0, 32 * BLOCK_LEN, |_| ());
    assert!(!marks.is_crowded(), "few are empty");
    marks.forget(0, 299 * BLOCK_LEN, |_| ());
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
    assert!(marks.lookup(0).is_some() && marks.lookup(299 * BLOCK_LEN).is_some());
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
    Put { pfn: u64 },
    Reap,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let pfn = 0u64..256;
    let op = prop_oneof![
        4 => (pfn.clone(), 0u8..8).prop_map(|(pfn, order)| Op::Mark { pfn: pfn >> order << order, order }),
        3 => (pfn.clone(), 1u64..80).prop_map(|(pfn, len)| Op::Forget { pfn, len }),
        3 => pfn.prop_map(|pfn| Op::Put { pfn }),
        1 => Just(Op::Reap),
    ];
    prop::collection::vec(op, 1..120)
}

/// A mark as the model has it.
#[derive(Clone, Debug, PartialEq)]
struct Story {
    head: u64,
    order: u8,
    attempts: u32,
    puts: u32,
    pages: u64,
}

/// The plain model: which story each page belongs to.
#[derive(Default)]
struct Model {
    page: HashMap<u64, usize>,
    stories: Vec<Story>,
    closed: Vec<u64>,
}

impl Model {
    fn leave(&mut self, pfn: u64) {
        if let Some(story) = self.page.remove(&pfn) {
            self.stories[story].pages -= 1;
            if self.stories[story].pages == 0 {
                self.closed.push(self.stories[story].head);
            }
        }
    }

    fn mark(&mut self, pfn: u64, order: u8) -> Marked {
        if let Some(&story) = self.page.get(&pfn) {
            let story = &mut self.stories[story];
            if story.head == pfn && story.order == order {
                story.attempts += 1;
                return Marked::Again(story.attempts);
            }
        }
        let pages = 1 << order;
        self.stories.push(Story {
            head: pfn,
            order,
            attempts: 1,
            puts: 0,
            pages,
        });
        for p in pfn..pfn + pages {
            self.leave(p);
            self.page.insert(p, self.stories.len() - 1);
        }
        Marked::New
    }
}

proptest! {
    #[test]
    fn marks_are_what_a_plain_map_says(ops in ops()) {
        let (marks, mem) = (page_ext(100_000), Host::new(i64::MAX));
        let mut model = Model::default();
        let closed = RefCell::new(Vec::new());
        for op in ops {
            match op {
                Op::Mark { pfn, order } => {
                    let marked = marks.mark(&failure(pfn, order), &mem, |r, _| closed.borrow_mut().push(r.pfn()));
                    prop_assert_eq!(marked, Ok(model.mark(pfn, order)));
                }
                Op::Forget { pfn, len } => {
                    marks.forget(pfn, len, |r| closed.borrow_mut().push(r.pfn()));
                    (pfn..pfn + len).for_each(|p| model.leave(p));
                }
                Op::Put { pfn } => {
                    if let Some(r) = marks.lookup(pfn) {
                        r.put(1, 1, &Task::default());
                    }
                    if let Some(&story) = model.page.get(&pfn) {
                        model.stories[story].puts += 1;
                    }
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
                let found = marks.lookup(pfn).map(|r| (r.pfn(), r.order(), r.snapshot().attempts, r.puts()));
                let expected = model.page.get(&pfn).map(|&story| {
                    let s = &model.stories[story];
                    (s.head, s.order, s.attempts, s.puts)
                });
                prop_assert_eq!(found, expected, "pfn {}", pfn);
                prop_assert!(found.is_none() || marks.maybe_marked(number(pfn)));
            }
            let live = model.stories.iter().filter(|s| s.pages != 0).count();
            prop_assert_eq!(marks.records().live() as usize, live);
            prop_assert_eq!(&*closed.borrow(), &model.closed);
        }
        marks.forget(0, 1024, |_| ());
        prop_assert!(marks.is_empty());
        prop_assert!((0..1024).all(|pfn| !marks.maybe_marked(number(pfn))));
        drain(&marks, &mem);
        prop_assert_eq!(mem.out(), 0);
    }

    #[test]
    fn a_depot_gives_back_what_was_saved(
        stacks in prop::collection::vec(prop::collection::vec(0u64..4, 1..70), 1..200),
        pools in 1usize..4,
    ) {
        let (depot, mem) = (Depot::new(), Host::new(i64::MAX));
        depot.set_cap(pools * POOL_BYTES);
        let mut known: BTreeMap<Vec<u64>, (Handle, u32)> = BTreeMap::new();
        let mut lost = 0;
        for mut stack in stacks {
            depot.refill(&mem);
            let handle = depot.save(&stack);
            stack.truncate(MAX_FRAMES);
            match known.get_mut(&stack) {
                Some((first, hits)) => {
                    prop_assert_eq!(handle, *first);
                    *hits += 1;
                }
                None if handle == Handle::LOST => lost += 1,
                None => {
                    prop_assert!(known.values().all(|&(other, _)| other != handle));
                    known.insert(stack, (handle, 1));
                }
            }
        }
        for (stack, &(handle, hits)) in &known {
            let found = depot.get(handle).expect("stored");
            prop_assert_eq!(&found.frames().collect::<Vec<_>>(), stack);
            prop_assert_eq!(found.hits(), hits);
        }
        let listed: usize = (0..).map_while(|b| depot.bucket(b)).map(Iterator::count).sum();
        prop_assert_eq!(listed, known.len());
        let figures = depot.figures();
        prop_assert_eq!(figures.stacks as usize, known.len());
        prop_assert_eq!(figures.lost, lost);
        prop_assert_eq!(figures.bytes as i64, mem.out());
        prop_assert!(figures.cap == pools * POOL_BYTES);
        // SAFETY: The test is the only user.
        unsafe { depot.drain(&mem) };
        prop_assert_eq!(mem.out(), 0);
    }

    #[test]
    fn any_text_for_reasons_is_names_or_an_error(text in "[a-c,\n ]{0,12}") {
        let names = ["a", "bc", "c"];
        let set = ReasonSet::parse(text.as_bytes(), names.iter().map(|n| n.as_bytes()));
        let words: Vec<_> = text.trim().split(',').map(str::trim).collect();
        let expected = words.iter().all(|w| names.contains(w));
        prop_assert_eq!(set.is_ok(), expected);
        if let Ok(set) = set {
            for (i, name) in (0u8..).zip(names) {
                prop_assert_eq!(set.contains(Reason(i)), words.contains(&name));
            }
        }
    }
}

#[test]
fn reasons_are_all_or_names() {
    let names = || ["compaction", "contig_range"].iter().map(|n| n.as_bytes());
    let all = ReasonSet::parse(b"all\n", names()).expect("all");
    assert!((0..32).all(|i| all.contains(Reason(i))) && !all.contains(Reason(32)));
    let one = ReasonSet::parse(b"contig_range\n", names()).expect("one");
    assert!(one.contains(Reason(1)) && !one.contains(Reason(0)));
    for bad in [
        &b""[..],
        b"\n",
        b"contig",
        b"contig_range,",
        b",",
        b"all,compaction",
        b"\0\xff",
    ] {
        assert!(ReasonSet::parse(bad, names()).is_err(), "{bad:?}");
    }
}

#[test]
fn a_depot_without_pools_loses_and_counts() {
    let depot = Depot::new();
    depot.set_cap(64 * 1024);
    assert!(depot.wants_refill());
    assert_eq!(depot.save(&[1, 2]), Handle::LOST);
    assert_eq!(depot.figures().lost, 1);
    assert!(depot.get(Handle::LOST).is_none());
    assert_eq!(depot.save(&[]), Handle::LOST, "not even an empty one");
    assert_eq!(depot.figures().lost, 2);
    assert!(!depot.refill(&Host::new(3)), "memory ran out");
    assert_eq!(depot.save(&[1, 2]), Handle::LOST);
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
                    x = x
                        .wrapping_mul(6364136223846793005)
                        .wrapping_add(1442695040888963407);
                    let pfn = (x >> 33) % 64 * 4;
                    match (x >> 60) % 4 {
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

/// Threads that save the same stacks get the same handles, and each stack is there once.
#[test]
fn threads_store_each_stack_once() {
    let (depot, mem) = (Depot::new(), Host::new(i64::MAX));
    depot.set_cap(1 << 20);
    let handles: Vec<Vec<Handle>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4usize)
            .map(|thread| {
                let depot = &depot;
                scope.spawn(move || {
                    let mut handles = vec![Handle::LOST; 500];
                    for i in 0..500usize {
                        let n = (i * [1, 3, 7, 9][thread]) % 500;
                        let stack: Vec<u64> =
                            (0..n as u64 % 20 + 1).map(|f| f + n as u64).collect();
                        while handles[n] == Handle::LOST {
                            handles[n] = depot.save(&stack);
                        }
                    }
                    handles
                })
            })
            .collect();
        while threads.iter().any(|t| !t.is_finished()) {
            depot.refill(&mem);
        }
        threads
            .into_iter()
            .map(|t| t.join().expect("no panic"))
            .collect()
    });
    assert!(handles.iter().all(|other| *other == handles[0]));
    let different: std::collections::HashSet<_> = handles[0].iter().collect();
    assert_eq!(depot.figures().stacks as usize, different.len());
    // SAFETY: The threads are gone.
    unsafe { depot.drain(&mem) };
    assert_eq!(mem.out(), 0);
}
