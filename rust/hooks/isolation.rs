// SPDX-License-Identifier: GPL-2.0

//! test_pages_isolated(): a range that could not be taken holds folios that somebody has.
//!
//! Pinned anonymous pages never reach migrate_pages(), as isolation skips them. Only this last
//! check before a range is taken fails on them, and it does not tell on which.

use super::{record, Attempt, MARKS};
use crate::store::reason::{Reason, Stage};
use crate::sys::folio::{held_in, is_offlining, Scan};
use crate::sys::fprobe::{Arguments, Function, Site};
use crate::sys::params;
use core::ffi::CStr;

/// The watched function.
pub(super) struct TestPagesIsolated;

/// One call of it.
#[derive(Clone, Copy)]
pub(super) struct Call {
    start: u64,
    end: u64,
    what: Scan,
    reason: Reason,
}

impl Function for TestPagesIsolated {
    const NAME: &'static CStr = c"test_pages_isolated";
    type Call = Call;

    fn enter(args: &Arguments, _site: Site) -> Option<Call> {
        let (what, reason) = if is_offlining(args.get(2)) {
            (Scan::Offline, "memory_hotplug")
        } else {
            (Scan::Range, "contig_range")
        };
        params::wanted(reason).map(|reason| Call {
            start: args.get(0) as u64,
            end: args.get(1) as u64,
            what,
            reason,
        })
    }

    fn leave(call: &Call, result: i32, site: Site) {
        if result == 0 {
            return;
        }
        let Some(mut context) = record() else {
            return;
        };
        let attempt = Attempt::new(&mut context, call.reason, Stage::Isolate, result, site);
        for folio in held_in(call.start, call.end, call.what) {
            // What migrate_pages() gave back a moment ago was reported with that stage.
            let known = MARKS
                .lookup(folio.pfn)
                .is_some_and(|r| r.stage() == Stage::Migrate && r.reason() == call.reason);
            if !known {
                attempt.mark_unheld(folio);
            }
        }
    }
}
