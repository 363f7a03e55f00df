// SPDX-License-Identifier: GPL-2.0

//! What is remembered of one marked folio, and the pool these records come from.
//!
//! # States of a record
//!
//! ```text
//! free ---take---> private ---publish---> live ---close---> closing ---last user---> free
//! ```
//!
//! `state` holds [`LIVE`] and the number of users. A reader becomes a user only while the record is
//! live; a closed record goes back to the free list when its last user leaves, so what a user reads
//! is never another folio's.

use super::invariant::{hold, Invariant};
use super::memory::{Memory, Table, Zeroed};
use super::reason::{Cause, Reason, Recovery, Stage};
use super::sync::{const_unless_loom, sized, AtomicI32, AtomicU32, AtomicU64, Ordering};
use super::version::{self, Group};

/// Bit of [`Record::state`]: the folio is marked.
const LIVE: u32 = 1 << 31;
/// Bit of [`Record::kind`]: the folio failed again since its turn to be evicted was last.
const AGAIN: u32 = 1 << 24;
/// Bit of [`Record::kind`]: a burst of failures began that was not reported yet.
const UNREPORTED: u32 = 1 << 25;
/// From this bit of [`Record::kind`] on: the recovery's code.
const RECOVERY_SHIFT: u32 = 26;
/// Nanoseconds without a failure of the folio after which the next one begins a new burst.
pub const BURST_NS: u64 = 1_000_000_000;
/// Records in one allocation.
const CHUNK_LEN: u32 = sized(32, 1) as u32;
/// Most records there can ever be: 2^20.
pub const MAX_RECORDS: u32 = 1 << 20;
/// Most records that are passed over in looking for one to evict.
const PASSED_OVER: u32 = sized(64, 1) as u32;

/// Who did something: the kernel's `comm`, as it lies in memory, and pid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Command name, padded with NULs.
    pub comm: [u64; 2],
    /// Thread id; 0 is the idle task, or an interrupt in it.
    pub pid: i32,
}

/// One failure of one folio, as the hook that saw it tells it.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// First page of the folio.
    pub pfn: u64,
    /// log2 of its pages.
    pub order: u8,
    /// Why the kernel wanted to move it.
    pub reason: Reason,
    /// What failed.
    pub stage: Stage,
    /// What the failing function returned.
    pub err: i32,
    /// What the kernel made of the memory error, if it was one.
    pub recovery: Option<Recovery>,
    /// References at that moment.
    pub count: i32,
    /// References that the kernel accounts for.
    pub expected: i32,
    /// Monotonic clock, nanoseconds.
    pub now: u64,
    /// Handle of the stack, 0 if lost.
    pub stack: u32,
    /// Whose attempt failed.
    pub task: Task,
}

/// What is remembered of one marked folio: two cache lines.
#[cfg_attr(loom, derive(Default))]
#[repr(C, align(64))]
pub struct Record {
    state: AtomicU32,
    /// Next in the free list, as index + 1.
    next: AtomicU32,
    /// Of all that changes while the folio is marked.
    version: AtomicU64,
    pfn: AtomicU64,
    first: AtomicU64,
    last: AtomicU64,
    /// A bit for each stack of puts seen, out of 64.
    put_stacks: AtomicU64,
    /// Pages that are still marked with this record.
    pages: AtomicU32,
    /// order, reason and stage, a byte each, [`AGAIN`], [`UNREPORTED`] and the recovery.
    kind: AtomicU32,
    err: AtomicI32,
    count: AtomicI32,
    expected: AtomicI32,
    attempts: AtomicU32,
    puts: AtomicU32,
    dropped: AtomicU32,
    stack: AtomicU32,
    put_stack: AtomicU32,
    pid: AtomicI32,
    put_pid: AtomicI32,
    comm: Comm,
    put_comm: Comm,
}

type Comm = [AtomicU64; 2];

/// Sets a task that is changed while it is read, under a version.
fn set_task(comm: &Comm, pid: &AtomicI32, task: &Task) {
    for (cell, &word) in comm.iter().zip(&task.comm) {
        cell.store(word, Ordering::Relaxed);
    }
    pid.store(task.pid, Ordering::Relaxed);
}

/// Reads what [`set_task`] has set.
fn get_task(comm: &Comm, pid: &AtomicI32) -> Task {
    let word = |i: usize| comm[i].load(Ordering::Relaxed);
    Task {
        comm: [word(0), word(1)],
        pid: pid.load(Ordering::Relaxed),
    }
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Record>() == 128);

