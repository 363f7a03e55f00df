// SPDX-License-Identifier: GPL-2.0

//! migrate_pages(): what is left on its list when it returns could not be migrated.
//!
//! With -ENOMEM it gave up early. The list then begins with what it had tried, and the tracepoint
//! mm_migrate_pages tells how many pages these are; what follows it never tried.

use super::by_task::ByTask;
use super::stats::Loss;
use super::{record, Attempt, AT_ONCE, ISOLATION};
use crate::store::reason::{Reason, Stage};
use crate::sys::folio::on_list;
use crate::sys::fprobe::{Arguments, Function, Site};
use crate::sys::params;
use crate::sys::tracepoint::Probe;
use core::ffi::CStr;
use kernel::bindings::list_head;
use kernel::error::Result;
use kernel::ffi::{c_int, c_uint, c_ulong, c_void};

/// The watched function.
pub(super) struct MigratePages;

/// One call of it.
#[derive(Clone, Copy)]
pub(super) struct Call {
    from: *mut list_head,
    reason: Reason,
}

/// Position of the arguments that we read.
const FROM: u32 = 0;
const REASON: u32 = 5;

impl Function for MigratePages {
    const NAME: &'static CStr = c"migrate_pages";
    type Call = Call;

    fn enter(args: &Arguments, _site: Site) -> Option<Call> {
        let reason = Reason(u8::try_from(args.get(REASON)).ok()?);
        params::wants(reason).then(|| Call {
            from: args.get(FROM) as *mut list_head,
            reason,
        })
    }

    fn leave(call: &Call, result: i32, site: Site) {
        if result == 0 {
            return;
        }
        let tried = if result < 0 {
            TRIED.take()
        } else {
            Some(u32::MAX)
        };
        let Some(mut context) = record() else {
            return;
        };
        let Some(mut tried) = tried else {
            return Loss::Tried.count();
        };
        let attempt = Attempt::new(&mut context, call.reason, Stage::Migrate, result, site);
        // SAFETY: The list is the caller's, who waits for migrate_pages() to return; each folio on
        // it has the reference of the one who isolated it.
        for (n, page) in unsafe { on_list(call.from) }.enumerate() {
            if n >= AT_ONCE {
                Loss::MarksAtOnce.count();
                continue;
            }
            if result > 0 {
                attempt.mark(page, 0);
                continue;
            }
            // It ran out of memory. What it had tried comes first; one of these had to stay for
            // want of memory only, and is as it should be.
            let folio = page.read();
            let Some(left) = tried.checked_sub(1 << folio.order) else {
                break;
            };
            tried = left;
            if folio.count > folio.expected + ISOLATION {
                attempt.mark(page, 0);
            }
        }
    }
}

/// How many pages the call that ends in a moment has tried in vain.
static TRIED: ByTask = ByTask::new();

/// Attaches to the tracepoint that tells how many pages a call has tried in vain. May sleep.
pub(super) fn attach() -> Result<Probe> {
    // SAFETY: TP_PROTO(unsigned long succeeded, unsigned long failed, unsigned long thp_succeeded,
    // unsigned long thp_failed, unsigned long thp_split, unsigned long large_folio_split,
    // enum migrate_mode mode, int reason).
    unsafe { Probe::attach(c"mm_migrate_pages", counted as *mut c_void) }
}

/// The last that migrate_pages() does before it returns.
///
/// # Safety
///
/// For the tracepoint alone. Context: a task.
#[allow(clippy::too_many_arguments)]
unsafe extern "C" fn counted(
    _data: *mut c_void,
    _succeeded: c_ulong,
    failed: c_ulong,
    _thp_succeeded: c_ulong,
    _thp_failed: c_ulong,
    _thp_split: c_ulong,
    _large_folio_split: c_ulong,
    _mode: c_uint,
    _reason: c_int,
) {
    if failed != 0 {
        TRIED.leave(u32::try_from(failed).unwrap_or(u32::MAX));
    }
}
