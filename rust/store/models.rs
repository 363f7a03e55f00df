// SPDX-License-Identifier: GPL-2.0

//! Loom's models of the lock-free protocols, each run in every order of its accesses and with
//! every value that a load may find.
//!
//! ```text
//! publish_a_section                              memory.rs    tables and blocks
//! mark_test_clear_free, mark_while_freed,
//! clear_side_by_side, mark_twice,
//! retire_a_block                                 page_ext.rs  entries, filter, blocks
//! evict, evict_and_free                          page_ext.rs  and whose turn it is
//! close_with_the_last_page, reuse_a_record,
//! keep_records_apart                             record.rs    states, free list
//! insert_and_find_a_stack, give_room_back,
//! refill_a_pool                                  depot.rs     buckets, room, pools
//! read_whole, read_among_writers,
//! write_in_turns                                 version.rs   words that belong together
//! account_in_turns, read_an_account,
//! watch_anew                                     ledger.rs    entries of a page
//! ```
//!
//! Every constant that sizes something is as small as it can be, see [`super::sync::sized`], and a
//! model leaves out what another one has. No model has a load that finds a store which its own
//! thread brings about later, as loom knows of none; nor `drain`, which runs alone.
//!
//! `scripts/loom` runs them, and holds against each what must make it fail, see `mutations`.
//! Loom 0.7 by itself leaves orders out: of the loads of an atomic it knows the last one only, and
//! if that is the storing thread's own it never tries to store before the others. The script
//! mends this; with the loom of crates.io the models are run, but not in every order.

use super::depot::{Depot, Handle, OVERHEAD_BYTES, POOL_BYTES};
use super::ledger::{Change, Ledger, Snapshot as Account};
use super::limit::Limit;
use super::memory::{Memory, Table, Zeroed};
use super::page_ext::{Marked, PageExt, BLOCK_LEN};
use super::reason::{Reason, Stage};
use super::record::{Failure, Lost, Record, Records, Snapshot, Task, User};
use super::sync::{fence, AtomicU32, AtomicU64, Ordering};
use super::version::{self, Group};
use std::alloc::{dealloc, Layout};
use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::rc::Rc;

/// Runs both at the same time. What they share has no count that loom would have to know of.
fn together<S: 'static, A: 'static, B>(
    shared: &Rc<S>,
    a: impl FnOnce(&S) -> A + 'static,
    b: impl FnOnce(&S) -> B,
) -> (A, B) {
    let other = Rc::clone(shared);
    let thread = loom::thread::spawn(move || a(&other));
    let b = b(shared);
    (thread.join().unwrap(), b)
}

struct Allocation {
    at: *mut u8,
    layout: Layout,
    is_free: bool,
}

/// Memory that nobody gets again, so that a use of it after it was freed is seen.
#[derive(Default)]
struct Heap(RefCell<Vec<Allocation>>);

impl Heap {
    fn in_use(&self) -> usize {
        self.0.borrow().iter().filter(|a| !a.is_free).count()
    }
}

impl Memory for Heap {
    fn alloc<T: Zeroed>(&self) -> Option<NonNull<T>> {
        let new = NonNull::from(Box::leak(Box::new(T::zeroed())));
        self.0.borrow_mut().push(Allocation {
            at: new.as_ptr().cast(),
            layout: Layout::new::<T>(),
            is_free: false,
        });
        Some(new)
    }

    unsafe fn free<T: Zeroed>(&self, p: NonNull<T>) {
        let mut all = self.0.borrow_mut();
        let freed = all
            .iter_mut()
            .find(|a| a.at == p.as_ptr().cast())
            .expect("allocated here");
        assert!(!freed.is_free, "freed twice");
        freed.is_free = true;
        // SAFETY: It stays allocated until the heap is dropped. An atomic of loom's is a number,
        // and this is none that loom gives out: it panics when such an atomic is used.
        unsafe { p.as_ptr().write_bytes(0xff, 1) };
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        for a in self.0.get_mut() {
            // SAFETY: It came from a box of this layout, and the model is over.
            unsafe { dealloc(a.at, a.layout) };
        }
    }
}

struct Leaf(AtomicU32);

// SAFETY: Zero is a value of an atomic.
unsafe impl Zeroed for Leaf {
    fn zeroed() -> Self {
        Leaf(AtomicU32::new(0))
    }
}

