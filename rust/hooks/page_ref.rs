// SPDX-License-Identifier: GPL-2.0

//! The page_ref_* tracepoints: every put there is, and of watched pages every get.
//!
//! put_page() is inline; only these tracepoints see it. They fire after the reference is gone, so
//! the page may be somebody else's by now, unless it was the last one.
//!
//! For a page that is neither marked nor watched this costs two loads and no store, two more while
//! pages are watched.
//!
//! While none is watched, the probes of puts are those of [`Marks`]. Watching attaches those of
//! [`Watched`] to all of them, which do the work of both from then on: who takes over says so in
//! [`Mode::is_on_duty`] when both are attached, and nobody is in a tracepoint any more who calls
//! only the others, so that no put is lost. One that is just made then may be recorded twice.

use super::stats::{self, Loss};
use super::{again, end_of, kick_if_needed, putback, record, DEPOT, LEDGER, MARKS};
use crate::events;
use crate::store::depot::{Handle, Put};
use crate::store::invariant::{broken, hold, Invariant};
use crate::store::ledger::Change;
use crate::store::reason::Cause;
use crate::store::record::User;
use crate::sys::context::{self, Context, Stack, Text};
use crate::sys::folio::{Page, State};
use crate::sys::{self, params, tracepoint::Probe};
use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, Ordering};
use kernel::bindings::page;
use kernel::error::Result;
use kernel::ffi::{c_int, c_void};

/// The tracepoints of a kernel with CONFIG_DEBUG_PAGE_REF; the first three tell of puts.
const TRACEPOINTS: [&CStr; 6] = [
    c"page_ref_mod",
    c"page_ref_mod_and_test",
    c"page_ref_mod_and_return",
    c"page_ref_mod_unless",
    c"page_ref_set",
    c"page_ref_unfreeze",
];

/// Probes on the three tracepoints of puts.
pub(super) struct Puts {
    _all: [Probe; 3],
}

/// Probes on all of them.
pub(super) struct Changes {
    _puts: Puts,
    _rest: [Probe; 3],
}

/// Puts of marked folios are left to the probes of [`Watched`].
static IS_WATCHED: AtomicBool = AtomicBool::new(false);

/// What probes look at.
trait Mode {
    /// Watched pages, too.
    const WATCHES: bool;

    /// Are puts of marked folios ours to record?
    fn is_on_duty() -> bool {
        IS_WATCHED.load(Ordering::Relaxed) == Self::WATCHES
    }
}

/// Marked folios alone.
struct Marks;

/// Watched pages and marked folios.
struct Watched;

impl Mode for Marks {
    const WATCHES: bool = false;
}

impl Mode for Watched {
    const WATCHES: bool = true;
}

/// The functions between a change and us, which no reader wants to see.
static FRAMES: [Text; 12] = [const { Text::new() }; 12];

/// Learns where these functions are. May sleep.
pub(super) fn find_frames() {
    let functions = sys::tracepoint::page_ref_functions();
    let iterators = TRACEPOINTS.map(|name| sys::tracepoint::iterator(name).unwrap_or(0));
    for (text, start) in FRAMES.iter().zip(functions.into_iter().chain(iterators)) {
        text.find(start);
    }
}

fn attach_puts<M: Mode>() -> Result<Puts> {
    let probe = |name, probe: *mut c_void| {
        // SAFETY: TP_PROTO(struct page *page, int v), and for the other two also `int ret`.
        unsafe { Probe::attach(name, probe) }
    };
    Ok(Puts {
        _all: [
            probe(TRACEPOINTS[0], page_ref_mod::<M> as *mut c_void)?,
            probe(TRACEPOINTS[1], page_ref_mod_and_test::<M> as *mut c_void)?,
            probe(TRACEPOINTS[2], page_ref_mod_and_return::<M> as *mut c_void)?,
        ],
    })
}

/// Attaches what puts of marked folios need: all of it or nothing. May sleep.
pub(super) fn attach() -> Result<Puts> {
    attach_puts::<Marks>()
}