/// A record at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot {
    /// The latest failure. Its `now` is the time of that failure.
    pub failure: Failure,
    /// Time of the first failure, monotonic nanoseconds.
    pub first: u64,
    /// Times the folio failed.
    pub attempts: u32,
    /// Puts seen since.
    pub puts: u32,
    /// References these puts dropped.
    pub dropped: u32,
    /// Handle of the last put's stack, 0 if there was none or it was lost.
    pub put_stack: u32,
    /// Who made the last put.
    pub put_task: Task,
    /// All of this was true at one moment; not so if the record changed all the time.
    pub whole: bool,
}

/// [`Record::kind`] of a failure, without flags.
fn kind(f: &Failure) -> u32 {
    let recovery = u32::from(Recovery::code(f.recovery));
    u32::from_le_bytes([f.order, f.reason.0, f.stage as u8, 0]) | (recovery << RECOVERY_SHIFT)
}

/// The part of [`Record::kind`] that is the same for all failures of one burst.
const REASON_AND_STAGE: u32 = 0x00ff_ff00;

impl Record {
    fn set(&self, f: &Failure) {
        self.last.store(f.now, Ordering::Relaxed);
        self.err.store(f.err, Ordering::Relaxed);
        self.count.store(f.count, Ordering::Relaxed);
        self.expected.store(f.expected, Ordering::Relaxed);
        self.stack.store(f.stack, Ordering::Relaxed);
        set_task(&self.comm, &self.pid, &f.task);
    }

    /// The folio's first page.
    #[inline]
    pub fn pfn(&self) -> u64 {
        self.pfn.load(Ordering::Relaxed)
    }

    /// log2 of the folio's pages.
    #[inline]
    pub fn order(&self) -> u8 {
        self.kind.load(Ordering::Relaxed).to_le_bytes()[0]
    }

    /// True if `pfn` is one of the pages this record was made for.
    #[inline]
    pub fn covers(&self, pfn: u64) -> bool {
        (pfn ^ self.pfn()) >> self.order() == 0
    }

    /// The stage of the latest failure.
    pub fn stage(&self) -> Stage {
        let number = self.kind.load(Ordering::Relaxed).to_le_bytes()[2];
        Stage::ALL[usize::from(number) % Stage::ALL.len()]
    }

    /// The reason of the latest failure.
    pub fn reason(&self) -> Reason {
        Reason(self.kind.load(Ordering::Relaxed).to_le_bytes()[1])
    }

    /// What the kernel made of the memory error of the latest failure, if it was one.
    fn recovery(&self) -> Option<Recovery> {
        let number = self.kind.load(Ordering::Relaxed) >> RECOVERY_SHIFT;
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        Recovery::ALL.get(index).copied()
    }

    /// Time of the latest failure, monotonic nanoseconds.
    pub fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Time of the first failure, monotonic nanoseconds.
    pub fn first(&self) -> u64 {
        self.first.load(Ordering::Relaxed)
    }

    /// Puts seen.
    pub fn puts(&self) -> u32 {
        self.puts.load(Ordering::Relaxed)
    }

    /// The folio failed once more. Returns how often it has failed now. Context: any.
    pub fn failed_again(&self, f: &Failure) -> u32 {
        let mut attempts = 0;
        version::write(&self.version, Group::First, |alone| {
            attempts = self.attempts.fetch_add(1, Ordering::Relaxed) + 1;
            if alone {
                let old = self.kind.load(Ordering::Relaxed);
                let new = kind(f);
                let same = old & REASON_AND_STAGE == new & REASON_AND_STAGE;
                let news = !same || f.now.saturating_sub(self.last()) >= BURST_NS;
                // The flags may change meanwhile, but nothing else.
                self.kind
                    .fetch_xor((old ^ new) & !(AGAIN | UNREPORTED), Ordering::Relaxed);
                let flags = AGAIN | if news { UNREPORTED } else { 0 };
                self.kind.fetch_or(flags, Ordering::Relaxed);
                self.set(f);
            }
        });
        attempts
    }

    /// True if the folio's burst of failures was not reported yet: it is the caller's to report
    /// it now, or to give that back with [`Record::not_reported`]. Context: any.
    pub fn claim_report(&self) -> bool {
        self.kind.load(Ordering::Relaxed) & UNREPORTED != 0
            && self.kind.fetch_and(!UNREPORTED, Ordering::Relaxed) & UNREPORTED != 0
    }

    /// The report that was claimed could not be made: the next failure may try again.
    pub fn not_reported(&self) {
        self.kind.fetch_or(UNREPORTED, Ordering::Relaxed);
    }

