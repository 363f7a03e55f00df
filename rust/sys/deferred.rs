// SPDX-License-Identifier: GPL-2.0

//! Work that a hot path leaves to a task: through irq_work to a work item, so that it may be asked
//! for in any context.

use super::bindings;

/// Has [`crate::hooks::deferred`] called soon. Context: any, NMI included.
pub(crate) fn kick() {
    // SAFETY: A static irq_work; queueing it twice is harmless.
    unsafe { bindings::ppo_deferred_kick() }
}

/// Has it called in `ms` milliseconds, if it is not to be called earlier. Context: any but NMI.
pub(crate) fn later(ms: u32) {
    // SAFETY: A static work item; queueing it twice is harmless.
    unsafe { bindings::ppo_deferred_later(ms) }
}

/// Waits until nothing is queued or running. Nobody may kick any more. May sleep.
pub(crate) fn stop() {
    // SAFETY: Static work items.
    unsafe { bindings::ppo_deferred_stop() }
}

#[no_mangle]
extern "C" fn ppo_rust_deferred() {
    crate::hooks::deferred();
}
