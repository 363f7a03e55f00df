// SPDX-License-Identifier: GPL-2.0

//! Watching pages: every reference to them that is taken or given back goes to the ledger.
//!
//! That needs hooks of its own, which are attached as long as pages are watched, whether an event
//! is enabled or not. The module can be unloaded meanwhile, and forgets it all.

use super::{page_free, page_ref, Attached, ATTACHED, DEPOT, LEDGER};
use crate::store::invariant::broken;
use crate::store::ledger::{Chunk, Refused, CHUNK_LEN};
use crate::store::page_ext::BLOCK_LEN;
use crate::store::ranges::{Ranges, MAX_RANGES};
use crate::sys::{self, array::Array, folio, memory::Sleeping, params};
use core::ops::Range;
use core::ptr::NonNull;
use kernel::error::{
    code::{EINTR, EINVAL, EIO, ENOMEM, ENOSPC, ERANGE},
    Result,
};
use kernel::prelude::*;

/// What is watched, and the hooks that do.
pub(super) struct Watch {
    pub(super) ranges: Ranges,
    probes: Option<Probes>,
}

struct Probes {
    _frees: sys::tracepoint::Probe,
    _changes: page_ref::Changes,
}

/// Pages between two looks whether somebody else wants the processor.
const STEP: u64 = 1 << 15;

/// Says in the log what the kernel refused, and hands the error on.
fn refused(what: &str) -> impl FnOnce(Error) -> Error + '_ {
    move |e| {
        pr_err!("watch: cannot {what}, error {}\n", e.to_errno());
        e
    }
}

impl Watch {
    /// Nothing.
    pub(super) const fn new() -> Self {
        Watch {
            ranges: Ranges::new(),
            probes: None,
        }
    }

    /// Adds these pages to the ranges, or takes them out.
    fn set(&mut self, range: &Range<u64>, is_in: bool) -> Result {
        self.ranges.set(range.clone(), is_in).map_err(|_| {
            pr_err!("watch: accepted are at most {MAX_RANGES} ranges\n");
            ENOSPC
        })
    }

    /// Are the hooks attached?
    pub(super) fn is_on(&self) -> bool {
        self.probes.is_some()
    }

    /// Attaches the hooks. May sleep.
    fn attach(&mut self) -> Result {
        LEDGER.configure(params::entries(), params::watch_bytes());
        DEPOT.set_cap(params::depot_bytes());
        DEPOT.refill(&Sleeping);
        self.probes = Some(Probes {
            _frees: page_free::watch().map_err(refused("attach to mm_page_free"))?,
            _changes: page_ref::watch().map_err(refused("attach to page_ref_*"))?,
        });
        Ok(())
    }

    /// Detaches them, and leaves what is known to be read. May sleep.
    pub(super) fn detach(&mut self) {
        LEDGER.set_cover(0..0);
        page_ref::unwatch();
        self.probes = None;
    }

    /// Has the hooks look at the watched pages, in blocks.
    fn cover(&self) {
        let hull = self.ranges.hull();
        let bias = folio::block_bias();
        let number = |pfn: u64| (pfn / BLOCK_LEN) as usize + bias;
        LEDGER.set_cover(match hull.is_empty() {
            true => 0..0,
            false => number(hull.start)..number(hull.end - 1) + 1,
        });
    }
}

impl Attached {
    /// Watches nothing any more. May sleep.
    pub(super) fn unwatch(&mut self) {
        if !self.watch.is_on() && self.watch.ranges.is_empty() {
            return;
        }
        if self.watch.is_on() {
            // Puts of marked folios are to be seen all the time.
            self.take_over_puts();
            self.watch.detach();
        }
        sys::tracepoint::synchronize();
        // Who has marked a folio since, in a hook that is over, did not ask for its puts.
        self.arm_and_look_again();
        // SAFETY: The hooks are detached and nobody is in them; readers take ATTACHED, which is
        // held.
        unsafe { LEDGER.drain(&Sleeping) };
        self.watch.ranges = Ranges::new();
    }

