// SPDX-License-Identifier: GPL-2.0

//! From a pfn to the record of the folio it was marked with.
//!
//! Four tables of 512 slots lead to a [`Block`] for 64 pages; tables and blocks exist only where
//! something was marked, whatever the size of RAM, and memory that is plugged in later needs
//! nothing. Every page of a folio is marked, so that none is lost when the folio is split.
//!
//! In front of it stands a small counting filter: one load tells for nearly every page that it is
//! not marked, which is what a put of an unmarked page costs.
//!
//! # Protocol
//!
//! - A page is marked when its entry in the block is a record's index + 1. Who swaps an entry from
//!   or to zero owns that change, and with it one of the record's `pages`.
//! - The filter counts a page before its entry is set and until after it is cleared.
//! - A block's `users` counts its marked pages and those being marked. A block that has none may be
//!   retired: its count goes from 0 to [`DEAD`], nobody can mark in it again, and it is taken out.
//!   It is freed when all who might have looked at it are gone.

use super::invariant::{hold, Invariant};
use super::memory::{Counted, Memory, Table, Zeroed, TABLE_BITS, TABLE_LEN};
use super::reason::Cause;
use super::record::{Failure, Lost, Record, Records, User};
use super::sync::{array, const_unless_loom, fence, sized, AtomicU32, AtomicUsize, Ordering};
use core::ptr::NonNull;

/// log2 of the pages in a block.
const BLOCK_BITS: u32 = sized(6, 1) as u32;
/// Pages in a block.
pub const BLOCK_LEN: u64 = 1 << BLOCK_BITS;
/// log2 of the pfns that the tables can hold: 2^54 bytes of memory with 4 KiB pages.
const PFN_BITS: u32 = BLOCK_BITS + 4 * TABLE_BITS;
/// Counters in the filter; one stands for every 2048th block of 64 pages.
const FILTER_LEN: usize = sized(2048, 2);
/// Blocks that are always allowed: 1 MiB.
const MIN_BLOCKS: usize = 4096;
/// Value of [`Block::users`] once the block was retired.
const DEAD: u32 = 1 << 31;
/// How many folios are evicted to make room for one, in case each of them is in use just then.
const EVICTIONS: u32 = sized(4, 1) as u32;

/// The marks of 64 pages that lie side by side: 264 bytes.
#[repr(align(8))]
pub struct Block {
    users: AtomicU32,
    entries: [AtomicU32; BLOCK_LEN as usize],
}

// SAFETY: All fields are atomics; zero is a block with no marks.
unsafe impl Zeroed for Block {
    #[cfg(loom)]
    fn zeroed() -> Self {
        Block {
            users: AtomicU32::new(0),
            entries: array![AtomicU32::new(0); BLOCK_LEN as usize],
        }
    }
}

impl Block {
    /// Makes the block stay for `pages` marks more. How many it had, or `None` if it was retired.
    fn get(&self, pages: u32) -> Option<u32> {
        let mut users = self.users.load(Ordering::Relaxed);
        while users != DEAD {
            match self.users.compare_exchange_weak(
                users,
                users + pages,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(users),
                Err(now) => users = now,
            }
        }
        None
    }

