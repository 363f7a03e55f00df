// SPDX-License-Identifier: GPL-2.0

//! Lists for readers of the tables: made once, of a size that is known then.
//!
//! ```
//! let mut handles = Array::of_all(|tell| stacks().for_each(|stack| tell(stack.handle)))?;
//! sort(&mut handles);
//! ```

use super::bindings;
use core::mem::size_of;
use core::ops::{Deref, DerefMut};
use core::ptr::null_mut;
use kernel::error::{code::ENOMEM, Result};

/// A list of some plain type that can hold so many and no more.
pub(crate) struct Array<T: Copy> {
    items: *mut T,
    cap: usize,
    len: usize,
}

// SAFETY: It owns its items.
unsafe impl<T: Copy + Send> Send for Array<T> {}

impl<T: Copy> Array<T> {
    /// An empty list with room for `cap`. May sleep.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn new(cap: usize) -> Result<Self> {
        const { assert!(core::mem::align_of::<T>() <= 8) };
        if cap == 0 {
            return Ok(Array {
                items: null_mut(),
                cap,
                len: 0,
            });
        }
        // SAFETY: The caller may sleep. C looks for an overflow.
        let items = unsafe { bindings::ppo_array_zalloc(cap, size_of::<T>()) };
        if items.is_null() {
            return Err(ENOMEM);
        }
        Ok(Array {
            items: items.cast(),
            cap,
            len: 0,
        })
    }

    /// A list of all that `each` tells, which is called again with more room if there was too
    /// little: what comes meanwhile does not take the place of what was there. May sleep.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn of_all(each: impl Fn(&mut dyn FnMut(T))) -> Result<Self> {
        let mut list = Array::new(0)?;
        loop {
            let mut count = 0;
            each(&mut |item| {
                count += 1;
                list.push(item);
            });
            if count == list.len {
                return Ok(list);
            }
            list = Array::new(count + count / 8 + 8)?;
        }
    }

    /// Adds an item. False if there is no room.
    pub(crate) fn push(&mut self, item: T) -> bool {
        if self.len == self.cap {
            return false;
        }
        // SAFETY: There is room for `cap` items.
        unsafe { self.items.add(self.len).write(item) };
        self.len += 1;
        true
    }
}

impl<T: Copy> Deref for Array<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: So many were written.
        unsafe { core::slice::from_raw_parts(self.items, self.len) }
    }
}

impl<T: Copy> DerefMut for Array<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        if self.len == 0 {
            return &mut [];
        }
        // SAFETY: So many were written, and they are ours.
        unsafe { core::slice::from_raw_parts_mut(self.items, self.len) }
    }
}

impl<T: Copy> Drop for Array<T> {
    fn drop(&mut self) {
        // SAFETY: From `new`, or null.
        unsafe { bindings::ppo_array_free(self.items.cast()) };
    }
}

/// Sorts with the kernel's own sort, which needs neither recursion nor scratch.
pub(crate) fn sort<T: Copy + Ord>(items: &mut [T]) {
    /// # Safety
    ///
    /// For sort() alone.
    unsafe extern "C" fn compare<T: Ord>(
        a: *const kernel::ffi::c_void,
        b: *const kernel::ffi::c_void,
    ) -> kernel::ffi::c_int {
        // SAFETY: sort() hands over items of the slice.
        unsafe { (*a.cast::<T>()).cmp(&*b.cast::<T>()) as kernel::ffi::c_int }
    }
    // SAFETY: So many items of that size, which may be moved about.
    unsafe {
        bindings::sort(
            items.as_mut_ptr().cast(),
            items.len(),
            size_of::<T>(),
            Some(compare::<T>),
            None,
        )
    };
}
