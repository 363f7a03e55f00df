// SPDX-License-Identifier: GPL-2.0

//! So many a second and no more: a limit that takes no lock.

use super::sync::{const_unless_loom, AtomicU64, Ordering};

/// Nanoseconds of a window.
const WINDOW_NS: u64 = 1_000_000_000;

/// What was taken in the current window.
pub struct Limit {
    /// Number of the window, and in the lower half how many were taken in it.
    window: AtomicU64,
}

impl Limit {
    const_unless_loom! {
        /// Nothing taken.
        pub fn new() -> Self {
            Limit { window: AtomicU64::new(0) }
        }
    }

    /// True for the first `rate` calls in each second of the clock `now`, nanoseconds; a rate of 0
    /// is no limit. Context: any.
    pub fn take(&self, now: u64, rate: u32) -> bool {
        if rate == 0 {
            return true;
        }
        let this = (now / WINDOW_NS) << 32;
        let mut window = self.window.load(Ordering::Relaxed);
        loop {
            // A clock read long ago belongs to the window that came since.
            let old = window.max(this);
            let taken = old as u32;
            if taken >= rate {
                return false;
            }
            match self.window.compare_exchange_weak(
                window,
                old + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => window = now,
            }
        }
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self::new()
    }
}
