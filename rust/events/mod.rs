// SPDX-License-Identifier: GPL-2.0

//! The Rust face of the trace events, which are C: `page_pin_owner_trace.h`.
//!
//! Each function costs one patched-out jump while its event is off. Context: any, NMI included.

use crate::store::reason::{Cause, Reason, Recovery, Stage};
use crate::store::record::{Failure, Record};
use crate::sys::folio::State;
use crate::sys::{bindings, trace};

/// `report_page_pinners`: a folio was marked, or began to fail once more.
pub(crate) fn report(failure: &Failure, folio: State) {
    let event = bindings::ppo_report {
        folio,
        stack: failure.stack,
        err: failure.err,
        reason: failure.reason.0,
        stage: failure.stage as u8,
        recovery: Recovery::code(failure.recovery),
    };
    trace::report(&event);
}

/// One put of a marked folio.
pub(crate) struct Put {
    /// The folio after it.
    pub(crate) folio: State,
    /// References it dropped.
    pub(crate) refs: u32,
    /// It dropped the last one.
    pub(crate) last: bool,
    /// Handle of its stack.
    pub(crate) stack: u32,
    /// Nanoseconds since the folio was marked.
    pub(crate) age: u64,
}

/// `page_pin_owner_put`: a reference to a marked folio was dropped.
pub(crate) fn put(put: Put, reason: Reason, stage: Stage) {
    let event = bindings::ppo_put {
        folio: put.folio,
        age_us: put.age / 1000,
        stack: put.stack,
        refs: put.refs as i32,
        last: put.last.into(),
        reason: reason.0,
        stage: stage as u8,
    };
    trace::put(&event);
}

/// `page_pin_owner_free`: the story of a marked folio ended.
pub(crate) fn free(record: &Record, cause: Cause, now: u64) {
    let event = bindings::ppo_free {
        pfn: record.pfn(),
        age_us: now.saturating_sub(record.first()) / 1000,
        puts: record.puts(),
        reason: record.reason().0,
        stage: record.stage() as u8,
        cause: cause as u8,
    };
    trace::free(&event);
}
