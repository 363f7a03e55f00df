// SPDX-License-Identifier: GPL-2.0

//! Everything that was counted, above all what was lost.

use crate::store::reason::Cause;
use crate::store::record::Lost;
use core::sync::atomic::{AtomicU64, Ordering};

/// A number of events since load.
pub(crate) struct Counter(AtomicU64);

impl Counter {
    const fn new() -> Self {
        Counter(AtomicU64::new(0))
    }

    /// Counts one. Context: any.
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn add(&self, n: u32) {
        self.0.fetch_add(n.into(), Ordering::Relaxed);
    }

    /// How many there were.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Folios marked.
pub(crate) static MARKED: Counter = Counter::new();
/// Failures of folios that were marked already.
pub(crate) static REPEATED: Counter = Counter::new();
/// Reports of failures, one to a folio and burst.
pub(crate) static REPORTS: Counter = Counter::new();
/// Puts of marked folios.
pub(crate) static PUTS: Counter = Counter::new();
/// Of these the ones whose stack was known to be that of the put before.
pub(crate) static KNOWN: Counter = Counter::new();

static ENDED: [Counter; Cause::ALL.len()] = [const { Counter::new() }; Cause::ALL.len()];

/// Stories that ended so.
pub(crate) fn ended(cause: Cause) -> &'static Counter {
    &ENDED[cause as usize]
}

/// What could not be recorded.
#[derive(Clone, Copy)]
pub(crate) enum Loss {
    /// A folio was not marked: as many marks as allowed, and all in use at that moment.
    MarksFull,
    /// A folio was not marked: as many blocks of marks as allowed.
    MarksBlocks,
    /// A folio was not marked: no memory without waiting.
    MarksNoMemory,
    /// A folio was not marked: its pfn is beyond what the tables hold.
    MarksRange,
    /// A folio was not marked: as many in one call as may be without a pause.
    MarksAtOnce,
    /// The kernel ran out of memory, and it was not seen how many folios it had tried.
    Tried,
    /// A report was not made, as there were as many in that second as allowed. The mark was.
    Report,
    /// A hook was called while the same CPU recorded something in the same context.
    Nested,
    /// The stack of a put found no room in the depot.
    PutStack,
    /// With `arming=on_demand` a reference was put before puts were watched.
    Unarmed,
}

static LOSSES: [Counter; Loss::ALL.len()] = [const { Counter::new() }; Loss::ALL.len()];

impl Loss {
    /// All kinds, with the names they have in `stats`.
    pub(crate) const ALL: [(Loss, &'static str); 10] = [
        (Loss::MarksFull, "lost_marks_full"),
        (Loss::MarksBlocks, "lost_marks_blocks"),
        (Loss::MarksNoMemory, "lost_marks_nomem"),
        (Loss::MarksRange, "lost_marks_range"),
        (Loss::MarksAtOnce, "lost_marks_at_once"),
        (Loss::Tried, "lost_tried"),
        (Loss::Report, "lost_reports"),
        (Loss::Nested, "lost_nested"),
        (Loss::PutStack, "lost_put_stacks"),
        (Loss::Unarmed, "lost_unarmed_puts"),
    ];

    /// What it means for a mark.
    pub(crate) fn of(lost: Lost) -> Self {
        match lost {
            Lost::Full => Loss::MarksFull,
            Lost::Blocks => Loss::MarksBlocks,
            Lost::NoMemory => Loss::MarksNoMemory,
            Lost::Range => Loss::MarksRange,
        }
    }

    fn counter(self) -> &'static Counter {
        &LOSSES[self as usize]
    }

    /// Counts one. Context: any.
    pub(crate) fn count(self) {
        self.counter().count();
    }

    /// Counts `n`. Context: any.
    pub(crate) fn add(self, n: u32) {
        self.counter().add(n);
    }

    /// How many there were.
    pub(crate) fn get(self) -> u64 {
        self.counter().get()
    }
}
