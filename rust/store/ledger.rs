// SPDX-License-Identifier: GPL-2.0

//! The references taken to watched pages and not given back, with the stacks that took them.
//!
//! ```text
//! pfn -> three tables -> Chunk of 512 pages -> 1 word, ENTRIES words, ENTRIES half words a page
//! ```
//!
//! # Whose reference a put gives back
//!
//! It does not say. Two things are known after each change: how many references there are, and for
//! how many of them the kernel itself accounts (mappings, page cache, private data). The entries of
//! a page are the rest, so before a change is entered they are made that:
//!
//! - What is accounted for rose by so many as there are entries too many: who took these has made
//!   a mapping of them, or put the page into a file. The allocation's goes first if the page is
//!   mapped, else the latest of those whose like often do; a batch of the LRU lists never does.
//! - There are references that nobody was seen to take, and they are given back just now: they were
//!   a mapping's, or the file's, until then. No entry is concerned.
//! - Else they are [`Entry::is_unseen`]: older than the watch.
//! - There are too many for no such reason: two changed the page at once. Unseen ones go, and what
//!   is too many the next time still.
//!
//! Then the put takes one of those entries that are multiples of [`PIN`] if it is one and only
//! then, and that are a batch's if it empties a batch and only then; the first of these that
//! there is:
//!
//! 1. Taken by the same task inside the function that puts now, in its latest run, the oldest.
//! 2. Taken where such are known to be taken that are put here: it was so of the only entry of some
//!    page; of the same task's, the oldest.
//! 3. As 2., of another task's.
//! 4. The same task's, the oldest.
//! 5. An unseen one, if it is known who takes what is put here, and none of these has.
//! 6. Anybody's. Then an unseen one. Then any.
//!
//! Whoever else could have been meant is [`Entry::one_of`] from then on; where a pair decided, that is
//! also who was never seen alone, and so in no pair.
//!
//! # Protocol
//!
//! Who changes a page's entries claims them: [`BUSY`]. Nobody waits for long: who finds them
//! claimed tries a few times, and then leaves [`MISSED`] behind. It is claimed for some hundred
//! instructions, after the stack was unwound.

use super::account::{Account, HANDLE_BITS};
pub use super::account::{Entry, MAX_ENTRIES, PIN};
use super::depot::{Depot, Handle};
use super::memory::{Counted, Memory, Slot, Table, Zeroed, TABLE_BITS};
pub use super::pairs::{Function, Functions};
use super::pairs::{Pairs, Place, ACCOUNT, ANYBODY};
#[cfg(loom)]
use super::sync::array;
use super::sync::{const_unless_loom, sized, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use core::ops::Range;
use core::ptr::NonNull;

/// One change of the references of a page.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// How many were taken; given back if it is negative.
    pub refs: i32,
    /// How many there are now.
    pub count: i32,
    /// For how many of them the kernel accounts.
    pub expected: i32,
    /// Mappings of the folio.
    pub mapcount: i32,
    /// Handle of the stack.
    pub stack: Handle,
    /// Whose change it was, -1 if no task's.
    pub pid: i32,
    /// Milliseconds of a monotonic clock.
    pub now: u32,
}

/// By which a put takes an entry, one after the other.
const RULES: u32 = 13;
/// Those of them that ask for a pair.
const PAIRED: Range<u32> = 3..7;

/// Words in an allocation: 4 KiB.
const WORDS: usize = sized(512, 4);
/// log2 of the pages in a chunk.
const CHUNK_BITS: u32 = sized(9, 0) as u32;
/// Pages in a chunk.
pub const CHUNK_LEN: usize = 1 << CHUNK_BITS;
/// pfns that the tables can hold.
const PFNS: u64 = 1 << (CHUNK_BITS + 3 * TABLE_BITS);
/// Most words of a page.
const MAX_PAGE_WORDS: usize = 1 + MAX_ENTRIES + MAX_ENTRIES / 2;

/// 512 words.
pub struct Words([AtomicU64; WORDS]);

// SAFETY: Words are atomics.
unsafe impl Zeroed for Words {
    #[cfg(loom)]
    fn zeroed() -> Self {
        Words(array![AtomicU64::new(0); WORDS])
    }
}

/// The ledger of 512 pages: as many words one after the other for each.
pub struct Chunk([Slot<Words>; MAX_PAGE_WORDS]);

// SAFETY: Zeroed slots are empty.
unsafe impl Zeroed for Chunk {
    #[cfg(loom)]
    fn zeroed() -> Self {
        Chunk(array![Slot::new(); MAX_PAGE_WORDS])
    }
}

