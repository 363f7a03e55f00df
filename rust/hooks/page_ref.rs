// SPDX-License-Identifier: GPL-2.0

//! page_ref_mod, page_ref_mod_and_test, page_ref_mod_and_return: every put there is.
//!
//! put_page() is inline; only these tracepoints see it. They fire after the reference is gone, so
//! the page may be somebody else's by now, unless it was the last one.
//!
//! For a page that is not marked this costs two loads and no store.

use super::stats::{self, Loss};
use super::{again, end_of, kick_if_needed, putback, record, DEPOT, MARKS};
use crate::events;
use crate::store::depot::{Handle, Put};
use crate::store::invariant::{broken, hold, Invariant};
use crate::store::reason::Cause;
use crate::sys::context::{self, Context, Stack, Text};
use crate::sys::folio::Page;
use crate::sys::{self, params, tracepoint::Probe};
use core::ffi::CStr;
use kernel::bindings::page;
use kernel::error::Result;
use kernel::ffi::{c_int, c_void};

/// The tracepoints of a kernel with CONFIG_DEBUG_PAGE_REF.
const TRACEPOINTS: [&CStr; 3] = [
    c"page_ref_mod",
    c"page_ref_mod_and_test",
    c"page_ref_mod_and_return",
];

/// Probes on all three.
pub(super) struct Probes {
    _all: [Probe; 3],
}

/// The functions between a put and us, which no reader wants to see.
static FRAMES: [Text; 6] = [const { Text::new() }; 6];

/// Learns where these functions are. May sleep.
pub(super) fn find_frames() {
    let functions = sys::tracepoint::page_ref_functions();
    let iterators = TRACEPOINTS.map(|name| sys::tracepoint::iterator(name).unwrap_or(0));
    for (text, start) in FRAMES.iter().zip(functions.into_iter().chain(iterators)) {
        text.find(start);
    }
}

/// Attaches to all three or none. May sleep.
pub(super) fn attach() -> Result<Probes> {
    let probe = |name, probe: *mut c_void| {
        // SAFETY: TP_PROTO(struct page *page, int v), and for the other two also `int ret`.
        unsafe { Probe::attach(name, probe) }
    };
    Ok(Probes {
        _all: [
            probe(TRACEPOINTS[0], page_ref_mod as *mut c_void)?,
            probe(TRACEPOINTS[1], page_ref_mod_and_test as *mut c_void)?,
            probe(TRACEPOINTS[2], page_ref_mod_and_return as *mut c_void)?,
        ],
    })
}

/// What every put of every page runs.
///
/// # Safety
///
/// `page` must be the kernel's.
#[inline(always)]
unsafe fn probe(page: *mut page, v: c_int, last: bool) {
    // SAFETY: As the caller promises.
    let page = unsafe { Page::from_raw(page) };
    // In this order: with nothing marked one load decides, else one more for nearly every page.
    if MARKS.is_empty() || !MARKS.maybe_marked(page.block_number()) {
        return;
    }
    put(page, v, last);
}

/// # Safety
///
/// For the tracepoint alone. Context: any, NMI included.
unsafe extern "C" fn page_ref_mod(_data: *mut c_void, page: *mut page, v: c_int) {
    // SAFETY: The page is the kernel's.
    unsafe { probe(page, v, false) }
}

/// # Safety
///
/// For the tracepoint alone. Context: any, NMI included.
unsafe extern "C" fn page_ref_mod_and_test(
    _data: *mut c_void,
    page: *mut page,
    v: c_int,
    is_zero: c_int,
) {
    // SAFETY: The page is the kernel's.
    unsafe { probe(page, v, is_zero != 0) }
}

/// # Safety
///
/// For the tracepoint alone. Context: any, NMI included.
unsafe extern "C" fn page_ref_mod_and_return(
    _data: *mut c_void,
    page: *mut page,
    v: c_int,
    count: c_int,
) {
    // SAFETY: The page is the kernel's.
    unsafe { probe(page, v, count == 0) }
}

/// The stack that led here, which is not unwound if it is the last one. Context: any.
#[inline(always)]
fn stack_here(context: &mut Context) -> Handle {
    match context.put_stack(&FRAMES) {
        Stack::Known(handle) => {
            if cfg!(debug_assertions) {
                let is_same = DEPOT.get(Handle(handle)).is_some_and(|stack| {
                    let unwound = context.caller_stack(&FRAMES);
                    stack.frames().eq(unwound.iter().copied())
                });
                hold(is_same, Invariant::Memo);
            }
            stats::KNOWN.count();
            again(handle).unwrap_or(Handle::LOST)
        }
        Stack::New(frames) => {
            let handle = DEPOT.save(frames);
            context.remember(handle.0);
            handle
        }
    }
}

/// A page that may be marked lost references, or gained some. Context: any, NMI included.
#[cold]
#[inline(never)]
fn put(page: Page, v: c_int, last: bool) {
    if v >= 0 || broken().is_some() {
        return;
    }
    let Some(marked) = MARKS.lookup(page.pfn()) else {
        return;
    };
    let folio = page.read();
    let (order, unpinned) = (folio.order, folio.is_unpinned());
    if let Some(mut context) = record() {
        let refs = v.unsigned_abs();
        let age = sys::now().saturating_sub(marked.first());
        let task = context::task();
        let stack = putback::stack_of_put().unwrap_or_else(|| stack_here(&mut context));
        let is_first = marked.put(refs, stack.0, &task);
        stats::PUTS.count();
        match DEPOT.get(stack) {
            Some(stack) => stack.put(&Put {
                is_first,
                reason: marked.reason(),
                age,
                task,
            }),
            None => Loss::PutStack.count(),
        }
        let put = events::Put {
            folio,
            refs,
            last,
            stack: stack.0,
            age,
        };
        events::put(put, marked.reason(), marked.stage());
    }
    drop(marked);
    // Read twice: a fork or a fault that came between the parts of one look raises them all.
    let is_over = || unpinned && params::until_unpinned() && page.read().is_unpinned();
    let cause = if last {
        // Some folios, hugetlb's, go back to their pool without mm_page_free.
        Cause::Freed
    } else if is_over() {
        Cause::Unpinned
    } else {
        return kick_if_needed();
    };
    // Only the pages of this folio: what was marked may have been split since.
    MARKS.forget(page.pfn(), 1 << order, |record| end_of(record, cause));
    kick_if_needed();
}