/// Attaches what watched pages need: all of it or nothing. May sleep.
pub(super) fn watch() -> Result<Changes> {
    let probe = |name, probe: *mut c_void| {
        // SAFETY: TP_PROTO(struct page *page, int v), for page_ref_mod_unless also `int u`.
        unsafe { Probe::attach(name, probe) }
    };
    let changes = Changes {
        _puts: attach_puts::<Watched>()?,
        _rest: [
            probe(TRACEPOINTS[3], page_ref_mod_unless as *mut c_void)?,
            probe(TRACEPOINTS[4], page_ref_set as *mut c_void)?,
            probe(TRACEPOINTS[5], page_ref_unfreeze as *mut c_void)?,
        ],
    };
    sys::tracepoint::synchronize();
    IS_WATCHED.store(true, Ordering::Relaxed);
    Ok(changes)
}

/// Leaves the puts of marked folios to the probes of [`attach`] again, which are attached if they
/// are wanted. May sleep.
pub(super) fn unwatch() {
    sys::tracepoint::synchronize();
    IS_WATCHED.store(false, Ordering::Relaxed);
}

/// Are puts of marked folios left to the probes of watched pages? Context: any.
pub(super) fn is_watched() -> bool {
    IS_WATCHED.load(Ordering::Relaxed)
}

/// What a tracepoint tells of a page's references after a change, as it does: nobody looks at it on
/// the way of an unmarked page.
#[derive(Clone, Copy)]
enum After {
    /// Nothing.
    Unknown,
    /// Whether there is none.
    IsZero(c_int),
    /// How many there are.
    Count(c_int),
}

impl After {
    fn is_last(self) -> bool {
        match self {
            After::Unknown => false,
            After::IsZero(is_zero) => is_zero != 0,
            After::Count(count) => count == 0,
        }
    }
}

/// What every change of references of every page runs.
///
/// # Safety
///
/// `page` must be the kernel's.
#[inline(always)]
unsafe fn probe<M: Mode>(page: *mut page, v: c_int, after: After) {
    // SAFETY: As the caller promises.
    let page = unsafe { Page::from_raw(page) };
    if M::WATCHES && LEDGER.covers(page.block_number()) {
        return changed::<M>(page, v, after);
    }
    // In this order: with nothing marked one load decides, else one more for nearly every page.
    if MARKS.is_empty() || !MARKS.maybe_marked(page.block_number()) {
        return;
    }
    changed::<M>(page, v, after);
}

/// # Safety
///
/// For the tracepoint alone. Context: any, NMI included.
unsafe extern "C" fn page_ref_mod<M: Mode>(_data: *mut c_void, page: *mut page, v: c_int) {
    // SAFETY: The page is the kernel's.
    unsafe { probe::<M>(page, v, After::Unknown) }
}

/// # Safety
///
/// For the tracepoint alone. Context: any, NMI included.
unsafe extern "C" fn page_ref_mod_and_test<M: Mode>(
    _data: *mut c_void,
    page: *mut page,
    v: c_int,
    is_zero: c_int,
) {
    // SAFETY: The page is the kernel's.
    unsafe { probe::<M>(page, v, After::IsZero(is_zero)) }
}

/// # Safety
///
/// For the tracepoint alone. Context: any, NMI included.
unsafe extern "C" fn page_ref_mod_and_return<M: Mode>(
    _data: *mut c_void,
    page: *mut page,
    v: c_int,
    count: c_int,
) {
    // SAFETY: The page is the kernel's.
    unsafe { probe::<M>(page, v, After::Count(count)) }
}

/// # Safety
///
/// For the tracepoint alone. Context: any, NMI included.
unsafe extern "C" fn page_ref_mod_unless(
    _data: *mut c_void,
    page: *mut page,
    v: c_int,
    is_done: c_int,
) {
    // SAFETY: The page is the kernel's.
    let page = unsafe { Page::from_raw(page) };
    if is_done != 0 && LEDGER.covers(page.block_number()) {
        changed::<Watched>(page, v, After::Unknown);
    }
}

/// # Safety
///
/// For the tracepoint alone. Context: any, NMI included.
unsafe extern "C" fn page_ref_set(_data: *mut c_void, page: *mut page, v: c_int) {
    // SAFETY: The page is the kernel's.
    let page = unsafe { Page::from_raw(page) };
    if LEDGER.covers(page.block_number()) {
        counted(page, v, true);
    }
}