/// Bit of a page's first word: it is watched.
const WATCHED: u64 = 1 << 63;
/// Somebody changes the page's entries.
const BUSY: u64 = 1 << 62;
/// A change was missed, as somebody else made one just then.
const MISSED: u64 = 1 << 61;
/// References found no room.
const OVERFLOWED: u64 = 1 << 60;
/// The owner's stack.
const OWNER: u64 = (1 << HANDLE_BITS) - 1;
const EXPECTED_SHIFT: u32 = HANDLE_BITS;
const EXPECTED: u64 = 0xffff << EXPECTED_SHIFT;
const VERSION: u64 = 1 << (EXPECTED_SHIFT + 16);
/// There were entries too many at the latest change, and nothing to tell why.
const EXCESS: u64 = 1 << 59;
const VERSIONS: u64 = EXCESS - VERSION;
/// How often one who finds a page claimed tries again.
const TRIES: u32 = if cfg!(loom) { 1 } else { 64 };

/// The words of one page.
struct Page<'a> {
    chunk: &'a Chunk,
    first: usize,
    room: usize,
}

/// What a page's account was, and what it became meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot {
    /// Entries, as [`Ledger::read`] or [`Ledger::look`] orders them.
    pub entries: [Option<Entry>; MAX_ENTRIES],
    /// The stack that allocated the page.
    pub owner: Handle,
    /// A change was missed since the page was allocated: who has a reference may have another.
    pub missed: bool,
    /// There were more references than room for entries.
    pub overflowed: bool,
    /// By so many the entries were too many, or too few, for no reason that is known of.
    pub off: i32,
    /// All of this was true at one moment.
    pub whole: bool,
}

impl Snapshot {
    fn new(head: u64, account: &Account, off: i32, whole: bool) -> Self {
        Snapshot {
            entries: account.entries,
            owner: Handle((head & OWNER) as u32),
            missed: head & MISSED != 0,
            overflowed: head & OVERFLOWED != 0,
            off,
            whole,
        }
    }
}

impl<'a> Page<'a> {
    fn word(&self, at: usize) -> Option<&'a AtomicU64> {
        let at = self.first + at;
        Some(&self.chunk.0[at / WORDS].get()?.0[at % WORDS])
    }

    fn load(&self, at: usize) -> u64 {
        self.word(at).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    fn store(&self, at: usize, value: u64) {
        if let Some(word) = self.word(at) {
            if word.load(Ordering::Relaxed) != value {
                word.store(value, Ordering::Relaxed);
            }
        }
    }

    fn account(&self, owner: Handle) -> Account {
        let mut account = Account {
            entries: [None; MAX_ENTRIES],
            len: 0,
            room: self.room,
            overflowed: false,
        };
        for at in 0..self.room {
            let times = self.load(1 + self.room + at / 2);
            let time = (times >> (32 * (at % 2))) as u32;
            let Some(entry) = Entry::unpack(self.load(1 + at), time, owner) else {
                break;
            };
            account.push(entry);
        }
        account
    }

    fn set_account(&self, account: &Account) {
        let mut times = 0;
        for at in 0..self.room {
            let entry = account.entries[at].filter(|_| at < account.len);
            self.store(1 + at, entry.map_or(0, |entry| entry.pack()));
            times |= u64::from(entry.map_or(0, |entry| entry.time)) << (32 * (at % 2));
            if at % 2 == 1 {
                self.store(1 + self.room + at / 2, times);
                times = 0;
            }
        }
    }

    /// Claims the entries; the first word as it was. `None` if somebody else has them for long.
    fn claim(&self) -> Option<u64> {
        let head = self.word(0)?;
        for _ in 0..TRIES {
            let now = head.load(Ordering::Relaxed);
            if now & WATCHED == 0 {
                return None;
            }
            if now & BUSY == 0
                && head
                    .compare_exchange(now, now | BUSY, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
            {
                // Whoever sees what is written from here on sees that it is claimed.
                super::sync::fence(Ordering::Release);
                return Some(now);
            }
            core::hint::spin_loop();
        }
        head.fetch_or(MISSED, Ordering::Relaxed);
        None
    }

    /// The reverse; `head` is the new first word. Who found it claimed has left its sign.
    fn release(&self, head: u64) {
        if let Some(word) = self.word(0) {
            let next = (head & !VERSIONS) | (head.wrapping_add(VERSION) & VERSIONS);
            let mut now = word.load(Ordering::Relaxed);
            while let Err(then) = word.compare_exchange_weak(
                now,
                (next & !BUSY) | (now & MISSED),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                now = then;
            }
        }
    }
}

/// Figures for `stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Pages that are watched.
    pub pages: u64,
    /// Bytes in use.
    pub bytes: usize,
    /// Most bytes.
    pub cap: usize,
    /// Bytes for each page, tables aside.
    pub bytes_a_page: usize,
    /// Changes that were missed.
    pub missed: u32,
    /// References that were there, or were not, before a change of a page, where the changes before
    /// it had told otherwise.
    pub untold: Untold,
}