    /// Has the pages of a range watched, as far as it goes. May sleep.
    fn add(&mut self, range: &Range<u64>) -> Result {
        if !self.watch.is_on() {
            self.watch.attach()?;
            // From here on puts are recorded by these.
            self.arm();
        }
        LEDGER
            .reserve(range.start, range.end - range.start, &Sleeping)
            .map_err(|refused| match refused {
                Refused::Full { pages } => {
                    pr_err!(
                        "watch: {} pages are too many for watch_kib={}, the first {pages} fit\n",
                        range.end - range.start,
                        params::watch_bytes() / 1024
                    );
                    ENOSPC
                }
                Refused::NoMemory => {
                    pr_err!("watch: no memory for {} pages\n", range.end - range.start);
                    ENOMEM
                }
                Refused::Range => ERANGE,
            })?;
        for step in steps(range) {
            LEDGER.watch(step.start, step.end - step.start);
            if sys::pause() {
                return Err(EINTR);
            }
        }
        Ok(())
    }

    /// The reverse, of those of its pages that are in no range. May sleep.
    fn forget_new(&mut self, range: &Range<u64>) {
        if self.watch.ranges.is_empty() {
            return self.unwatch();
        }
        for step in steps(range) {
            for pfn in step {
                if !self.watch.ranges.overlaps(&(pfn..pfn + 1)) {
                    LEDGER.unwatch(pfn, 1);
                }
            }
            sys::pause();
        }
        self.reap(range);
    }

    /// Gives back the memory of pages that are not watched any more. May sleep.
    fn reap(&mut self, range: &Range<u64>) {
        let chunks = (range.end - range.start) as usize / CHUNK_LEN + 2;
        // Without memory to remember them, they stay until nothing is watched.
        let Ok(mut dead) = Array::<NonNull<Chunk>>::new(chunks) else {
            return;
        };
        LEDGER.reap(range.start, range.end - range.start, |chunk| {
            dead.push(chunk)
        });
        sys::tracepoint::synchronize();
        for &chunk in dead.iter() {
            // SAFETY: Taken out by `reap`; the hooks that saw it are over, and readers take
            // ATTACHED, which is held.
            unsafe { LEDGER.free(chunk, &Sleeping) };
        }
    }
}

/// The range, if there is memory there.
fn range(pfn: u64, count: u64) -> Result<Range<u64>> {
    let end = pfn.checked_add(count).ok_or(ERANGE)?;
    if end > folio::end_pfn() {
        return Err(ERANGE);
    }
    Ok(pfn..end)
}

/// Watches `count` pages from `pfn` on, besides what is watched already. May sleep.
///
/// # Errors
///
/// ERANGE if not all are in memory, ENOSPC if there would be too many, ENOMEM, EINTR if a signal
/// came in between, EIO after a bug of our own, what attaching a hook says. Then as much is watched
/// as before.
pub(crate) fn watch(pfn: u64, count: u64) -> Result {
    let range = range(pfn, count)?;
    let mut attached = ATTACHED.lock();
    if broken().is_some() {
        return Err(EIO);
    }
    let before = attached.watch.ranges.clone();
    attached.watch.set(&range, true)?;
    let done = attached.add(&range);
    if done.is_err() {
        attached.watch.ranges = before;
        attached.forget_new(&range);
    } else {
        attached.watch.cover();
    }
    done
}

/// A range in pieces of [`STEP`].
fn steps(range: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let end = range.end;
    (range.start..end)
        .step_by(STEP as usize)
        .map(move |at| at..end.min(at + STEP))
}

/// Does not watch `count` pages from `pfn` on any more. May sleep.
///
/// # Errors
///
/// ERANGE if not all are in memory, EINVAL if none of them is watched, ENOSPC if what is left were
/// too many ranges.
pub(crate) fn unwatch(pfn: u64, count: u64) -> Result {
    let range = range(pfn, count)?;
    let mut attached = ATTACHED.lock();
    if !attached.watch.ranges.overlaps(&range) {
        return Err(EINVAL);
    }
    attached.watch.set(&range, false)?;
    if attached.watch.ranges.is_empty() {
        attached.unwatch();
        return Ok(());
    }
    attached.watch.cover();
    for step in steps(&range) {
        LEDGER.unwatch(step.start, step.end - step.start);
        sys::pause();
    }
    attached.reap(&range);
    Ok(())
}

/// Watches nothing any more. May sleep.
pub(crate) fn clear() {
    ATTACHED.lock().unwatch();
}

/// The range that has `at`, or is the next one. May sleep.
pub(crate) fn next(at: u64) -> Option<Range<u64>> {
    let attached = ATTACHED.lock();
    let next = attached.watch.ranges.iter().find(|range| range.end > at);
    next
}
