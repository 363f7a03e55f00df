// SPDX-License-Identifier: GPL-2.0

//! Bad memory: hard errors, pages taken out of use softly, and what takes that back.
//!
//! - memory_failure_event tells of every hard error. A folio is marked if somebody still has it, or
//!   if the kernel did not recover.
//! - soft_offline_page() migrates, and migrate_pages() is watched elsewhere; here is what did not
//!   get that far, and what was poisoned although somebody still had it.
//! - unpoison_memory() ends the story.

use super::{end_of, record, Attempt, MARKS};
use crate::store::reason::{Cause, Reason, Recovery, Stage};
use crate::sys::context::Text;
use crate::sys::folio::{poison_keeps, State};
use crate::sys::fprobe::{Arguments, Function, Site};
use crate::sys::tracepoint::{iterator, Probe};
use crate::sys::{self, params};
use core::ffi::CStr;
use kernel::error::{
    code::{EBUSY, EIO},
    Result,
};
use kernel::ffi::{c_int, c_ulong, c_void};

const EVENT: &CStr = c"memory_failure_event";

/// The function between the tracepoint and us, which no reader wants to see.
static FRAMES: [Text; 1] = [Text::new()];

/// Attaches to the tracepoint, if this kernel handles memory errors. May sleep.
pub(super) fn attach() -> Result<Option<Probe>> {
    if !cfg!(CONFIG_MEMORY_FAILURE) {
        return Ok(None);
    }
    FRAMES[0].find(iterator(EVENT).unwrap_or(0));
    // SAFETY: TP_PROTO(unsigned long pfn, int type, int result).
    unsafe { Probe::attach(EVENT, hard as *mut c_void) }.map(Some)
}

/// A hard memory error was dealt with, in whatever way.
///
/// # Safety
///
/// For the tracepoint alone. Context: a task.
unsafe extern "C" fn hard(_data: *mut c_void, pfn: c_ulong, page_type: c_int, result: c_int) {
    let recovery = usize::try_from(result)
        .ok()
        .and_then(|result| Recovery::ALL.get(result));
    let (Some(reason), Some(&recovery)) = (params::wanted("hwpoison"), recovery) else {
        return;
    };
    let Some(mut context) = record() else {
        return;
    };
    // As action_result() has it.
    let err = match recovery {
        Recovery::Recovered | Recovery::Delayed => 0,
        Recovery::Ignored | Recovery::Failed => EBUSY.to_errno(),
    };
    let Some(mut folio) = State::of(pfn as u64) else {
        return;
    };
    if folio.order == 0 && !poison_keeps(page_type) {
        folio.expected = 0.max(folio.expected - 1);
    }
    if recovery != Recovery::Recovered || !folio.is_unpinned() {
        let mut attempt = Attempt::here(&mut context, reason, Stage::Poison, err, &FRAMES);
        attempt.recovery = Some(recovery);
        attempt.mark_unheld(folio);
    }
}

/// The watched function.
pub(super) struct SoftOfflinePage;

/// One call of it.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pfn: u64,
    since: u64,
    reason: Reason,
}

impl Function for SoftOfflinePage {
    const NAME: &'static CStr = c"soft_offline_page";
    type Call = Call;

    fn enter(args: &Arguments, _site: Site) -> Option<Call> {
        params::wanted("memory_failure").map(|reason| Call {
            pfn: args.get(0) as u64,
            since: sys::now(),
            reason,
        })
    }

    fn leave(call: &Call, result: i32, site: Site) {
        let poisoned = result == 0;
        if !poisoned && result != EBUSY.to_errno() && result != EIO.to_errno() {
            return;
        }
        let Some(mut context) = record() else {
            return;
        };
        let Some(folio) = State::of(call.pfn).filter(State::is_used) else {
            return;
        };
        let (stage, news) = if poisoned {
            (Stage::Poison, !folio.is_unpinned())
        } else {
            // What migrate_pages() gave back a moment ago was reported with that stage.
            let known = MARKS.lookup(folio.pfn);
            (
                Stage::Isolate,
                !known.is_some_and(|r| r.last() >= call.since),
            )
        };
        if news {
            Attempt::new(&mut context, call.reason, stage, result, site).mark_unheld(folio);
        }
    }
}

/// The watched function.
pub(super) struct UnpoisonMemory;

impl Function for UnpoisonMemory {
    const NAME: &'static CStr = c"unpoison_memory";
    /// The pfn.
    type Call = u64;

    fn enter(args: &Arguments, _site: Site) -> Option<u64> {
        Some(args.get(0) as u64)
    }

    fn leave(&pfn: &u64, result: i32, _site: Site) {
        if result != 0 {
            return;
        }
        if let Some(marked) = MARKS.lookup(pfn) {
            MARKS.end(&marked, |record| end_of(record, Cause::Forgotten));
        }
    }
}