/// Two of the levels that lead to a block, and what may lie in it.
#[derive(Default)]
struct Section {
    table: Table<Table<Leaf>>,
    heap: Heap,
}

impl Section {
    fn mark(&self) {
        let low = self.table.slot(0).get_or_publish(&self.heap);
        let leaf = low.and_then(|low| low.slot(1).get_or_publish(&self.heap));
        leaf.expect("memory").0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Two want the same leaf: one of them publishes it, the other one's memory is freed.
#[test]
fn publish_a_section() {
    loom::model(|| {
        let section = Rc::new(Section::default());
        together(&section, Section::mark, Section::mark);
        let low = section.table.slot(0).get().expect("published");
        let marks = low.iter().map(|(_, leaf)| leaf.0.load(Ordering::Relaxed));
        assert!(marks.eq([2]));
        assert_eq!(section.heap.in_use(), 2);
    });
}

/// Folios from here on are marked only after all threads are gone.
const LATER: u64 = 4;

/// A failure that tells in every field which folio it is of.
fn failure(pfn: u64, order: u8) -> Failure {
    let n = pfn + 1;
    Failure {
        pfn,
        order,
        reason: Reason(n as u8),
        stage: Stage::ALL[n as usize % Stage::ALL.len()],
        err: n as i32,
        recovery: None,
        count: n as i32,
        expected: n as i32,
        now: n,
        stack: n as u32,
        task: Task {
            comm: [n, n],
            pid: n as i32,
        },
    }
}

fn assert_is_of(snapshot: &Snapshot, pfn: u64) {
    let (is, f) = (&snapshot.failure, failure(pfn, snapshot.failure.order));
    assert_eq!((is.pfn, is.reason, is.stage), (f.pfn, f.reason, f.stage));
    assert_eq!((is.err, is.count), (f.err, f.count));
    assert_eq!((is.expected, is.stack), (f.expected, f.stack));
    assert_eq!((is.now, snapshot.first), (f.now, f.now));
    assert_eq!(is.task, f.task);
}

/// All marks, and how many stories began and ended.
struct Marks {
    all: PageExt,
    heap: Heap,
    cap: u32,
    new: Cell<u32>,
    closed: Cell<u32>,
}

impl Marks {
    fn new(cap: u32) -> Rc<Self> {
        let all = PageExt::new();
        all.configure(cap, 0);
        Rc::new(Marks {
            all,
            heap: Heap::default(),
            cap,
            new: Cell::new(0),
            closed: Cell::new(0),
        })
    }

    fn closed(&self) {
        self.closed.set(self.closed.get() + 1);
    }

    fn mark(&self, pfn: u64, order: u8) -> Result<Marked, Lost> {
        let failure = failure(pfn, order);
        let marked = self.all.mark(&failure, &self.heap, |_, _| self.closed());
        if marked == Ok(Marked::New) {
            self.new.set(self.new.get() + 1);
        }
        marked
    }

    /// The first half of a mark: a record of one page, and its index.
    fn create(&self, pfn: u64) -> u32 {
        create(self.all.records(), pfn, &self.heap).expect("room")
    }

    /// The second half. False if somebody else was faster.
    fn insert(&self, index: u32) -> bool {
        let user = self.all.records().get(index).expect("live");
        let closed = &mut |_: &Record, _| self.closed();
        let inserted = self.all.insert(&user, 1, &self.heap, closed);
        if inserted == Ok(true) {
            self.new.set(self.new.get() + 1);
        }
        inserted.expect("memory")
    }

    fn is_marked(&self, pfn: u64) -> bool {
        let marked = self.all.maybe_marked((pfn / BLOCK_LEN) as usize);
        let user = marked.then(|| self.all.lookup(pfn)).flatten();
        user.is_some_and(|user| {
            assert_is_of(&user.snapshot(), pfn);
            true
        })
    }

    fn free(&self, pfn: u64) {
        self.all.forget(pfn, 1, |_| self.closed());
    }

    /// All folios are freed, and nothing is left: no mark, no count, no record, no memory.
    fn settle(&self) {
        for pfn in 0..LATER {
            self.free(pfn);
        }
        assert_eq!(self.new.get(), self.closed.get());
        assert!(self.all.is_empty());
        assert!(!self.all.maybe_marked(0) && !self.all.maybe_marked(1));
        for n in 0..self.cap.into() {
            assert_eq!(self.mark(LATER + n, 0), Ok(Marked::New), "a record is lost");
        }
        assert_eq!(self.new.get(), self.closed.get() + self.cap);
        // SAFETY: The threads are gone.
        unsafe { self.all.drain(&self.heap, |_, _| self.closed()) };
        assert_eq!(self.new.get(), self.closed.get());
        assert_eq!(self.heap.in_use(), 0);
    }
}

/// A folio is tested and freed while it is marked. `publish_a_section` has how there comes to be
/// memory for its mark.
#[test]
fn mark_test_clear_free() {
    loom::model(|| {
        let m = Marks::new(1);
        m.mark(1, 0).unwrap();
        m.free(1);
        let mark = |m: &Marks| assert_eq!(m.mark(0, 0), Ok(Marked::New));
        together(&m, mark, |m| {
            m.is_marked(0);
            m.free(0);
        });
        m.settle();
    });
}

/// A folio is freed while it is marked by somebody who has no reference: one of both sees the
/// other, who frees the mark or who marks the freeing, and ends it. `mark_test_clear_free` has
/// how there comes to be a record and how it is freed, `evict_and_free` that both end it.
#[test]
fn mark_while_freed() {
    loom::model(|| {
        let m = Marks::new(2);
        // So that a block is there.
        m.mark(1, 0).unwrap();
        let record = m.create(0);
        m.free(1);
        let count = Rc::new(AtomicU32::new(1));
        let theirs = Rc::clone(&count);
        let mark = move |m: &Marks| {
            let is_there = || theirs.load(Ordering::Relaxed) != 0;
            assert!(m.insert(record));
            m.all
                .end_if_gone(&failure(0, 0), |_, _| m.closed(), is_there);
        };
        let ((), seen) = together(&m, mark, |m| {
            count.store(0, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            !m.all.is_empty() && m.all.maybe_marked(0)
        });
        assert!(seen || !m.is_marked(0));
        m.settle();
    });
}

/// The two pages of a folio are freed at the same time: it ends with either, and once.
#[test]
fn clear_side_by_side() {
    loom::model(|| {
        let m = Marks::new(1);
        m.mark(0, 1).unwrap();
        together(&m, |m| m.free(0), |m| m.free(1));
        m.settle();
    });
}

/// Two mark the same folio: it gets one of their records, and the other one is free again. One of
/// them has its record before; `keep_records_apart` has how two get records.
#[test]
fn mark_twice() {
    loom::model(|| {
        let m = Marks::new(3);
        m.mark(1, 0).unwrap();
        let record = m.create(0);
        let insert = move |m: &Marks| m.insert(record);
        let (inserted, marked) = together(&m, insert, |m| m.mark(0, 0));
        let second = if inserted {
            Marked::Again(2)
        } else {
            Marked::New
        };
        assert_eq!(marked, Ok(second));
        m.settle();
    });
}

/// An empty block is retired while one marks in it and the other is about to. Freeing it waits for
/// all, which is no part of the model.
#[test]
fn retire_a_block() {
    loom::model(|| {
        let m = Marks::new(2);
        m.mark(1, 0).unwrap();
        m.free(1);
        let record = m.create(0);
        let insert = move |m: &Marks| assert!(m.insert(record));
        let (_, dead) = together(&m, insert, |m| {
            let mut dead = [None; 2];
            m.all.reap(&mut dead);
            assert!(m.all.block_for(0, 1, &m.heap).is_ok());
            dead
        });
        for block in dead.into_iter().flatten() {
            // SAFETY: Whoever saw it is gone.
            unsafe { m.all.free_block(block, &m.heap) };
        }
        assert!(m.is_marked(0));
        m.settle();
    });
}

/// A folio is looked up while it is evicted and its record becomes another one's. Two fields tell
/// whose it is; `reuse_a_record` has them all.
#[test]
fn evict() {
    loom::model(|| {
        let m = Marks::new(1);
        m.mark(0, 0).unwrap();
        let look_up = |m: &Marks| {
            if let Some(user) = m.all.lookup(0) {
                assert_eq!((user.pfn(), user.first()), (0, 1));
            }
        };
        let (marked, _) = together(&m, |m| m.mark(1, 0), look_up);
        assert!(matches!(marked, Ok(Marked::New) | Err(Lost::Full)));
        assert_eq!(m.is_marked(1), marked.is_ok());
        m.settle();
    });
}

/// A folio is freed while it is evicted: its story ends once.
#[test]
fn evict_and_free() {
    loom::model(|| {
        let m = Marks::new(1);
        m.mark(0, 0).unwrap();
        let evict = |m: &Marks| {
            if let Some(victim) = m.all.records().victim() {
                m.all.end(&victim, |_| m.closed());
            }
        };
        together(&m, evict, |m| m.free(0));
        assert_eq!(m.closed.get(), 1);
        m.settle();
    });
}

fn create(records: &Records, pfn: u64, heap: &Heap) -> Result<u32, Lost> {
    let user = records.create(&failure(pfn, 0), heap)?;
    user.add_pages(1);
    Ok(user.index())
}

/// Records of folios of which nothing else is known.
struct Bare {
    records: Records,
    heap: Heap,
}

impl Bare {
    fn new(cap: u32) -> Rc<Self> {
        let records = Records::new();
        records.set_cap(cap);
        Rc::new(Bare {
            records,
            heap: Heap::default(),
        })
    }

    fn create(&self, pfn: u64) -> Result<u32, Lost> {
        create(&self.records, pfn, &self.heap)
    }

    fn close(&self, index: u32) {
        let user = self.records.get(index).expect("live");
        assert!(user.drop_pages(1));
    }

    /// Nothing is left of the records that were live.
    fn settle(&self) {
        let live = self.records.live();
        let mut closed = 0;
        // SAFETY: The threads are gone.
        unsafe { self.records.drain(&self.heap, |_, _| closed += 1) };
        assert_eq!(closed, live);
        assert_eq!(self.heap.in_use(), 0);
    }
}

/// Two pages lose their mark, one of them at the hands of a user who had seen a put: whoever ends
/// the story knows of it.
#[test]
fn close_with_the_last_page() {
    loom::model(|| {
        let b = Bare::new(1);
        b.create(0).unwrap();
        b.records.get(0).expect("live").add_pages(1);
        let free = |user: &User<'_>| user.drop_pages(1).then(|| user.puts());
        let put_and_free = move |b: &Bare| {
            let user = b.records.get(0).expect("a page is left");
            user.put(1, 1, &Task::default());
            free(&user)
        };
        let told = together(&b, put_and_free, |b| {
            free(&b.records.get(0).expect("a page is left"))
        });
        assert!(matches!(told, (Some(1), None) | (None, Some(1))));
        assert_eq!(b.create(0), Ok(0), "the record is lost");
        b.settle();
    });
}

/// A record is used while its folio goes and another one gets it: what a user reads and writes is
/// one folio's, and nothing of it comes through to the next.
#[test]
fn reuse_a_record() {
    loom::model(|| {
        let b = Bare::new(1);
        b.create(0).unwrap();
        let put = |b: &Bare| {
            let user = b.records.get(0)?;
            let pfn = user.pfn();
            user.put(1, 1, &failure(LATER, 0).task);
            assert_is_of(&user.snapshot(), pfn);
            Some(pfn)
        };
        let (seen, reused) = together(&b, put, |b| {
            b.close(0);
            b.create(1)
        });
        if reused.is_err() {
            assert_eq!(seen, Some(0), "nobody used it");
            assert_eq!(b.create(1), Ok(0));
        }
        let snapshot = b.records.get(0).expect("live").snapshot();
        assert_is_of(&snapshot, 1);
        let puts = u32::from(seen == Some(1));
        assert_eq!((snapshot.puts, snapshot.dropped), (puts, puts));
        assert_eq!(snapshot.put_stack, puts);
        assert_eq!(snapshot.put_task.pid != 0, seen == Some(1));
        assert!(snapshot.whole);
        b.settle();
    });
}

/// One takes a record while the other takes two and gives one of them back: none is lost, and none
/// is given to two.
#[test]
fn keep_records_apart() {
    loom::model(|| {
        let b = Bare::new(2);
        b.create(0).unwrap();
        b.create(1).unwrap();
        b.close(0);
        b.close(1);
        let one = |b: &Bare| b.create(2);
        let (first, second) = together(&b, one, |b| {
            let (given_back, kept) = (b.create(3), b.create(4));
            if let Ok(index) = given_back {
                b.close(index);
            }
            kept
        });
        let mut live: Vec<u32> = [first, second, b.create(5)].into_iter().flatten().collect();
        // The first may have come too late, the second too.
        live.extend(b.create(6));
        live.sort();
        assert_eq!(live, [0, 1]);
        assert_eq!(b.records.live(), 2);
        b.settle();
    });
}

struct Stacks {
    depot: Depot,
    heap: Heap,
}

impl Stacks {
    /// Pools hold three stacks of one frame each.
    fn new(pools: usize) -> Rc<Self> {
        let s = Stacks {
            depot: Depot::new(),
            heap: Heap::default(),
        };
        s.depot.set_cap(OVERHEAD_BYTES + pools * POOL_BYTES);
        assert!(s.depot.refill(&s.heap));
        Rc::new(s)
    }

    fn save(&self, frame: u64) -> Handle {
        self.depot.save(&[frame])
    }

    fn is(&self, handle: Handle, frame: u64) -> bool {
        let stack = self.depot.get(handle);
        stack.is_some_and(|stack| stack.frames().eq([frame]) && stack.puts().is_none())
    }

    fn settle(&self) {
        // SAFETY: The threads are gone.
        unsafe { self.depot.drain(&self.heap) };
        assert_eq!(self.heap.in_use(), 0);
    }
}

/// Two save the same stack: it is stored once, and both get its handle.
#[test]
fn insert_and_find_a_stack() {
    loom::model(|| {
        let s = Stacks::new(1);
        let (first, second) = together(&s, |s| s.save(1), |s| s.save(1));
        assert_eq!(first, second);
        assert!(s.is(first, 1));
        assert_eq!(s.depot.get(first).expect("stored").hits(), 2);
        assert_eq!(s.depot.figures().stacks, 1);
        s.settle();
    });
}

/// As before, and the room that was given back is taken for another stack.
#[test]
fn give_room_back() {
    loom::model(|| {
        let s = Stacks::new(1);
        let two = |s: &Stacks| (s.save(1), s.save(2));
        let ((first, other), second) = together(&s, two, |s| s.save(1));
        assert_eq!(first, second);
        assert!(s.is(first, 1) && s.is(other, 2));
        s.settle();
    });
}

/// A stack is saved while the pool for it is made: if it comes too early no room is lost.
#[test]
fn refill_a_pool() {
    loom::model(|| {
        let s = Stacks::new(2);
        for frame in 1..=3 {
            s.save(frame);
        }
        let refill = |s: &Stacks| assert!(s.depot.refill(&s.heap));
        let (_, handle) = together(&s, refill, |s| s.save(4));
        let lost = handle == Handle::LOST;
        assert!(lost || s.is(handle, 4));
        for frame in 4..=6 {
            assert_ne!(s.save(frame), Handle::LOST);
        }
        let figures = s.depot.figures();
        assert_eq!((figures.stacks, figures.lost), (6, lost.into()));
        s.settle();
    });
}

/// Two words that belong together.
struct Words {
    version: AtomicU64,
    pair: [AtomicU64; 2],
}

impl Words {
    fn new() -> Rc<Self> {
        Rc::new(Words {
            version: AtomicU64::new(0),
            pair: [AtomicU64::new(0), AtomicU64::new(0)],
        })
    }

    fn write(&self, value: u64) {
        version::write(&self.version, Group::First, |alone| {
            if alone {
                self.pair[0].store(value, Ordering::Relaxed);
                self.pair[1].store(value, Ordering::Relaxed);
            }
        });
    }

    /// True if it says that what it read is whole.
    fn read(&self) -> bool {
        let word = |i: usize| self.pair[i].load(Ordering::Relaxed);
        let (pair, whole) = version::read(&self.version, || (word(0), word(1)));
        assert!(!whole || pair.0 == pair.1);
        whole
    }
}

/// The words are read while they are written twice.
#[test]
fn read_whole() {
    loom::model(|| {
        let w = Words::new();
        let twice = |w: &Words| {
            w.write(1);
            w.write(2);
        };
        together(&w, twice, Words::read);
        assert!(w.read());
    });
}

/// They are read while one writes them and another one, who does not, comes and goes.
#[test]
fn read_among_writers() {
    loom::model(|| {
        let w = Words::new();
        let other = Rc::clone(&w);
        let other = loom::thread::spawn(move || version::write(&other.version, Group::First, drop));
        together(&w, |w| w.write(1), Words::read);
        other.join().unwrap();
        assert!(w.read());
    });
}

/// Two write: who is alone writes all, after whoever was alone before.
#[test]
fn write_in_turns() {
    loom::model(|| {
        let w = Words::new();
        together(&w, |w| w.write(1), |w| w.write(2));
        assert!(w.read());
        assert_ne!(w.pair[0].load(Ordering::Relaxed), 0);
    });
}

/// Two want the one report that is allowed in this second: one of them gets it.
#[test]
fn take_the_last() {
    loom::model(|| {
        let limit = Rc::new(Limit::new());
        let (a, b) = together(&limit, |l| l.take(1, 1), |l| l.take(1, 1));
        assert!(a != b);
    });
}

/// A burst is reported once, though two would and the folio fails once more meanwhile.
#[test]
fn report_once() {
    loom::model(|| {
        let m = Marks::new(1);
        m.mark(0, 0).unwrap();
        let fail = |m: &Marks| {
            let user = m.all.lookup(0).expect("marked");
            user.failed_again(&failure(0, 0));
            user.claim_report()
        };
        let claim = |m: &Marks| m.all.lookup(0).expect("marked").claim_report();
        let (a, b) = together(&m, fail, claim);
        assert!(a != b);
        m.free(0);
        m.settle();
    });
}

struct Watched {
    ledger: Ledger,
    heap: Heap,
}

impl Watched {
    fn new() -> Rc<Self> {
        let watched = Watched {
            ledger: Ledger::new(),
            heap: Heap::default(),
        };
        watched.ledger.configure(2, usize::MAX);
        assert_eq!(watched.ledger.reserve(0, 1, &watched.heap), Ok(()));
        watched.ledger.watch(0, 1);
        Rc::new(watched)
    }

    /// The page is allocated; everything about that follows from `n`.
    fn set(&self, n: u32) {
        let change = Change {
            refs: n as i32,
            count: n as i32,
            expected: n as i32,
            mapcount: 0,
            stack: Handle(n),
            pid: n as i32,
            now: n,
        };
        self.ledger.set(0, &change);
    }

    fn read(&self) -> Account {
        self.ledger.read(0).expect("watched")
    }

    /// All of it is of one allocation: which.
    fn which(account: &Account) -> u32 {
        let entry = account.entries[0].expect("an entry");
        let n = entry.refs;
        assert_eq!(
            (entry.stack, entry.pid, entry.time),
            (Handle(n), n as i32, n)
        );
        assert_eq!(account.owner, Handle(n));
        assert!(account.entries[1].is_none());
        n
    }
}

/// Two enter something: it is as one of them left it, and if the other could not that is told.
#[test]
fn account_in_turns() {
    loom::model(|| {
        let s = Watched::new();
        together(&s, |s| s.set(1), |s| s.set(2));
        let account = s.read();
        assert!(account.whole);
        let last = Watched::which(&account);
        assert!(last == 1 || last == 2);
        let missed = s.ledger.figures().missed;
        assert!(missed <= 1);
        assert_eq!(account.missed, missed == 1);
    });
}

/// What is read whole was so at one moment, though the first word may be as it was before.
#[test]
fn read_an_account() {
    loom::model(|| {
        let s = Watched::new();
        s.set(1);
        let twice = |s: &Watched| {
            s.set(2);
            s.set(1);
        };
        let (_, account) = together(&s, twice, |s| s.read());
        if account.whole {
            Watched::which(&account);
        }
    });
}

/// A page is watched anew: nothing is left of what was known before.
#[test]
fn watch_anew() {
    loom::model(|| {
        let s = Watched::new();
        s.set(1);
        let anew = |s: &Watched| {
            s.ledger.unwatch(0, 1);
            s.ledger.watch(0, 1);
        };
        let (_, account) = together(&s, anew, |s| s.ledger.read(0));
        if let Some(account) = account.filter(|a| a.whole && a.entries[0].is_some()) {
            assert_eq!(Watched::which(&account), 1);
        }
        assert!(s.read().entries[0].is_none());
    });
}