/// References taken and given back that no change told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Untold {
    /// Taken.
    pub gets: u64,
    /// Given back.
    pub puts: u64,
}

/// The references of all watched pages.
pub struct Ledger {
    tables: Table<Table<Table<Chunk>>>,
    pairs: Pairs,
    /// Entries of a page.
    room: AtomicU32,
    pages: AtomicU64,
    bytes: AtomicUsize,
    /// Most bytes.
    cap: AtomicUsize,
    missed: AtomicU32,
    untold_gets: AtomicU64,
    untold_puts: AtomicU64,
    /// Where watched pages are: the first number, and how many.
    low: AtomicUsize,
    span: AtomicUsize,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

/// Why pages are not watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// More than there may be.
    Full {
        /// Of these, so many fit, the first ones.
        pages: u64,
    },
    /// There is no memory.
    NoMemory,
    /// No such pages can be.
    Range,
}

/// The first page of each chunk that has one of these pages.
fn chunks(pfn: u64, pages: u64) -> impl Iterator<Item = u64> + Clone {
    let first = pfn >> CHUNK_BITS;
    let end = pfn.saturating_add(pages).div_ceil(1 << CHUNK_BITS);
    (first..end).map(|number| number << CHUNK_BITS)
}

fn expected_of(head: u64) -> i32 {
    ((head & EXPECTED) >> EXPECTED_SHIFT) as i32
}

fn with_expected(head: u64, expected: i32) -> u64 {
    (head & !EXPECTED) | (expected.clamp(0, 0xffff) as u64) << EXPECTED_SHIFT
}

impl Ledger {
    const_unless_loom! {
        /// A ledger that watches nothing.
        pub fn new() -> Self {
            Ledger {
                tables: Table::new(),
                pairs: Pairs::new(),
                room: AtomicU32::new(MAX_ENTRIES as u32),
                pages: AtomicU64::new(0),
                bytes: AtomicUsize::new(0),
                cap: AtomicUsize::new(usize::MAX),
                missed: AtomicU32::new(0),
                untold_gets: AtomicU64::new(0),
                untold_puts: AtomicU64::new(0),
                low: AtomicUsize::new(0),
                span: AtomicUsize::new(0),
            }
        }
    }

    /// So many entries a page, 2 to 8, an even number, and at most so many bytes; as long as no page
    /// is watched.
    pub fn configure(&self, entries: u32, cap: usize) {
        self.room
            .store(entries.clamp(2, MAX_ENTRIES as u32) & !1, Ordering::Relaxed);
        self.cap.store(cap, Ordering::Relaxed);
    }

    /// Only pages in blocks of these numbers are watched, as [`Ledger::covers`] has them.
    pub fn set_cover(&self, numbers: Range<usize>) {
        // Who sees one of both and not the other looks at too few for a moment.
        self.span.store(0, Ordering::Relaxed);
        self.low.store(numbers.start, Ordering::Relaxed);
        self.span.store(numbers.len(), Ordering::Relaxed);
    }

    /// False if no page of the block with that number is watched, for nearly all. Context: any; two
    /// loads.
    #[inline(always)]
    pub fn covers(&self, number: usize) -> bool {
        number.wrapping_sub(self.low.load(Ordering::Relaxed)) < self.span.load(Ordering::Relaxed)
    }

    fn room(&self) -> usize {
        self.room.load(Ordering::Relaxed) as usize
    }

    fn words_of_page(&self) -> usize {
        1 + self.room() + self.room() / 2
    }

    fn slot(&self, pfn: u64) -> Option<&Slot<Chunk>> {
        let at = |level: u32| (pfn >> (CHUNK_BITS + level * TABLE_BITS)) as usize;
        if pfn >= PFNS {
            return None;
        }
        Some(
            self.tables
                .slot(at(2))
                .get()?
                .slot(at(1))
                .get()?
                .slot(at(0)),
        )
    }

    fn chunk(&self, pfn: u64) -> Option<&Chunk> {
        self.slot(pfn)?.get()
    }