    /// Retires the block if nothing is marked in it. True if this call did it.
    fn retire(&self) -> bool {
        self.users
            .compare_exchange(0, DEAD, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

/// What became of a failure that was to be marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    /// A new mark.
    New,
    /// The folio was marked already; how often it has failed now.
    Again(u32),
}

/// All marks.
pub struct PageExt {
    records: Records,
    filter: [AtomicU32; FILTER_LEN],
    /// What to add to a block's number to get its number in the filter.
    bias: AtomicUsize,
    tables: Table<Table<Table<Table<Block>>>>,
    table_bytes: AtomicUsize,
    block_bytes: AtomicUsize,
    max_block_bytes: AtomicUsize,
    /// Blocks in which something is marked, or being marked.
    busy_blocks: AtomicU32,
}

/// The part of a pfn range that lies in one block.
struct Piece {
    block: u64,
    first: usize,
    len: usize,
}

/// Cuts `len` pages from `pfn` on into pieces of one block each.
fn pieces(pfn: u64, len: u64) -> impl Iterator<Item = Piece> {
    let end = pfn.saturating_add(len);
    let mut at = pfn;
    core::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let next = end.min((at / BLOCK_LEN + 1) * BLOCK_LEN);
        let piece = Piece {
            block: at / BLOCK_LEN,
            first: (at % BLOCK_LEN) as usize,
            len: (next - at) as usize,
        };
        at = next;
        Some(piece)
    })
}

impl PageExt {
    const_unless_loom! {
        /// No marks, and room for none.
        pub fn new() -> Self {
            PageExt {
                records: Records::new(),
                filter: array![AtomicU32::new(0); FILTER_LEN],
                bias: AtomicUsize::new(0),
                tables: Table::new(),
                table_bytes: AtomicUsize::new(0),
                block_bytes: AtomicUsize::new(0),
                max_block_bytes: AtomicUsize::new(0),
                busy_blocks: AtomicU32::new(0),
            }
        }
    }

    /// Makes room for `max_marks` folios. `bias` is the number that [`PageExt::maybe_marked`] will
    /// be given for block 0. While nothing is marked.
    pub fn configure(&self, max_marks: u32, bias: usize) {
        self.records.set_cap(max_marks);
        // As many blocks as marks: room for folios of up to 64 pages wherever they lie. And some
        // for few marks, as what was evicted leaves empty blocks behind for a while.
        let blocks = (max_marks as usize).max(MIN_BLOCKS);
        self.max_block_bytes
            .store(blocks * size_of::<Block>(), Ordering::Relaxed);
        self.bias.store(bias, Ordering::Relaxed);
    }

    /// The records.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// Bytes in use, the fixed part of the module aside.
    pub fn bytes(&self) -> usize {
        self.table_bytes.load(Ordering::Relaxed)
            + self.block_bytes.load(Ordering::Relaxed)
            + self.records.bytes()
    }