    /// A put dropped `refs` references. True if the folio had no put with this stack yet; of two
    /// stacks that share one of 64 bits the second is taken for the first. Context: any.
    pub fn put(&self, refs: u32, stack: u32, task: &Task) -> bool {
        let bit = 1 << (stack.wrapping_mul(0x9e37_79b9) >> 26);
        let mut known = 0;
        version::write(&self.version, Group::Second, |alone| {
            self.puts.fetch_add(1, Ordering::Relaxed);
            self.dropped.fetch_add(refs, Ordering::Relaxed);
            known = self.put_stacks.fetch_or(bit, Ordering::Relaxed);
            if alone {
                self.put_stack.store(stack, Ordering::Relaxed);
                set_task(&self.put_comm, &self.put_pid, task);
            }
        });
        known & bit == 0
    }

    /// Everything, for a reader. Context: any, but may take a while.
    pub fn snapshot(&self) -> Snapshot {
        let (snapshot, whole) = version::read(&self.version, || self.read());
        Snapshot { whole, ..snapshot }
    }

    fn read(&self) -> Snapshot {
        Snapshot {
            failure: Failure {
                pfn: self.pfn(),
                order: self.order(),
                reason: self.reason(),
                stage: self.stage(),
                err: self.err.load(Ordering::Relaxed),
                recovery: self.recovery(),
                count: self.count.load(Ordering::Relaxed),
                expected: self.expected.load(Ordering::Relaxed),
                now: self.last.load(Ordering::Relaxed),
                stack: self.stack.load(Ordering::Relaxed),
                task: get_task(&self.comm, &self.pid),
            },
            first: self.first(),
            attempts: self.attempts.load(Ordering::Relaxed),
            puts: self.puts(),
            dropped: self.dropped.load(Ordering::Relaxed),
            put_stack: self.put_stack.load(Ordering::Relaxed),
            put_task: get_task(&self.put_comm, &self.put_pid),
            whole: false,
        }
    }
}

struct Chunk([Record; CHUNK_LEN as usize]);

// SAFETY: All fields are atomics; zero is a free record that is in no list.
unsafe impl Zeroed for Chunk {
    #[cfg(loom)]
    fn zeroed() -> Self {
        Chunk(core::array::from_fn(|_| Record::default()))
    }
}

/// The records, by index.
pub struct Records {
    chunks: Table<Table<Chunk>>,
    /// Head of the free list as index + 1, and in the upper half a tag against ABA.
    free: AtomicU64,
    /// Records ever taken that were not in the free list.
    fresh: AtomicU32,
    cap: AtomicU32,
    live: AtomicU32,
    chunks_made: AtomicU32,
    /// Whose turn it is to be evicted.
    hand: AtomicU32,
}

/// Why there is no record for a folio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// As many folios as allowed, and none could be evicted.
    Full,
    /// As many blocks as allowed, and the empty ones are not given back yet.
    Blocks,
    /// No memory.
    NoMemory,
    /// The pfn is beyond what the tables can hold.
    Range,
}

/// A record that stays what it is while this exists.
pub struct User<'a> {
    records: &'a Records,
    record: &'a Record,
    index: u32,
}

impl core::ops::Deref for User<'_> {
    type Target = Record;

    fn deref(&self) -> &Record {
        self.record
    }
}

impl User<'_> {
    /// The record's index.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The record will have `pages` marked pages. Before they are marked.
    pub(super) fn add_pages(&self, pages: u32) {
        self.record.pages.fetch_add(pages, Ordering::Relaxed);
    }

    /// `pages` pages are no longer marked with this record. True if they were the last: the
    /// record is closed then, and that its story ended is the caller's to tell.
    pub(super) fn drop_pages(&self, pages: u32) -> bool {
        let had = self.record.pages.fetch_sub(pages, Ordering::AcqRel);
        hold(had >= pages, Invariant::RecordPages);
        if had != pages {
            return false;
        }
        self.record.state.fetch_and(!LIVE, Ordering::AcqRel);
        let live = self.records.live.fetch_sub(1, Ordering::Relaxed);
        hold(live != 0, Invariant::Live);
        true
    }

    /// The last user has left a record that was closed; or more leave than came.
    #[cold]
    fn left_by_last(&self, state: u32) {
        hold(state == 1, Invariant::RecordUsers);
        // Not live and no user left: nobody can find it any more.
        if state == 1 {
            self.records.push(self.record, self.index);
        }
    }
}

impl Drop for User<'_> {
    #[inline]
    fn drop(&mut self) {
        let state = self.record.state.fetch_sub(1, Ordering::AcqRel);
        if state <= 1 || state == LIVE {
            self.left_by_last(state);
        }
    }
}