    fn page(&self, pfn: u64) -> Option<Page<'_>> {
        Some(Page {
            chunk: self.chunk(pfn)?,
            first: (pfn as usize % CHUNK_LEN) * self.words_of_page(),
            room: self.room(),
        })
    }

    /// Makes what watching these pages needs. Who does this, watches, or the reverse, is alone.
    ///
    /// # Errors
    ///
    /// [`Refused`]; then some of it may be there, see [`Ledger::reap`].
    pub fn reserve(&self, pfn: u64, pages: u64, mem: &impl Memory) -> Result<(), Refused> {
        if pfn.saturating_add(pages) > PFNS {
            return Err(Refused::Range);
        }
        let chunks = chunks(pfn, pages);
        let cap = self.cap.load(Ordering::Relaxed);
        let mut bytes = self.bytes();
        let mut latest = None;
        for at in chunks.clone() {
            bytes += self.bytes_of_new(at, latest);
            latest = Some(at);
            if bytes > cap {
                return Err(Refused::Full {
                    pages: at.saturating_sub(pfn),
                });
            }
        }
        for at in chunks {
            if !self.add_chunk(at, mem) {
                return Err(Refused::NoMemory);
            }
        }
        Ok(())
    }

    /// Watches pages from now on, for which [`Ledger::reserve`] was called.
    pub fn watch(&self, pfn: u64, pages: u64) {
        for pfn in pfn..pfn.saturating_add(pages) {
            let head = self.page(pfn).and_then(|page| page.word(0));
            let Some(head) = head.filter(|head| head.load(Ordering::Relaxed) & WATCHED == 0) else {
                continue;
            };
            // Who claims it from here on sees that nothing is left of an earlier watch, and what
            // somebody was late to miss then is of no interest.
            head.swap(WATCHED, Ordering::Release);
            self.pages.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Does not watch these pages any more, and forgets what was known of them.
    pub fn unwatch(&self, pfn: u64, pages: u64) {
        for pfn in pfn..pfn.saturating_add(pages) {
            let Some(page) = self.page(pfn) else {
                continue;
            };
            while page.load(0) & WATCHED != 0 {
                if page.claim().is_some() {
                    for at in (0..self.words_of_page()).rev() {
                        page.store(at, 0);
                    }
                    self.pages.fetch_sub(1, Ordering::Relaxed);
                }
                core::hint::spin_loop();
            }
        }
    }

    /// Takes out the memory of which no page is watched, as `dead` takes it; if it does not, it
    /// stays. To be given to [`Ledger::free`] when nobody is left who may have seen it.
    pub fn reap(&self, pfn: u64, pages: u64, mut dead: impl FnMut(NonNull<Chunk>) -> bool) {
        for at in chunks(pfn, pages) {
            let Some(slot) = self.slot(at) else {
                continue;
            };
            let Some(chunk) = slot.get() else {
                continue;
            };
            let is_watched = (at..at + CHUNK_LEN as u64).any(|pfn| self.is_watched(pfn));
            if !is_watched && dead(NonNull::from(chunk)) {
                slot.take();
            }
        }
    }

    /// Gives memory back.
    ///
    /// # Safety
    ///
    /// It must come from [`Ledger::reap`], and nobody who saw it before may be left.
    pub unsafe fn free(&self, chunk: NonNull<Chunk>, mem: &impl Memory) {
        let mem = self.counted(mem);
        // SAFETY: The caller promises that it is ours; all came from `mem` in `add_chunk`.
        unsafe {
            for words in &chunk.as_ref().0 {
                if let Some(words) = words.take() {
                    mem.free(words);
                }
            }
            mem.free(chunk);
        }
    }

    /// Watches nothing any more, and gives all memory back.
    ///
    /// # Safety
    ///
    /// Nobody else may use the ledger, nor do so before this returns.
    pub unsafe fn drain(&self, mem: &impl Memory) {
        let tables = self.counted(mem);
        self.tables.drain(|middle| {
            // SAFETY: As the caller promises, of all levels.
            unsafe {
                middle.as_ref().drain(|low| {
                    low.as_ref().drain(|chunk| self.free(chunk, mem));
                    tables.free(low);
                });
                tables.free(middle);
            }
        });
        self.pages.store(0, Ordering::Relaxed);
    }

    /// Bytes of a chunk, all in all.
    fn chunk_bytes(&self) -> usize {
        size_of::<Chunk>() + self.words_of_page() * size_of::<Words>()
    }

    /// Bytes of what a chunk still needs, tables included, behind `latest` of the same range.
    fn bytes_of_new(&self, pfn: u64, latest: Option<u64>) -> usize {
        let at = |pfn: u64, level: u32| pfn >> (CHUNK_BITS + level * TABLE_BITS);
        let middle = self.tables.slot(at(pfn, 2) as usize).get();
        let low = middle.and_then(|t| t.slot(at(pfn, 1) as usize).get());
        let chunk = low.and_then(|t| t.slot(at(pfn, 0) as usize).get());
        // The tables of the latest one are made, or counted.
        let is_new = |level| latest.is_none_or(|latest| at(latest, level) != at(pfn, level));
        let tables =
            usize::from(middle.is_none() && is_new(2)) + usize::from(low.is_none() && is_new(1));
        tables * size_of::<Table<Chunk>>()
            + match chunk {
                None => self.chunk_bytes(),
                // Of one that was left unfinished for want of memory
                Some(chunk) => {
                    let words = &chunk.0[..self.words_of_page()];
                    words.iter().filter(|w| w.get().is_none()).count() * size_of::<Words>()
                }
            }
    }

    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn counted<'a, M>(&'a self, mem: &'a M) -> Counted<'a, M> {
        Counted {
            mem,
            bytes: &self.bytes,
            cap: usize::MAX,
        }
    }

    fn add_chunk(&self, pfn: u64, mem: &impl Memory) -> bool {
        let at = |level: u32| (pfn >> (CHUNK_BITS + level * TABLE_BITS)) as usize;
        let mem = &self.counted(mem);
        let chunk = self
            .tables
            .slot(at(2))
            .get_or_publish(mem)
            .and_then(|t| t.slot(at(1)).get_or_publish(mem))
            .and_then(|t| t.slot(at(0)).get_or_publish(mem));
        // Of one that was left unfinished for want of memory the rest is made.
        chunk.is_some_and(|chunk| {
            chunk.0[..self.words_of_page()]
                .iter()
                .all(|words| words.get_or_publish(mem).is_some())
        })
    }

    /// Is the page watched?
    pub fn is_watched(&self, pfn: u64) -> bool {
        self.page(pfn)
            .is_some_and(|page| page.load(0) & WATCHED != 0)
    }

    /// Has `change` change the page's account, and its first word.
    fn with(&self, pfn: u64, change: impl FnOnce(&mut Account, u64) -> u64) {
        let Some(page) = self.page(pfn) else {
            return;
        };
        let Some(head) = page.claim() else {
            // Or it is not watched any more.
            if page.load(0) & WATCHED != 0 {
                self.missed.fetch_add(1, Ordering::Relaxed);
            }
            return;
        };
        let mut account = page.account(Handle((head & OWNER) as u32));
        let mut head = change(&mut account, head);
        if account.overflowed {
            head |= OVERFLOWED;
        }
        account.forget_gone();
        page.set_account(&account);
        page.release(head);
    }

    /// The page was allocated, or what it had was put in order: it has so many references.
    pub fn set(&self, pfn: u64, change: &Change) {
        self.with(pfn, |account, head| {
            account.len = 0;
            if change.refs > 0 {
                let refs = change.refs.unsigned_abs();
                account.push(Entry {
                    is_alloc: true,
                    is_pin: false,
                    ..Entry::taken(refs, change.stack, change.pid, change.now)
                });
            }
            let head = head & !(OWNER | MISSED | OVERFLOWED) | (u64::from(change.stack.0) & OWNER);
            with_expected(head, change.expected)
        });
    }

    /// A change of the page was not seen: who has a reference may have another. Context: any.
    pub fn missed(&self, pfn: u64) {
        self.missed.fetch_add(1, Ordering::Relaxed);
        if let Some(head) = self.page(pfn).and_then(|page| page.word(0)) {
            head.fetch_or(MISSED, Ordering::Relaxed);
        }
    }

    /// The page has no references any more.
    pub fn freed(&self, pfn: u64) {
        self.with(pfn, |account, head| {
            account.len = 0;
            head & !(EXPECTED | MISSED | OVERFLOWED)
        });
    }

    /// References of the page changed.
    pub fn change(&self, pfn: u64, change: &Change, depot: &Depot, functions: &impl Functions) {
        self.with(pfn, |account, mut head| {
            let refs = change.refs.unsigned_abs();
            let before = change.count - change.refs - change.expected;
            let missing = before - account.total() as i32;
            self.weigh(account, head, change);
            if account.is_vague() || head & OVERFLOWED != 0 {
                self.enter(account, change, depot, functions);
                if change.count <= change.expected {
                    // Nobody has one: what could not be told apart is over.
                    account.len = 0;
                    head &= !OVERFLOWED;
                }
            } else if change.refs < 0 && missing >= refs as i32 {
                account.unseen((missing as u32) - refs, change.now);
                let key = self.place_of(change.stack, depot, functions).0;
                self.pairs.learn(key, ACCOUNT);
            } else {
                let absorbed = self.settle(account, &mut head, before, change, depot, functions);
                if let Some(entry) = absorbed.filter(|e| !e.is_unseen && !e.is_alloc) {
                    let key = self.place_of(entry.stack, depot, functions).0;
                    self.pairs.learn(ACCOUNT, key);
                }
                self.enter(account, change, depot, functions);
            }
            with_expected(head, change.expected)
        });
    }

    /// Before a change a page must have the references that it had after the one before. Two that
    /// are made at once each see the other's: what one finds to be too many the other finds too few.
    fn weigh(&self, account: &Account, head: u64, change: &Change) {
        let is_unsure = head & (MISSED | OVERFLOWED | EXCESS) != 0 || account.is_vague();
        // Older than the watch: nothing was told.
        if is_unsure || head & OWNER == 0 {
            return;
        }
        let known = account.total() as i32 + expected_of(head);
        match change.count - change.refs - known {
            0 => (),
            gap if gap > 0 => {
                self.untold_gets.fetch_add(gap as u64, Ordering::Relaxed);
            }
            gap => {
                self.untold_puts
                    .fetch_add(u64::from(gap.unsigned_abs()), Ordering::Relaxed);
            }
        }
    }

    /// The page's references were frozen and are not any more, maybe not as many as before.
    pub fn unfrozen(&self, pfn: u64, change: &Change, depot: &Depot, functions: &impl Functions) {
        self.with(pfn, |account, mut head| {
            let now = change.count - change.expected;
            head |= EXCESS;
            self.settle(account, &mut head, now, change, depot, functions);
            with_expected(head, change.expected)
        });
    }

    /// Makes the entries `wanted` references. One of those that are the kernel's own now, if it could
    /// be no other.
    fn settle(
        &self,
        account: &mut Account,
        head: &mut u64,
        wanted: i32,
        change: &Change,
        depot: &Depot,
        functions: &impl Functions,
    ) -> Option<Entry> {
        let missing = wanted - account.total() as i32;
        let known = expected_of(*head);
        let mut absorbed = None;
        let was_excess = *head & EXCESS != 0;
        *head &= !EXCESS;
        if missing > 0 {
            account.unseen(missing as u32, change.now);
        } else if missing < 0 {
            let rose = (change.expected.clamp(0, 0xffff) - known).clamp(0, -missing);
            account.drop_unseen((-missing - rose) as u32);
            let excess = account.total() as i32 - wanted - rose;
            // One who puts it just now tells so after this; who does not, did not.
            let own = if was_excess { rose + excess } else { rose };
            if excess > 0 && !was_excess {
                *head |= EXCESS;
            }
            let rank = |entry: &Entry| {
                let (key, is_batch) = self.place_of(entry.stack, depot, functions);
                match is_batch {
                    // No part of a pin becomes the kernel's own.
                    _ if entry.is_pin && (own as u32) < PIN => 0,
                    true => 1,
                    _ if entry.is_unseen => 2,
                    false => 2 + u32::from(self.pairs.contains(ACCOUNT, key)),
                }
            };
            let candidates: u32 = account
                .live()
                .filter(|(_, entry)| rank(entry) > 1)
                .map(|(_, entry)| entry.refs)
                .sum();
            account.accounted_for(own as u32, change.mapcount > 0, rank, |entry| {
                absorbed = Some(*entry);
            });
            // What was a choice teaches nothing.
            absorbed = absorbed.filter(|_| candidates <= own as u32);
        }
        absorbed
    }

    /// Where a stack takes or gives back, 0 if that is lost; and is that for a batch of the LRU lists?
    fn place_of(&self, stack: Handle, depot: &Depot, functions: &impl Functions) -> (u32, bool) {
        depot.get(stack).map_or((0, false), |stack| {
            let place = Place::of(&stack, functions);
            (place.key(&stack), place.is_batch())
        })
    }

    fn enter(
        &self,
        account: &mut Account,
        change: &Change,
        depot: &Depot,
        functions: &impl Functions,
    ) {
        if change.refs > 0 {
            Self::get(account, change);
        } else {
            self.put(account, change, depot, functions);
        }
    }

    fn get(account: &mut Account, change: &Change) {
        let refs = change.refs.unsigned_abs();
        // GUP-fast takes one reference of each, and makes it pins when it has looked again.
        if refs % (PIN - 1) == 0 {
            let first = refs / (PIN - 1);
            let is_half =
                |e: &Entry| e.refs == first && e.pid == change.pid && !e.is_unseen && !e.is_pin;
            // The latest: the task may have had others for long.
            let half = account.live().rev().find(|(_, entry)| is_half(entry));
            let half = half.map(|(at, _)| at);
            if let Some(entry) = half.and_then(|at| account.entries[at].as_mut()) {
                entry.refs += refs;
                entry.is_pin = true;
                entry.stack = change.stack;
                return;
            }
        }
        account.push(Entry::taken(refs, change.stack, change.pid, change.now));
    }

    fn put(
        &self,
        account: &mut Account,
        change: &Change,
        depot: &Depot,
        functions: &impl Functions,
    ) {
        let refs = change.refs.unsigned_abs();
        let is_pin = refs % PIN == 0;
        let stack = depot.get(change.stack);
        let place = stack.as_ref().map(|stack| Place::of(stack, functions));
        let key = match (&stack, place) {
            (Some(stack), Some(place)) => place.key(stack),
            _ => 0,
        };
        let mut keys = [0; MAX_ENTRIES];
        let mut inside = [false; MAX_ENTRIES];
        let mut batch = [false; MAX_ENTRIES];
        let is_batch = place.is_some_and(|place| place.is_batch());
        for (at, entry) in account.iter() {
            if let Some(taken) = depot.get(entry.stack) {
                let get = Place::of(&taken, functions);
                keys[at] = get.key(&taken);
                batch[at] = get.is_batch();
                inside[at] = entry.pid == change.pid && place.is_some_and(|p| p.contains(&taken));
            }
        }
        let fits =
            |at: usize, e: &Entry| !e.is_unseen && e.is_pin == is_pin && batch[at] == is_batch;
        let same = |at: usize, e: &Entry| fits(at, e) && e.pid == change.pid;
        // Of those taken inside, the latest run: back to where a place comes again, which may be
        // there several times in a row.
        let mut latest = [false; MAX_ENTRIES];
        let mut later = None;
        for at in (0..account.len).rev() {
            let is_candidate = |e: Entry| inside[at] && fits(at, &e) && !e.is_gone;
            if !account.entries[at].is_some_and(is_candidate) {
                continue;
            }
            let is_again = (at + 1..account.len).any(|it| latest[it] && keys[it] == keys[at]);
            if is_again && later != Some(keys[at]) {
                break;
            }
            later = Some(keys[at]);
            latest[at] = true;
        }
        let paired = |at: usize| key != 0 && self.pairs.contains(key, keys[at]);
        let is_known = key != 0 && self.pairs.knows(key);
        let is_account = key != 0 && self.pairs.contains(key, ACCOUNT);
        let newest = account.live().next_back().map(|(at, _)| at);
        let rule = |number: u32, at: usize, e: &Entry| match number {
            0 => is_account && fits(at, e) && !e.is_gone && self.pairs.contains(ACCOUNT, keys[at]),
            1 => latest[at] && !e.is_gone && paired(at),
            2 => latest[at] && !e.is_gone,
            3 => same(at, e) && !e.is_gone && paired(at),
            4 => fits(at, e) && !e.is_gone && paired(at),
            5 => same(at, e) && e.is_gone && paired(at),
            6 => fits(at, e) && e.is_gone && paired(at),
            7 => is_account && same(at, e) && Some(at) == newest,
            8 => same(at, e) && !e.is_gone,
            9 => is_known && e.is_unseen,
            10 => fits(at, e) && !e.is_gone,
            11 => e.is_unseen,
            _ => !e.is_gone,
        };
        for number in 0..RULES {
            let Some(at) = account
                .iter()
                .find(|&(at, e)| rule(number, at, e))
                .map(|(at, _)| at)
            else {
                continue;
            };
            let Some(chosen) = account.entries[at] else {
                return;
            };
            if chosen.is_gone {
                // So it was another's that was given back before.
                account.remove(at);
                let other = account.position(|e| e.one_of && e.is_pin == is_pin);
                let other = other.or_else(|| account.position(|e| e.is_pin == is_pin));
                if let Some(at) = other {
                    account.take(at, refs);
                }
                return;
            }
            let is_only = account.len == 1;
            let mut doubt = false;
            for other in 0..account.len {
                let is_other = other != at && keys[other] != keys[at];
                if let Some(entry) = account.entries[other].as_mut() {
                    if is_other
                        && !entry.is_gone
                        && !chosen.is_unseen
                        && (rule(number, other, entry)
                            || (PAIRED.contains(&number)
                                && fits(other, entry)
                                && !self.pairs.contains(ANYBODY, keys[other])))
                    {
                        entry.one_of = true;
                        doubt = true;
                    }
                }
            }
            if is_only && chosen.refs == refs && !chosen.is_unseen && !chosen.one_of && key != 0 {
                self.pairs.learn(key, keys[at]);
            }
            match account.entries[at].as_mut() {
                Some(entry) if doubt && chosen.refs == refs => {
                    entry.is_gone = true;
                    entry.one_of = true;
                }
                _ => {
                    account.take(at, refs);
                }
            }
            return;
        }
    }

    /// The pages from `pfn` on have no references any more. Context: any.
    pub fn freed_all(&self, pfn: u64, pages: u64) {
        let end = pfn.saturating_add(pages);
        let mut at = pfn;
        while let Some(pfn) = self.next(at, end) {
            self.freed(pfn);
            at = pfn + 1;
        }
    }

    /// What is known of a page, the latest entry last; `None` if it is not watched. Context: any.
    pub fn read(&self, pfn: u64) -> Option<Snapshot> {
        let (head, account, whole) = self.copy(pfn)?;
        Some(Snapshot::new(head, &account, 0, whole))
    }

    /// As [`Ledger::read`], made to agree with what the page looks like: what became the kernel's
    /// own since its last change, or was there before the watch, no change has told. `now` is of
    /// no change, its `refs` and `stack` do not matter. What one task took at one place is one
    /// entry; the likelier ones first. Context: any.
    #[inline(never)]
    pub fn look(
        &self,
        pfn: u64,
        now: &Change,
        depot: &Depot,
        functions: &impl Functions,
    ) -> Option<Snapshot> {
        let (mut head, mut account, whole) = self.copy(pfn)?;
        let mut off = 0;
        if !account.is_vague() && head & OVERFLOWED == 0 {
            let wanted = now.count - now.expected;
            let rose = (now.expected - expected_of(head)).max(0);
            let excess = account.total() as i32 - wanted;
            off = excess - rose.min(excess.max(0));
            // Of one that was not allocated since, they are older than the watch.
            if head & OWNER == 0 {
                off = off.max(0);
            }
            // Nobody is likely to be just putting it.
            head |= EXCESS;
            self.settle(
                &mut account,
                &mut head,
                wanted.max(0),
                now,
                depot,
                functions,
            );
            // Entries of a page that was freed, or is just being.
            if wanted <= 0 {
                account.len = 0;
            }
        }
        account.forget_gone();
        while account.join_two() {}
        account.entries[account.len..].fill(None);
        // The likelier first, and batches of the LRU lists, which everybody has at times, behind
        // who has something in mind.
        let rank = |entry: &Option<Entry>| {
            entry.map_or(3, |entry| {
                let is_batch = self.place_of(entry.stack, depot, functions).1;
                u32::from(is_batch) + 2 * u32::from(entry.is_gone)
            })
        };
        // As many as these are sorted soonest so, and those of a rank stay in order.
        for mut at in 1..account.len {
            while at > 0 && rank(&account.entries[at - 1]) > rank(&account.entries[at]) {
                account.entries.swap(at - 1, at);
                at -= 1;
            }
        }
        Some(Snapshot::new(head, &account, off, whole))
    }

    /// The first word and the entries of a page, and whether they belong together.
    fn copy(&self, pfn: u64) -> Option<(u64, Account, bool)> {
        let page = self.page(pfn)?;
        let mut tries = 0;
        loop {
            tries += 1;
            let before = page.word(0)?.load(Ordering::Acquire);
            if before & WATCHED == 0 {
                return None;
            }
            let account = page.account(Handle((before & OWNER) as u32));
            super::sync::fence(Ordering::Acquire);
            let whole = before & BUSY == 0 && page.load(0) & !MISSED == before & !MISSED;
            if whole || tries == TRIES {
                return Some((before, account, whole));
            }
            core::hint::spin_loop();
        }
    }

    /// The first page from `pfn` on and before `end` that is watched and has an entry.
    fn next(&self, pfn: u64, end: u64) -> Option<u64> {
        (pfn..end).find(|&pfn| {
            self.page(pfn)
                .is_some_and(|page| page.load(0) & WATCHED != 0 && page.load(1) != 0)
        })
    }

    /// Figures for `stats`.
    pub fn figures(&self) -> Figures {
        Figures {
            pages: self.pages.load(Ordering::Relaxed),
            bytes: self.bytes(),
            cap: self.cap.load(Ordering::Relaxed),
            bytes_a_page: self.words_of_page() * 8,
            missed: self.missed.load(Ordering::Relaxed),
            untold: Untold {
                gets: self.untold_gets.load(Ordering::Relaxed),
                puts: self.untold_puts.load(Ordering::Relaxed),
            },
        }
    }
}
