// SPDX-License-Identifier: GPL-2.0

//! The one mutex of the module, with what it guards.
//!
//! It is taken under the kernel's event_mutex (from the events' reg callback), and tracepoints_mutex
//! and the locks of ftrace are taken under it.

use super::bindings;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};

/// A value behind the module's mutex. There can be only one, as there is one mutex.
pub(crate) struct Locked<T>(UnsafeCell<T>);

// SAFETY: The value is reached through `lock` alone, which one task holds at a time.
unsafe impl<T: Send> Sync for Locked<T> {}

/// Held mutex.
pub(crate) struct Guard<'a, T>(&'a Locked<T>);

impl<T> Locked<T> {
    /// # Safety
    ///
    /// At most one `Locked` may exist: two would hand out one mutex twice.
    pub(crate) const unsafe fn new(value: T) -> Self {
        Locked(UnsafeCell::new(value))
    }

    /// Waits for the mutex. May sleep.
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        // SAFETY: A static mutex; never taken twice by one task, as guards do not nest.
        unsafe { bindings::ppo_mutex_lock() };
        Guard(self)
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: We hold the mutex.
        unsafe { &*self.0 .0.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: We hold the mutex, and `&mut self` makes us the only user of this guard.
        unsafe { &mut *self.0 .0.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: Taken in `lock` by this task.
        unsafe { bindings::ppo_mutex_unlock() };
    }
}