impl Records {
    const_unless_loom! {
        /// No records, and room for none.
        pub fn new() -> Self {
            Records {
                chunks: Table::new(),
                free: AtomicU64::new(0),
                fresh: AtomicU32::new(0),
                cap: AtomicU32::new(0),
                live: AtomicU32::new(0),
                chunks_made: AtomicU32::new(0),
                hand: AtomicU32::new(0),
            }
        }
    }

    /// At most `cap` records from now on. Lowering it below what is in use takes none away.
    pub fn set_cap(&self, cap: u32) {
        self.cap.store(cap.min(MAX_RECORDS), Ordering::Relaxed);
    }

    /// Folios marked now.
    #[inline]
    pub fn live(&self) -> u32 {
        self.live.load(Ordering::Relaxed)
    }

    /// Bytes in use.
    pub fn bytes(&self) -> usize {
        let chunks = self.chunks_made.load(Ordering::Relaxed) as usize;
        let tables = chunks.div_ceil(super::memory::TABLE_LEN);
        chunks * size_of::<Chunk>() + tables * size_of::<Table<Chunk>>()
    }

    fn at(&self, index: u32) -> Option<&Record> {
        let chunk = (index / CHUNK_LEN) as usize;
        let table = self.chunks.slot(chunk >> super::memory::TABLE_BITS).get()?;
        let records = &table.slot(chunk).get()?.0;
        Some(&records[(index % CHUNK_LEN) as usize])
    }

