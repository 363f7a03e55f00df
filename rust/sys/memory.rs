// SPDX-License-Identifier: GPL-2.0

//! The kernel's memory for the store.

use super::bindings;
use crate::store::memory::{Memory, Table, Zeroed};
use crate::store::page_ext::Block;
use core::mem::size_of;
use core::ptr::NonNull;
use kernel::error::{to_result, Result};

/// Memory for callers that may sleep: GFP_KERNEL.
pub(crate) struct Sleeping;

impl Memory for Sleeping {
    fn alloc<T: Zeroed>(&self) -> Option<NonNull<T>> {
        // SAFETY: The caller may sleep; kzalloc aligns powers of two naturally.
        NonNull::new(unsafe { bindings::ppo_zalloc(size_of::<T>()) }.cast())
    }

    unsafe fn free<T: Zeroed>(&self, p: NonNull<T>) {
        // SAFETY: The caller promises that `p` came from `alloc` and is no longer used.
        unsafe { bindings::ppo_zfree(p.as_ptr().cast()) }
    }
}

/// What all memory of marks but blocks is made of.
const UNIT: usize = size_of::<Table<Block>>();
const BLOCK: usize = size_of::<Block>();

/// Memory for marks, made with preemption off: GFP_NOWAIT, then what was kept ready for when that
/// has nothing.
pub(crate) struct Marks;

impl Marks {
    /// True if `T` is a block; nothing else but units is asked for.
    const fn is_block<T>() -> bool {
        assert!(size_of::<T>() == BLOCK || size_of::<T>() == UNIT);
        size_of::<T>() == BLOCK
    }

    /// Makes ready what [`Marks::open`] needs. May sleep.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn init() -> Result {
        // SAFETY: Called once, at load.
        to_result(unsafe { bindings::ppo_memory_init(BLOCK) })
    }

    /// The reverse. May sleep.
    pub(crate) fn exit() {
        // SAFETY: Called once, at unload, with the reserve closed.
        unsafe { bindings::ppo_memory_exit() };
    }

    /// Makes the reserve, without which there is no memory for marks. May sleep.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn open() -> Result {
        // SAFETY: Called when it is closed, before the hooks are attached.
        to_result(unsafe { bindings::ppo_reserve_open(UNIT) })
    }

    /// Gives the reserve back. May sleep. All that came from it must be back.
    pub(crate) fn close() {
        // SAFETY: Called when it is open, after the hooks were detached and all was given back.
        unsafe { bindings::ppo_reserve_close() };
    }

    /// Fills the reserve up. May sleep. It must be open.
    pub(crate) fn fill() {
        // SAFETY: It is open.
        unsafe { bindings::ppo_reserve_fill() };
    }

    /// True if [`Marks::fill`] has something to do. Context: any; it must be open.
    pub(crate) fn is_low() -> bool {
        // SAFETY: It is open.
        unsafe { bindings::ppo_reserve_is_low() }
    }

    /// Bytes kept ready. It must not be closed meanwhile.
    pub(crate) fn bytes() -> usize {
        // SAFETY: Reads two numbers, if it is open.
        unsafe { bindings::ppo_reserve_bytes(UNIT, BLOCK) }
    }
}

impl Memory for Marks {
    fn alloc<T: Zeroed>(&self) -> Option<NonNull<T>> {
        let is_block = const { Self::is_block::<T>() };
        // SAFETY: The reserve is open as long as there are hooks, and has elements of this size.
        NonNull::new(unsafe { bindings::ppo_mark_zalloc(size_of::<T>(), is_block) }.cast())
    }

    unsafe fn free<T: Zeroed>(&self, p: NonNull<T>) {
        let is_block = const { Self::is_block::<T>() };
        // SAFETY: The caller promises that `p` came from `alloc` and is no longer used.
        unsafe { bindings::ppo_mark_free(p.as_ptr().cast(), is_block) }
    }
}
