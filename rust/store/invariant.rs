// SPDX-License-Identifier: GPL-2.0

//! What must be true of our own tables, whatever the kernel does.
//!
//! ```ignore
//! let had = self.pages.fetch_sub(pages, Ordering::AcqRel);
//! hold(had >= pages, Invariant::RecordPages);
//! ```
//!
//! [`hold`] looks always, at what costs a comparison. `audit` of [`super::PageExt`] and of
//! [`super::Depot`] look at everything there is, when nobody else is there. The first breach is
//! remembered, and the hooks switch off when [`broken`] tells of it. In tests and models a breach
//! panics.

#[cfg(not(any(test, loom)))]
use super::sync::{AtomicU32, Ordering};

/// What did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// A record has as many pages as entries point to it.
    RecordPages,
    /// A record is left by as many as came.
    RecordUsers,
    /// A record in the free list is in nobody's use, and each that is in nobody's is there once.
    FreeList,
    /// As many records are live as is counted.
    Live,
    /// The entry of a marked page leads to a live record of a folio with that page.
    Entry,
    /// The filter counts every marked page, and a block those in it.
    Filter,
    /// As many blocks have marked pages as is counted.
    BusyBlocks,
    /// A handle leads to a stack.
    Handle,
    /// A stack lies in the bucket of its hash, once.
    Bucket,
    /// A stack that is known without unwinding is the one that unwinding finds.
    Memo,
}

impl Invariant {
    /// All of them, with the names they have in `stats`.
    const ALL: [(Invariant, &'static str); 10] = [
        (Invariant::RecordPages, "record_pages"),
        (Invariant::RecordUsers, "record_users"),
        (Invariant::FreeList, "free_list"),
        (Invariant::Live, "live"),
        (Invariant::Entry, "entry"),
        (Invariant::Filter, "filter"),
        (Invariant::BusyBlocks, "busy_blocks"),
        (Invariant::Handle, "handle"),
        (Invariant::Bucket, "bucket"),
        (Invariant::Memo, "memo"),
    ];

    /// Its name in `stats` and in the log.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// The first breach, as index into [`Invariant::ALL`] + 1.
#[cfg(not(any(test, loom)))]
static FIRST: AtomicU32 = AtomicU32::new(0);

/// Remembers a breach of `invariant` unless it holds. Context: any.
#[inline(always)]
pub fn hold(holds: bool, invariant: Invariant) {
    if !holds {
        breach(invariant);
    }
}

#[cold]
#[inline(never)]
fn breach(invariant: Invariant) {
    #[cfg(any(test, loom))]
    panic!("broken: {}", invariant.name());
    #[cfg(not(any(test, loom)))]
    {
        let number = invariant as u32 + 1;
        // The first is the one to look for; what follows may follow from it.
        let _ = FIRST.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// The first invariant that did not hold, if there is one. Context: any; one load.
#[cfg(not(any(test, loom)))]
#[inline]
pub fn broken() -> Option<Invariant> {
    let index = FIRST.load(Ordering::Relaxed).checked_sub(1)?;
    Some(Invariant::ALL[index as usize].0)
}
