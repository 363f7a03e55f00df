// SPDX-License-Identifier: GPL-2.0

//! The kernel's memory for the store.

use super::bindings;
use crate::store::memory::{Memory, Zeroed};
use core::ptr::NonNull;

/// Memory for callers that cannot wait: GFP_NOWAIT, never the emergency reserves.
pub(crate) struct Atomic;

/// Memory for callers that may sleep: GFP_KERNEL.
pub(crate) struct Sleeping;

fn alloc<T: Zeroed>(may_sleep: bool) -> Option<NonNull<T>> {
    // SAFETY: `may_sleep` is the caller's context; kzalloc aligns powers of two naturally.
    NonNull::new(unsafe { bindings::ppo_zalloc(core::mem::size_of::<T>(), may_sleep) }.cast())
}

impl Memory for Atomic {
    fn alloc<T: Zeroed>(&self) -> Option<NonNull<T>> {
        alloc(false)
    }

    unsafe fn free<T: Zeroed>(&self, p: NonNull<T>) {
        // SAFETY: The caller promises that `p` came from `alloc` and is no longer used.
        unsafe { bindings::ppo_zfree(p.as_ptr().cast()) }
    }
}

impl Memory for Sleeping {
    fn alloc<T: Zeroed>(&self) -> Option<NonNull<T>> {
        alloc(true)
    }

    unsafe fn free<T: Zeroed>(&self, p: NonNull<T>) {
        // SAFETY: As above; both kinds come from the same allocator.
        unsafe { bindings::ppo_zfree(p.as_ptr().cast()) }
    }
}
