// SPDX-License-Identifier: GPL-2.0

//! mm_page_free: the story of a marked folio ends when its memory does.

use super::{end_of, kick_if_needed, LEDGER, MARKS};
use crate::store::invariant::broken;
use crate::store::page_ext::BLOCK_LEN;
use crate::store::reason::Cause;
use crate::sys::folio::Page;
use crate::sys::tracepoint::Probe;
use kernel::bindings::page;
use kernel::error::Result;
use kernel::ffi::{c_uint, c_void};

/// Attaches. May sleep.
pub(super) fn attach() -> Result<Probe> {
    // SAFETY: TP_PROTO(struct page *page, unsigned int order).
    unsafe { Probe::attach(c"mm_page_free", mm_page_free as *mut c_void) }
}

/// Called for all pages that are freed, by whoever frees them. Context: any but NMI.
///
/// # Safety
///
/// For the tracepoint alone: `page` is the kernel's.
unsafe extern "C" fn mm_page_free(_data: *mut c_void, page: *mut page, order: c_uint) {
    if MARKS.is_empty() {
        return;
    }
    // SAFETY: The kernel's page.
    let page = unsafe { Page::from_raw(page) };
    // Within one block the filter knows; a larger folio is looked up piece by piece.
    if 1 << order <= BLOCK_LEN && !MARKS.maybe_marked(page.block_number()) {
        return;
    }
    forget(page, order);
}

/// Attaches what watched pages need. May sleep.
pub(super) fn watch() -> Result<Probe> {
    // SAFETY: TP_PROTO(struct page *page, unsigned int order).
    unsafe { Probe::attach(c"mm_page_free", watched_page_free as *mut c_void) }
}

/// Called for all pages that are freed while some are watched. Who froze their references, as to
/// reclaim them, puts none. Context: any but NMI.
///
/// # Safety
///
/// For the tracepoint alone: `page` is the kernel's.
unsafe extern "C" fn watched_page_free(_data: *mut c_void, page: *mut page, order: c_uint) {
    // SAFETY: The kernel's page.
    let page = unsafe { Page::from_raw(page) };
    let first = page.block_number();
    let blocks = (1 << order) / BLOCK_LEN as usize;
    if (first..=first + blocks).any(|number| LEDGER.covers(number)) && broken().is_none() {
        LEDGER.freed_all(page.pfn(), 1 << order);
    }
}

#[cold]
#[inline(never)]
fn forget(page: Page, order: c_uint) {
    if broken().is_some() {
        return;
    }
    MARKS.forget(page.pfn(), 1 << order, |record| {
        end_of(record, Cause::Freed)
    });
    kick_if_needed();
}