    /// True if nothing at all is marked. Context: any; one load.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.records.live() == 0
    }

    /// False if no page of this block is marked. `number` is the block's number plus the bias.
    /// Context: any; one load.
    #[inline(always)]
    pub fn maybe_marked(&self, number: usize) -> bool {
        self.filter[number % FILTER_LEN].load(Ordering::Relaxed) != 0
    }

    fn filter_of(&self, block: u64) -> &AtomicU32 {
        let number = (block as usize).wrapping_add(self.bias.load(Ordering::Relaxed));
        &self.filter[number % FILTER_LEN]
    }

    fn block(&self, block: u64) -> Option<&Block> {
        if block >> (PFN_BITS - BLOCK_BITS) != 0 {
            return None;
        }
        let at = |level: u32| (block >> (level * TABLE_BITS)) as usize;
        self.tables
            .slot(at(3))
            .get()?
            .slot(at(2))
            .get()?
            .slot(at(1))
            .get()?
            .slot(at(0))
            .get()
    }

    /// The block with room for `pages` marks more, made if need be.
    pub(super) fn block_for(
        &self,
        block: u64,
        pages: u32,
        mem: &impl Memory,
    ) -> Result<&Block, Lost> {
        let at = |level: u32| (block >> (level * TABLE_BITS)) as usize;
        let tables = &Counted {
            mem,
            bytes: &self.table_bytes,
            cap: usize::MAX,
        };
        let blocks = &Counted {
            mem,
            bytes: &self.block_bytes,
            cap: self.max_block_bytes.load(Ordering::Relaxed),
        };
        let slot = self
            .tables
            .slot(at(3))
            .get_or_publish(tables)
            .and_then(|t| t.slot(at(2)).get_or_publish(tables))
            .and_then(|t| t.slot(at(1)).get_or_publish(tables))
            .ok_or(Lost::NoMemory)?
            .slot(at(0));
        loop {
            let found =
                slot.get_or_publish(blocks)
                    .ok_or_else(|| match blocks.is_full::<Block>() {
                        true => Lost::Blocks,
                        false => Lost::NoMemory,
                    })?;
            match found.get(pages) {
                Some(0) => {
                    self.busy_blocks.fetch_add(1, Ordering::Relaxed);
                    return Ok(found);
                }
                Some(_) => return Ok(found),
                None => {}
            }
            // Retired under us: take it out for the one who did it, and make another.
            slot.take_exactly(found);
        }
    }

    /// The record of the folio that `pfn` was marked with. Context: any.
    pub fn lookup(&self, pfn: u64) -> Option<User<'_>> {
        let block = self.block(pfn / BLOCK_LEN)?;
        let entry = block.entries[(pfn % BLOCK_LEN) as usize].load(Ordering::Acquire);
        let user = self.records.get(entry.checked_sub(1)?)?;
        // The entry may be older than the record, if the record was reused since.
        user.covers(pfn).then_some(user)
    }

    /// Marks the folio of `failure`, or counts a failure more of it. The folio must not be freed
    /// meanwhile. Pages marked with another folio that was split or merged since change over to
    /// this one; `closed` is told of records that lost their last page so.
    ///
    /// Context: any that `mem` allows.
    ///
    /// # Errors
    ///
    /// [`Lost`]; then no page of the folio is marked that was not marked before.
    pub fn mark(
        &self,
        failure: &Failure,
        mem: &impl Memory,
        mut closed: impl FnMut(&Record, Cause),
    ) -> Result<Marked, Lost> {
        if (failure.pfn >> PFN_BITS) != 0 {
            return Err(Lost::Range);
        }
        loop {
            if let Some(user) = self.lookup(failure.pfn) {
                if user.pfn() == failure.pfn && user.order() == failure.order {
                    return Ok(Marked::Again(user.failed_again(failure)));
                }
            }
            let user = self.create(failure, mem, &mut closed)?;
            let pages = 1u32 << failure.order;
            user.add_pages(pages);
            match self.insert(&user, pages, mem, &mut closed) {
                Ok(true) => return Ok(Marked::New),
                // Somebody else has just marked the same folio: it is theirs, count with them.
                Ok(false) => continue,
                Err(lost) => return Err(lost),
            }
        }
    }

    /// As [`PageExt::mark`], of a folio that may be freed meanwhile. Whoever frees it drops the
    /// last reference, in full order, and then calls [`PageExt::forget`] if the folio may be
    /// marked; `is_there` tells whether it is still the folio of `failure`, and has one. One of
    /// the two sees what the other did: the mark of a folio that is not there has ended.
    pub fn mark_unheld(
        &self,
        failure: &Failure,
        mem: &impl Memory,
        mut closed: impl FnMut(&Record, Cause),
        is_there: impl FnOnce() -> bool,
    ) -> Result<Marked, Lost> {
        let marked = self.mark(failure, mem, &mut closed)?;
        self.end_if_gone(failure, closed, is_there);
        Ok(marked)
    }

    /// The second half of [`PageExt::mark_unheld`].
    pub(super) fn end_if_gone(
        &self,
        failure: &Failure,
        mut closed: impl FnMut(&Record, Cause),
        is_there: impl FnOnce() -> bool,
    ) {
        fence(Ordering::SeqCst);
        if !is_there() {
            let ours = |user: &User<'_>| user.pfn() == failure.pfn && user.order() == failure.order;
            if let Some(user) = self.lookup(failure.pfn).filter(ours) {
                self.end(&user, |record| closed(record, Cause::Freed));
            }
        }
    }

    /// A new record, after evicting another one if need be.
    fn create(
        &self,
        failure: &Failure,
        mem: &impl Memory,
        closed: &mut impl FnMut(&Record, Cause),
    ) -> Result<User<'_>, Lost> {
        for _ in 0..EVICTIONS {
            match self.records.create(failure, mem) {
                Err(Lost::Full) => {}
                done => return done,
            }
            let Some(victim) = self.records.victim() else {
                break;
            };
            self.end(&victim, |record| closed(record, Cause::Evicted));
        }
        self.records.create(failure, mem)
    }

    /// Points every page of a new record to it. False if its head was marked by somebody else
    /// meanwhile with the same folio; the record is closed then.
    pub(super) fn insert(
        &self,
        user: &User<'_>,
        pages: u32,
        mem: &impl Memory,
        closed: &mut impl FnMut(&Record, Cause),
    ) -> Result<bool, Lost> {
        let entry = user.index() + 1;
        let mut done = 0;
        for piece in pieces(user.pfn(), pages.into()) {
            let len = piece.len as u32;
            let block = match self.block_for(piece.block, len, mem) {
                Ok(block) => block,
                Err(lost) => {
                    // The pages marked so far, then those that never were.
                    self.clear(user.pfn(), done.into(), Some(entry), |_| {});
                    user.drop_pages(pages - done);
                    return Err(lost);
                }
            };
            self.filter_of(piece.block)
                .fetch_add(len, Ordering::Relaxed);
            let mut replaced = 0;
            for (i, slot) in block.entries[piece.first..][..piece.len].iter().enumerate() {
                let old = if done == 0 && i == 0 {
                    match self.claim_head(slot, entry, user) {
                        Some(old) => old,
                        None => {
                            self.leave(block, piece.block, len);
                            user.drop_pages(pages);
                            return Ok(false);
                        }
                    }
                } else {
                    slot.swap(entry, Ordering::AcqRel)
                };
                if old != 0 {
                    replaced += 1;
                    self.page_gone(old, |record| closed(record, Cause::Evicted));
                }
            }
            if replaced != 0 {
                self.leave(block, piece.block, replaced);
            }
            done += len;
        }
        Ok(true)
    }

    /// Sets the entry of a folio's head, which decides between two who mark the same folio.
    /// The old entry, or `None` if it belongs to a live record of this very folio.
    fn claim_head(&self, slot: &AtomicU32, entry: u32, user: &User<'_>) -> Option<u32> {
        let mut old = slot.load(Ordering::Acquire);
        loop {
            if let Some(other) = old.checked_sub(1).and_then(|index| self.records.get(index)) {
                if other.pfn() == user.pfn() && other.order() == user.order() {
                    return None;
                }
            }
            match slot.compare_exchange(old, entry, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(old),
                Err(now) => old = now,
            }
        }
    }

    /// `pages` pages of a block are no longer marked, or were not after all.
    fn leave(&self, block: &Block, number: u64, pages: u32) {
        let counted = self.filter_of(number).fetch_sub(pages, Ordering::Relaxed);
        let users = block.users.fetch_sub(pages, Ordering::Release);
        hold(
            counted >= pages && (pages..DEAD).contains(&users),
            Invariant::Filter,
        );
        if users == pages {
            let busy = self.busy_blocks.fetch_sub(1, Ordering::Relaxed);
            hold(busy != 0, Invariant::BusyBlocks);
        }
    }

    /// The entry `old` was taken out of a block: its record has a page less.
    fn page_gone(&self, old: u32, closed: impl FnOnce(&Record)) {
        // The page we took out kept the record live, so it is there.
        let user = self.records.get(old - 1);
        hold(user.is_some(), Invariant::Entry);
        if let Some(user) = user {
            if user.drop_pages(1) {
                closed(&user);
            }
        }
    }

    /// Clears the entries of `len` pages from `pfn` on, or those that are `only`.
    fn clear(&self, pfn: u64, len: u64, only: Option<u32>, mut closed: impl FnMut(&Record)) {
        for piece in pieces(pfn, len) {
            if self.filter_of(piece.block).load(Ordering::Relaxed) == 0 {
                continue;
            }
            let Some(block) = self.block(piece.block) else {
                continue;
            };
            let mut cleared = 0;
            for slot in &block.entries[piece.first..][..piece.len] {
                let there = slot.load(Ordering::Relaxed);
                if there == 0 || only.is_some_and(|only| there != only) {
                    continue;
                }
                let old = match only {
                    None => slot.swap(0, Ordering::AcqRel),
                    // Whoever changes it meanwhile takes the page from our record.
                    Some(_) => slot
                        .compare_exchange(there, 0, Ordering::AcqRel, Ordering::Relaxed)
                        .unwrap_or(0),
                };
                if old != 0 {
                    cleared += 1;
                    self.page_gone(old, &mut closed);
                }
            }
            if cleared != 0 {
                self.leave(block, piece.block, cleared);
            }
        }
    }

    /// Forgets the marks of `len` pages from `pfn` on; `closed` is told of every record whose last
    /// page this was. Context: any.
    pub fn forget(&self, pfn: u64, len: u64, closed: impl FnMut(&Record)) {
        self.clear(pfn, len, None, closed);
    }

    /// Forgets the marks of one record and of no other; `closed` is told if they were not gone
    /// already. Context: any.
    pub fn end(&self, user: &User<'_>, closed: impl FnMut(&Record)) {
        let pages = 1 << user.order();
        self.clear(user.pfn(), pages, Some(user.index() + 1), closed);
    }

    /// True if it is time to call [`PageExt::reap`]: more than half of the blocks allowed exist, and
    /// a good part of them is empty.
    pub fn is_crowded(&self) -> bool {
        let max = self.max_block_bytes.load(Ordering::Relaxed) / size_of::<Block>();
        let blocks = self.block_bytes.load(Ordering::Relaxed) / size_of::<Block>();
        let busy = self.busy_blocks.load(Ordering::Relaxed) as usize;
        blocks > max / 2 && blocks.saturating_sub(busy) > max / 16
    }

    /// Takes out up to `N` blocks in which nothing is marked any more. They may be freed with
    /// [`PageExt::free_block`] when everybody who was in this `PageExt` has left it.
    pub fn reap<const N: usize>(&self, dead: &mut [Option<NonNull<Block>>; N]) -> usize {
        let mut found = 0;
        let slots = self
            .tables
            .iter()
            .flat_map(|(_, t)| t.iter())
            .flat_map(|(_, t)| t.iter());
        for (_, table) in slots {
            for i in 0..TABLE_LEN {
                if found == N {
                    return found;
                }
                let slot = table.slot(i);
                let Some(block) = slot.get() else { continue };
                if block.retire() {
                    // If a marker was faster it took the block out, but to free it is ours.
                    slot.take_exactly(block);
                    dead[found] = Some(NonNull::from(block));
                    found += 1;
                }
            }
        }
        found
    }

    /// Frees a block that [`PageExt::reap`] took out.
    ///
    /// # Safety
    ///
    /// Everybody who was in this `PageExt` when the block was taken out must have left it.
    pub unsafe fn free_block(&self, block: NonNull<Block>, mem: &impl Memory) {
        // SAFETY: It came from `mem` in `block_for`; the caller promises that nobody reads it.
        unsafe { mem.free(block) };
        self.block_bytes
            .fetch_sub(size_of::<Block>(), Ordering::Relaxed);
    }

    /// Looks at every mark and every record, whether they fit together. Nobody else may be here, or
    /// what is just changing looks broken. Takes a while.
    pub fn audit(&self) {
        let (mut counted, mut busy) = (0u32, 0);
        for (number, block) in self.blocks() {
            let first = number * BLOCK_LEN;
            let mut users = 0;
            for (pfn, entry) in (first..).zip(&block.entries) {
                let Some(index) = entry.load(Ordering::Acquire).checked_sub(1) else {
                    continue;
                };
                users += 1;
                let record = self.records.get(index);
                hold(record.is_some_and(|r| r.covers(pfn)), Invariant::Entry);
            }
            let is_counted = self.filter_of(number).load(Ordering::Relaxed) >= users;
            let is_users = block.users.load(Ordering::Relaxed) == users;
            hold(is_counted && is_users, Invariant::Filter);
            counted = counted.wrapping_add(users);
            busy += u32::from(users != 0);
        }
        let filter = self.filter.iter().fold(0, |sum: u32, count| {
            sum.wrapping_add(count.load(Ordering::Relaxed))
        });
        hold(filter == counted, Invariant::Filter);
        let is_busy = self.busy_blocks.load(Ordering::Relaxed) == busy;
        hold(is_busy, Invariant::BusyBlocks);
        self.records.audit(|record, index| {
            let entries = pieces(record.pfn(), 1 << record.order())
                .filter_map(|piece| {
                    self.block(piece.block)?
                        .entries
                        .get(piece.first..)?
                        .get(..piece.len)
                })
                .flatten();
            entries
                .filter(|entry| entry.load(Ordering::Acquire) == index + 1)
                .count() as u32
        });
    }

    /// Every block, with its number.
    fn blocks(&self) -> impl Iterator<Item = (u64, &Block)> {
        self.tables.iter().flat_map(|(i, middle)| {
            middle.iter().flat_map(move |(j, low)| {
                low.iter().flat_map(move |(k, table)| {
                    table.iter().map(move |(l, block)| {
                        let number = [i, j, k, l]
                            .iter()
                            .fold(0, |n, &at| (n << TABLE_BITS) | at as u64);
                        (number, block)
                    })
                })
            })
        })
    }

    /// Forgets everything and gives all memory back; `closed` is told of every live record.
    ///
    /// # Safety
    ///
    /// Nobody else may use this `PageExt`, nor do so before this returns.
    pub unsafe fn drain(&self, mem: &impl Memory, closed: impl FnMut(&Record, Cause)) {
        // SAFETY: As the caller promises.
        unsafe { self.records.drain(mem, closed) };
        self.tables.drain(|top| {
            // SAFETY: Nobody else is here, so every level is ours to take apart.
            unsafe {
                top.as_ref().drain(|middle| {
                    middle.as_ref().drain(|low| {
                        low.as_ref().drain(|block| mem.free(block));
                        mem.free(low);
                    });
                    mem.free(middle);
                });
                mem.free(top);
            }
        });
        for count in &self.filter {
            count.store(0, Ordering::Relaxed);
        }
        self.table_bytes.store(0, Ordering::Relaxed);
        self.block_bytes.store(0, Ordering::Relaxed);
        self.busy_blocks.store(0, Ordering::Relaxed);
    }
}

impl Default for PageExt {
    fn default() -> Self {
        Self::new()
    }
}

/// What tests break.
#[cfg(all(test, not(loom)))]
impl PageExt {
    pub(super) fn filter_counter(&self, pfn: u64) -> &AtomicU32 {
        self.filter_of(pfn / BLOCK_LEN)
    }

    pub(super) fn entry_of(&self, pfn: u64) -> &AtomicU32 {
        let block = self.block(pfn / BLOCK_LEN).expect("something is marked");
        &block.entries[(pfn % BLOCK_LEN) as usize]
    }

    pub(super) fn users_of_block(&self, pfn: u64) -> &AtomicU32 {
        &self
            .block(pfn / BLOCK_LEN)
            .expect("something is marked")
            .users
    }

    pub(super) fn busy_counter(&self) -> &AtomicU32 {
        &self.busy_blocks
    }
}