    /// The record `index`, if it is live. Context: any.
    pub fn get(&self, index: u32) -> Option<User<'_>> {
        let record = self.at(index)?;
        let mut state = record.state.load(Ordering::Relaxed);
        while state & LIVE != 0 {
            match record.state.compare_exchange_weak(
                state,
                state + 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    return Some(User {
                        records: self,
                        record,
                        index,
                    })
                }
                Err(now) => state = now,
            }
        }
        None
    }

    /// The live record with the lowest index from `index` on, for readers that go through all.
    pub fn next(&self, index: u32) -> Option<User<'_>> {
        (index..self.fresh.load(Ordering::Acquire)).find_map(|i| self.get(i))
    }

    /// The record whose folio is to make room for another one, if there is any.
    ///
    /// A hand goes round over the records. A folio that failed again since the hand was there last
    /// is passed over, [`PASSED_OVER`] of them at most at a time.
    pub(super) fn victim(&self) -> Option<User<'_>> {
        let len = self.fresh.load(Ordering::Acquire);
        let mut passed = 0;
        // Round twice, and all were seen without what saves them.
        for _ in 0..len.saturating_mul(2).min(4 * PASSED_OVER) {
            let turn = self.hand.fetch_add(1, Ordering::Relaxed);
            let Some(user) = self.get(turn.checked_rem(len)?) else {
                continue;
            };
            let again = user.kind.fetch_and(!AGAIN, Ordering::Relaxed) & AGAIN != 0;
            if !again || passed == PASSED_OVER {
                return Some(user);
            }
            passed += 1;
        }
        None
    }

    fn pop(&self) -> Option<(&Record, u32)> {
        let mut head = self.free.load(Ordering::Acquire);
        loop {
            let index = (head as u32).checked_sub(1)?;
            let record = self.at(index)?;
            let next = record.next.load(Ordering::Relaxed);
            let new = tagged(head, next);
            match self
                .free
                .compare_exchange_weak(head, new, Ordering::Acquire, Ordering::Acquire)
            {
                Ok(_) => return Some((record, index)),
                Err(now) => head = now,
            }
        }
    }

    fn push(&self, record: &Record, index: u32) {
        let mut head = self.free.load(Ordering::Relaxed);
        loop {
            record.next.store(head as u32, Ordering::Relaxed);
            let new = tagged(head, index + 1);
            match self
                .free
                .compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    fn fresh(&self, mem: &impl Memory) -> Result<(&Record, u32), Lost> {
        let cap = self.cap.load(Ordering::Relaxed);
        let mut index = self.fresh.load(Ordering::Relaxed);
        loop {
            if index >= cap {
                return Err(Lost::Full);
            }
            // The memory first: an index that was handed out has its record.
            let chunk = (index / CHUNK_LEN) as usize;
            let made = self
                .chunks
                .slot(chunk >> super::memory::TABLE_BITS)
                .get_or_publish(mem)
                .and_then(|table| table.slot(chunk).get_or_publish(mem));
            let Some(chunk) = made else {
                return Err(Lost::NoMemory);
            };
            match self.fresh.compare_exchange_weak(
                index,
                index + 1,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    if index % CHUNK_LEN == 0 {
                        self.chunks_made.fetch_add(1, Ordering::Relaxed);
                    }
                    return Ok((&chunk.0[(index % CHUNK_LEN) as usize], index));
                }
                Err(now) => index = now,
            }
        }
    }

    /// A new live record for `failure`, with no page marked yet. Context: any that `mem` allows.
    ///
    /// # Errors
    ///
    /// [`Lost::Full`] at the cap, [`Lost::NoMemory`].
    pub fn create(&self, failure: &Failure, mem: &impl Memory) -> Result<User<'_>, Lost> {
        let (record, index) = match self.pop() {
            Some(reused) => reused,
            None => self.fresh(mem)?,
        };
        let state = record.state.load(Ordering::Relaxed);
        hold(state == 0, Invariant::FreeList);
        record.pfn.store(failure.pfn, Ordering::Relaxed);
        record.first.store(failure.now, Ordering::Relaxed);
        record.attempts.store(1, Ordering::Relaxed);
        record.pages.store(0, Ordering::Relaxed);
        record.puts.store(0, Ordering::Relaxed);
        record.dropped.store(0, Ordering::Relaxed);
        record.put_stacks.store(0, Ordering::Relaxed);
        record.put_stack.store(0, Ordering::Relaxed);
        set_task(&record.put_comm, &record.put_pid, &Task::default());
        record
            .kind
            .store(kind(failure) | UNREPORTED, Ordering::Relaxed);
        record.set(failure);
        self.live.fetch_add(1, Ordering::Relaxed);
        // Publishes the fields above to whoever becomes a user.
        record.state.store(LIVE | 1, Ordering::Release);
        Ok(User {
            records: self,
            record,
            index,
        })
    }

    /// Looks at every record; `entries` says how many entries point to one. Nobody else may be
    /// here, or what is just changing looks broken.
    pub(super) fn audit(&self, mut entries: impl FnMut(&Record, u32) -> u32) {
        let fresh = self.fresh.load(Ordering::Acquire);
        let mut live = 0;
        for (index, record) in (0..fresh).filter_map(|index| Some((index, self.at(index)?))) {
            let state = record.state.load(Ordering::Acquire);
            hold(state & !LIVE == 0, Invariant::RecordUsers);
            if state & LIVE != 0 {
                live += 1;
                let pages = record.pages.load(Ordering::Relaxed);
                hold(pages == entries(record, index), Invariant::RecordPages);
            }
        }
        hold(live == self.live(), Invariant::Live);
        let mut left = fresh - live;
        let mut next = self.free.load(Ordering::Acquire) as u32;
        while let Some(record) = next.checked_sub(1).and_then(|index| self.at(index)) {
            let is_free = record.state.load(Ordering::Relaxed) == 0;
            hold(is_free && left != 0, Invariant::FreeList);
            if left == 0 {
                return;
            }
            left -= 1;
            next = record.next.load(Ordering::Relaxed);
        }
        hold(left == 0, Invariant::FreeList);
    }

    /// Closes every live record and gives all memory back; `closed` is told of each record.
    ///
    /// # Safety
    ///
    /// Nobody else may use the records, nor do so before this returns.
    pub unsafe fn drain(&self, mem: &impl Memory, mut closed: impl FnMut(&Record, Cause)) {
        let mut index = 0;
        while let Some(user) = self.next(index) {
            index = user.index + 1;
            closed(&user, Cause::Forgotten);
        }
        self.chunks.drain(|table| {
            // SAFETY: The caller promises that there are no users, so both levels are ours.
            unsafe {
                table.as_ref().drain(|chunk| mem.free(chunk));
                mem.free(table);
            }
        });
        self.free.store(0, Ordering::Relaxed);
        self.fresh.store(0, Ordering::Relaxed);
        self.live.store(0, Ordering::Relaxed);
        self.chunks_made.store(0, Ordering::Relaxed);
        self.hand.store(0, Ordering::Relaxed);
    }
}

impl Default for Records {
    fn default() -> Self {
        Self::new()
    }
}

/// `head` with another index, and a tag that was not seen for 2^32 changes.
fn tagged(head: u64, index: u32) -> u64 {
    ((head >> 32).wrapping_add(1) << 32) | u64::from(index)
}

/// What tests break.
#[cfg(all(test, not(loom)))]
impl Records {
    pub(super) fn live_counter(&self) -> &AtomicU32 {
        &self.live
    }

    pub(super) fn free_list(&self) -> &AtomicU64 {
        &self.free
    }

    pub(super) fn state_of(&self, index: u32) -> &AtomicU32 {
        &self.at(index).expect("a record").state
    }

    pub(super) fn pages_of(&self, index: u32) -> &AtomicU32 {
        &self.at(index).expect("a record").pages
    }
}
