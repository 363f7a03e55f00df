// SPDX-License-Identifier: GPL-2.0

//! A number that a task leaves at one hook and finds at the next one.
//!
//! There are 64 places, and two tasks that share one may take it from each other: whoever finds
//! nothing has to do without.

use crate::sys::context::task;
use core::sync::atomic::{AtomicU64, Ordering};

/// The places; in each the task's pid + 1 in the upper half, and the number.
pub(super) struct ByTask([AtomicU64; 64]);

impl ByTask {
    /// Nothing left by anybody.
    pub(super) const fn new() -> Self {
        ByTask([const { AtomicU64::new(0) }; 64])
    }

    /// Forgets what anybody left. Context: any.
    pub(super) fn clear(&self) {
        for place in &self.0 {
            place.store(0, Ordering::Relaxed);
        }
    }

    /// This task's place, and its pid as it stands there.
    fn place(&self) -> (&AtomicU64, u64) {
        let pid = u64::from(task().pid.unsigned_abs()) + 1;
        (&self.0[pid as usize % self.0.len()], pid)
    }

    /// Leaves a number. Context: any.
    pub(super) fn leave(&self, number: u32) {
        let (place, pid) = self.place();
        place.store((pid << 32) | u64::from(number), Ordering::Relaxed);
    }

    /// The number that this task has left, if it is still there. Context: any.
    pub(super) fn find(&self) -> Option<u32> {
        let (place, pid) = self.place();
        let found = place.load(Ordering::Relaxed);
        (found >> 32 == pid).then_some(found as u32)
    }

    /// The same, and takes it away. Context: any.
    pub(super) fn take(&self) -> Option<u32> {
        let (place, pid) = self.place();
        let found = place.load(Ordering::Relaxed);
        let own = found >> 32 == pid
            && place
                .compare_exchange(found, 0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        own.then_some(found as u32)
    }
}
