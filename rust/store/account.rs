// SPDX-License-Identifier: GPL-2.0

//! The references to one page: entries, and how many of each.

use super::depot::Handle;
use super::sync::sized;

/// References that FOLL_PIN takes of a small folio at once: GUP_PIN_COUNTING_BIAS.
pub const PIN: u32 = 1024;
/// Most entries of a page.
pub const MAX_ENTRIES: usize = sized(8, 2);

/// References to a page, taken at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How many.
    pub refs: u32,
    /// They were taken by FOLL_PIN, as far as can be seen.
    pub is_pin: bool,
    /// Who took them, -1 if no task did.
    pub pid: i32,
    /// The stack that did.
    pub stack: Handle,
    /// When: milliseconds.
    pub time: u32,
    /// Nobody was seen to take them.
    pub is_unseen: bool,
    /// By the allocation.
    pub is_alloc: bool,
    /// Somebody gave back a reference that may have been this one, or another's.
    pub one_of: bool,
    /// As [`Entry::one_of`], and this one is the likelier to be gone: it is not counted.
    pub is_gone: bool,
}

pub(super) const HANDLE_BITS: u32 = 27;
const PID_BITS: u32 = 22;
const REFS_BITS: u32 = 12;
const PID_SHIFT: u32 = HANDLE_BITS;
const REFS_SHIFT: u32 = PID_SHIFT + PID_BITS;
const KEY_PIN: u64 = 1 << 61;
const KEY_GONE: u64 = 1 << 62;
const KEY_ONE_OF: u64 = 1 << 63;
const MAX_REFS: u32 = (1 << REFS_BITS) - 1;
const NO_TASK: u64 = (1 << PID_BITS) - 1;
const UNSEEN: u64 = (1 << PID_BITS) - 2;

impl Entry {
    /// As many, just taken.
    pub(super) fn taken(refs: u32, stack: Handle, pid: i32, time: u32) -> Self {
        Entry {
            refs,
            is_pin: refs % PIN == 0,
            pid,
            stack,
            time,
            is_unseen: false,
            is_alloc: false,
            one_of: false,
            is_gone: false,
        }
    }

    /// Was it taken at the same place, by the same task, and is as much known of it?
    fn is_like(&self, other: &Self) -> bool {
        let rest = |e: &Self| (e.stack, e.pid, e.is_pin, e.is_unseen, e.is_gone, e.one_of);
        rest(self) == rest(other)
    }

    /// As a word; 0 is no entry.
    pub(super) fn pack(&self) -> u64 {
        let pid = match (self.is_unseen, self.pid) {
            (true, _) => UNSEEN,
            (_, -1) => NO_TASK,
            (_, pid) => pid as u64 & NO_TASK,
        };
        let units = if self.is_pin {
            self.refs / PIN
        } else {
            self.refs
        };
        u64::from(self.stack.0) & ((1 << HANDLE_BITS) - 1)
            | pid << PID_SHIFT
            | u64::from(units.min(MAX_REFS)) << REFS_SHIFT
            | if self.is_pin { KEY_PIN } else { 0 }
            | if self.is_gone { KEY_GONE } else { 0 }
            | if self.one_of { KEY_ONE_OF } else { 0 }
    }

    pub(super) fn unpack(key: u64, time: u32, owner: Handle) -> Option<Self> {
        let units = (key >> REFS_SHIFT) as u32 & MAX_REFS;
        let is_pin = key & KEY_PIN != 0;
        let pid = key >> PID_SHIFT & NO_TASK;
        (units != 0).then_some(Entry {
            refs: if is_pin { units * PIN } else { units },
            is_pin,
            pid: if pid < UNSEEN { pid as i32 } else { -1 },
            stack: Handle(key as u32 & ((1 << HANDLE_BITS) - 1)),
            time,
            is_unseen: pid == UNSEEN,
            is_alloc: owner != Handle::LOST && owner.0 == key as u32 & ((1 << HANDLE_BITS) - 1),
            is_gone: key & KEY_GONE != 0,
            one_of: key & KEY_ONE_OF != 0,
        })
    }
}

/// Entries of a page, latest last, and what is known of the page besides.
pub(super) struct Account {
    pub(super) entries: [Option<Entry>; MAX_ENTRIES],
    pub(super) len: usize,
    pub(super) room: usize,
    /// References that found no room.
    pub(super) overflowed: bool,
}

impl Account {
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (usize, &Entry)> {
        let entries = self.entries[..self.len].iter().enumerate();
        entries.filter_map(|(i, entry)| Some((i, entry.as_ref()?)))
    }

    pub(super) fn live(&self) -> impl DoubleEndedIterator<Item = (usize, &Entry)> {
        self.iter().filter(|(_, entry)| !entry.is_gone)
    }

