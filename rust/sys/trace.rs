// SPDX-License-Identifier: GPL-2.0

//! The calls into the C side of the trace events. Context: any, NMI included.
//!
//! Reasons, stages and causes are numbers that C has names for.

use super::bindings;

/// Emits `report_page_pinners`.
pub(crate) fn report(event: &bindings::ppo_report) {
    // SAFETY: Only reads `event`.
    unsafe { bindings::ppo_trace_report(event) };
}

/// Emits `page_pin_owner_put`.
pub(crate) fn put(event: &bindings::ppo_put) {
    // SAFETY: Only reads `event`.
    unsafe { bindings::ppo_trace_put(event) };
}

/// Emits `page_pin_owner_free`.
pub(crate) fn free(event: &bindings::ppo_free) {
    // SAFETY: Only reads `event`.
    unsafe { bindings::ppo_trace_free(event) };
}
