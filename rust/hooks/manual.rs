// SPDX-License-Identifier: GPL-2.0

//! Marking and forgetting by hand, for a page of which one knows already that somebody has it.

use super::{end_of, kick_if_needed, marking, record, Attempt, MARKS};
use crate::store::reason::{Cause, Reason, Stage};
use crate::store::record::User;
use crate::sys::folio::{self, State};
use crate::sys::{self, params};
use kernel::error::{
    code::{EAGAIN, EBUSY, EINTR, EINVAL, ENOSPC, ERANGE},
    Result,
};

/// Marks every folio in use that has one of `count` pages from `pfn` on. One that is marked
/// already stays as it is. May sleep.
///
/// # Errors
///
/// EBUSY if no event is enabled, EIO after a bug of our own, ERANGE if not all pages are in memory, EINVAL if none is in use,
/// ENOSPC if there was no room, EINTR if a signal came in between.
pub(crate) fn mark(pfn: u64, count: u64) -> Result {
    let reason = params::reason("manual").ok_or(EINVAL)?;
    let (mut found, mut marked) = (false, false);
    for_each(pfn, count, |pfn| {
        let Some(folio) = State::of(pfn).filter(State::is_used) else {
            return Ok(pfn + 1);
        };
        // Forward, whatever it looked like.
        let next = (folio.pfn + (1 << folio.order)).max(pfn + 1);
        found = true;
        marked |= mark_one(folio, reason)?;
        Ok(next)
    })?;
    match (found, marked) {
        (_, true) => Ok(()),
        (true, false) => Err(ENOSPC),
        (false, false) => Err(EINVAL),
    }
}

/// Forgets every folio that is marked and has one of `count` pages from `pfn` on. May sleep.
///
/// # Errors
///
/// As [`mark`], EINVAL if none is marked.
pub(crate) fn forget(pfn: u64, count: u64) -> Result {
    let mut forgotten = 0;
    for_each(pfn, count, |pfn| {
        let Some(marked) = MARKS.lookup(pfn) else {
            return Ok(pfn + 1);
        };
        forgotten += 1;
        end(&marked);
        Ok(pfn + 1)
    })?;
    if forgotten == 0 {
        return Err(EINVAL);
    }
    Ok(())
}

/// Forgets all folios, of which there are none if no event is enabled. May sleep.
///
/// # Errors
///
/// EIO after a bug of our own.
pub(crate) fn clear() -> Result {
    let cleared = marking(|| {
        let mut index = 0;
        while let Some(marked) = MARKS.records().next(index) {
            index = marked.index() + 1;
            end(&marked);
        }
        Ok(())
    });
    cleared.or_else(|e| if e == EBUSY { Ok(()) } else { Err(e) })
}

fn end(marked: &User<'_>) {
    MARKS.end(marked, |record| end_of(record, Cause::Forgotten));
    kick_if_needed();
}

/// Runs `step`, which says where to go on, from `pfn` on over `count` pages.
fn for_each(pfn: u64, count: u64, mut step: impl FnMut(u64) -> Result<u64>) -> Result {
    let end = pfn.checked_add(count).ok_or(ERANGE)?;
    if end > folio::end_pfn() {
        return Err(ERANGE);
    }
    let mut at = pfn;
    while at < end {
        // Not all under one lock, which would keep readers and events waiting.
        marking(|| {
            for _ in 0..1024 {
                if at < end {
                    at = step(at)?;
                }
            }
            Ok(())
        })?;
        if sys::pause() {
            return Err(EINTR);
        }
    }
    Ok(())
}

/// Marks a folio, if it is not yet. True if it is marked now.
fn mark_one(folio: State, reason: Reason) -> Result<bool> {
    let mut context = record().ok_or(EAGAIN)?;
    let pfn = folio.pfn;
    let is_marked = || MARKS.lookup(pfn).is_some();
    if !is_marked() {
        Attempt::here(&mut context, reason, Stage::Manual, 0, &[]).mark_unheld(folio);
    }
    Ok(is_marked())
}