    pub(super) fn total(&self) -> u32 {
        self.live().map(|(_, entry)| entry.refs).sum()
    }

    /// More than an entry can say: no sums can be made.
    pub(super) fn is_vague(&self) -> bool {
        self.iter().any(|(_, entry)| {
            entry.refs
                >= if entry.is_pin {
                    MAX_REFS * PIN
                } else {
                    MAX_REFS
                }
        })
    }

    pub(super) fn push(&mut self, entry: Entry) {
        if self.len == self.room && !self.make_room() {
            match self.first_like(&entry, self.len) {
                Some(at) => self.add(at, entry.refs),
                None => self.overflowed = true,
            }
            return;
        }
        self.entries[self.len] = Some(entry);
        self.len += 1;
    }

    /// Removes what is likely to be gone, or has one entry for two that are alike, and says whether
    /// there was such.
    fn make_room(&mut self) -> bool {
        match self.gone() {
            Some(at) => self.remove(at),
            None => return self.join_two(),
        }
        true
    }

    /// Makes one entry of two that are alike, as old as the older one; false if no two are.
    pub(super) fn join_two(&mut self) -> bool {
        for later in (1..self.len).rev() {
            let Some(entry) = self.entries[later] else {
                return false;
            };
            if let Some(at) = self.first_like(&entry, later) {
                self.add(at, entry.refs);
                self.remove(later);
                return true;
            }
        }
        false
    }

    /// Of the first `end` the first that is like it.
    fn first_like(&self, entry: &Entry, end: usize) -> Option<usize> {
        let is_like = |other: &Option<Entry>| other.is_some_and(|other| other.is_like(entry));
        self.entries[..end].iter().position(is_like)
    }

    fn add(&mut self, at: usize, refs: u32) {
        if let Some(entry) = &mut self.entries[at] {
            entry.refs += refs;
        }
    }

    /// Takes up to `refs` references from an entry; how many it had.
    pub(super) fn take(&mut self, at: usize, refs: u32) -> u32 {
        let Some(entry) = self.entries[at].as_mut() else {
            return 0;
        };
        let taken = refs.min(entry.refs);
        entry.refs -= taken;
        // A part of a pin: no multiple any more.
        entry.is_pin &= entry.refs % PIN == 0;
        if entry.refs == 0 {
            self.remove(at);
        }
        taken
    }

    pub(super) fn remove(&mut self, at: usize) {
        self.entries.copy_within(at + 1..self.len, at);
        self.len -= 1;
    }

    /// The first that is gone.
    pub(super) fn gone(&self) -> Option<usize> {
        let gone = self.iter().find(|(_, entry)| entry.is_gone);
        gone.map(|(i, _)| i)
    }

    /// Without anybody who may be gone in their place, those that are gone are.
    pub(super) fn forget_gone(&mut self) {
        if self.live().any(|(_, entry)| entry.one_of) {
            return;
        }
        while let Some(at) = self.gone() {
            self.remove(at);
        }
    }

    pub(super) fn position(&self, is_it: impl Fn(&Entry) -> bool) -> Option<usize> {
        self.live().find(|(_, entry)| is_it(entry)).map(|(i, _)| i)
    }

    pub(super) fn unseen(&mut self, refs: u32, now: u32) {
        if refs == 0 {
            return;
        }
        match self.position(|entry| entry.is_unseen && !entry.is_pin) {
            Some(at) => self.add(at, refs),
            None => self.push(Entry {
                is_unseen: true,
                is_pin: false,
                ..Entry::taken(refs, Handle::LOST, -1, now)
            }),
        }
    }

    /// Two who changed the page at once saw each other's references, before either had entered
    /// them: so many were nobody's.
    pub(super) fn drop_unseen(&mut self, refs: u32) {
        if let Some(at) = self.position(|entry| entry.is_unseen).filter(|_| refs > 0) {
            self.take(at, refs);
        }
    }

    /// So many references are the kernel's own now. `rank` knows of an entry how likely its like
    /// are to be: of the most likely the latest; the allocation's first if the page is mapped.
    /// Tells which.
    pub(super) fn accounted_for(
        &mut self,
        mut refs: u32,
        is_mapped: bool,
        rank: impl Fn(&Entry) -> u32,
        mut tell: impl FnMut(&Entry),
    ) {
        while refs > 0 {
            let at = self
                .position(|entry| is_mapped && entry.is_alloc)
                .or_else(|| self.live().max_by_key(|(_, e)| rank(e)).map(|(i, _)| i));
            let Some(at) = at else {
                return;
            };
            if let Some(entry) = &self.entries[at] {
                tell(entry);
            }
            refs -= self.take(at, refs);
        }
    }
}