/// # Safety
///
/// For the tracepoint alone. Context: any, NMI included.
unsafe extern "C" fn page_ref_unfreeze(_data: *mut c_void, page: *mut page, v: c_int) {
    // SAFETY: The page is the kernel's.
    let page = unsafe { Page::from_raw(page) };
    if LEDGER.covers(page.block_number()) {
        counted(page, v, false);
    }
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

/// What is to be entered of a change that was just made.
fn change(folio: &State, refs: c_int, count: c_int, stack: Handle) -> Change {
    Change {
        refs,
        count,
        expected: folio.expected,
        mapcount: folio.mapcount,
        stack,
        pid: context::pid(),
        now: sys::now_ms(),
    }
}

/// A page has as many references as somebody says, who has just allocated it, or frozen them.
/// Context: any, NMI included.
#[cold]
#[inline(never)]
fn counted(page: Page, refs: c_int, is_new: bool) {
    let pfn = page.pfn();
    if broken().is_some() || !LEDGER.is_watched(pfn) {
        return;
    }
    let Some(mut context) = record() else {
        return LEDGER.missed(pfn);
    };
    if is_new {
        let stack = stack_here(&mut context);
        LEDGER.set(pfn, &change(&page.read(), refs, refs, stack));
    } else {
        let change = change(&page.read(), 0, refs, Handle::LOST);
        LEDGER.unfrozen(pfn, &change, &DEPOT, &context);
    }
    drop(context);
    kick_if_needed();
}

/// References of a page that may be watched or marked have changed. Context: any, NMI included.
#[cold]
#[inline(never)]
fn changed<M: Mode>(page: Page, v: c_int, after: After) {
    if broken().is_some() {
        return;
    }
    let pfn = page.pfn();
    let is_watched = M::WATCHES && v != 0 && LEDGER.is_watched(pfn);
    let marked = if v < 0 && M::is_on_duty() {
        MARKS.lookup(pfn)
    } else {
        None
    };
    if marked.is_none() && !is_watched {
        return;
    }
    let folio = page.read();
    let (order, unpinned) = (folio.order, folio.is_unpinned());
    match record() {
        Some(mut context) => {
            // The ledger tells by where exactly a reference is put.
            let known = putback::stack_of_put().filter(|_| !is_watched);
            let stack = known.unwrap_or_else(|| stack_here(&mut context));
            if is_watched {
                enter(&folio, v, after, stack, &context);
            }
            if let Some(marked) = &marked {
                put(folio, v, after, stack, marked);
            }
        }
        None if is_watched => LEDGER.missed(pfn),
        None => (),
    }
    let is_marked = marked.is_some();
    drop(marked);
    if !is_marked {
        return kick_if_needed();
    }
    // Read twice: a fork or a fault that came between the parts of one look raises them all.
    let is_over = || unpinned && params::until_unpinned() && page.read().is_unpinned();
    let cause = if after.is_last() {
        // Some folios, hugetlb's, go back to their pool without mm_page_free.
        Cause::Freed
    } else if is_over() {
        Cause::Unpinned
    } else {
        return kick_if_needed();
    };
    // Only the pages of this folio: what was marked may have been split since.
    MARKS.forget(pfn, 1 << order, |record| end_of(record, cause));
    kick_if_needed();
}

/// Enters a change of a watched page.
#[inline(never)]
fn enter(folio: &State, v: c_int, after: After, stack: Handle, context: &Context) {
    if after.is_last() {
        return LEDGER.freed(folio.pfn);
    }
    let count = match after {
        After::Count(count) => count,
        _ => folio.count,
    };
    let change = change(folio, v, count, stack);
    LEDGER.change(folio.pfn, &change, &DEPOT, context);
}

/// Records a put of a marked folio. Each frame more is one more to unwind for `options/stacktrace`.
#[inline(always)]
fn put(folio: State, v: c_int, after: After, stack: Handle, marked: &User<'_>) {
    let refs = v.unsigned_abs();
    let age = sys::now().saturating_sub(marked.first());
    let task = context::task();
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
        last: after.is_last(),
        stack: stack.0,
        age,
    };
    events::put(put, marked.reason(), marked.stage());
}
