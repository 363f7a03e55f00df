// SPDX-License-Identifier: GPL-2.0

//! Memory that is handed out zeroed and published once.
//!
//! ```text
//! let table: Table<Leaf> = Table::new();
//! if let Some(leaf) = table.slot(7).get_or_publish(mem) {
//!     // `leaf` is visible to every other CPU, and stays until somebody takes it out.
//! }
//! ```

use super::sync::{array, const_unless_loom, sized, AtomicPtr, AtomicUsize, Ordering};
use core::ptr::{null_mut, NonNull};

/// Types for which zeroed memory is a value, and which need no drop.
///
/// # Safety
///
/// All-zero bytes must be a valid value of the type, and forgetting one must be harmless.
pub unsafe trait Zeroed: Sized {
    /// The value that zeroed memory is. Loom's atomics have to be made one by one.
    #[cfg(loom)]
    fn zeroed() -> Self;
}

/// Where the store's memory comes from.
pub trait Memory {
    /// Zeroed memory for one `T`, or `None`.
    ///
    /// May be called with preemption off: an implementation must not sleep unless it was made for
    /// callers that may.
    fn alloc<T: Zeroed>(&self) -> Option<NonNull<T>>;

    /// Gives memory back.
    ///
    /// # Safety
    ///
    /// `p` must come from [`Memory::alloc`] of the same source, and nobody may use it any more.
    unsafe fn free<T: Zeroed>(&self, p: NonNull<T>);
}

/// Memory of which no more than `cap` bytes are taken.
pub(super) struct Counted<'a, M> {
    pub(super) mem: &'a M,
    pub(super) bytes: &'a AtomicUsize,
    pub(super) cap: usize,
}

impl<M> Counted<'_, M> {
    /// Is there no room for one `T` more?
    pub(super) fn is_full<T>(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) + size_of::<T>() > self.cap
    }
}

impl<M: Memory> Memory for Counted<'_, M> {
    fn alloc<T: Zeroed>(&self) -> Option<NonNull<T>> {
        let size = size_of::<T>();
        let before = self.bytes.fetch_add(size, Ordering::Relaxed);
        let p = if before + size <= self.cap {
            self.mem.alloc()
        } else {
            None
        };
        if p.is_none() {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
        }
        p
    }

    unsafe fn free<T: Zeroed>(&self, p: NonNull<T>) {
        // SAFETY: As the caller promises.
        unsafe { self.mem.free(p) };
        self.bytes.fetch_sub(size_of::<T>(), Ordering::Relaxed);
    }
}

/// A pointer that is null until memory is published in it.
pub struct Slot<T>(AtomicPtr<T>);

impl<T: Zeroed> Slot<T> {
    const_unless_loom! {
        /// An empty slot.
        pub fn new() -> Self {
            Slot(AtomicPtr::new(null_mut()))
        }
    }

    /// What is published here. Context: any.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: A published pointer was allocated as a zeroed `T`, and whoever takes it out waits
        // for all readers before freeing it (see `take`).
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// What is published here, after publishing new memory if there was nothing. Context: any that
    /// `mem` allows. `None` if there is no memory.
    pub fn get_or_publish(&self, mem: &impl Memory) -> Option<&T> {
        if let Some(there) = self.get() {
            return Some(there);
        }
        let Some(new) = mem.alloc::<T>() else {
            // The one who was faster may have had the last there was.
            return self.get();
        };
        if self
            .0
            .compare_exchange(
                null_mut(),
                new.as_ptr(),
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .is_err()
        {
            // SAFETY: `new` came from `mem` just now and was never published.
            unsafe { mem.free(new) };
        }
        self.get()
    }

    /// Takes out what is published, if anything is. Readers may still hold it: it must not be
    /// freed before they are known to be gone.
    pub fn take(&self) -> Option<NonNull<T>> {
        NonNull::new(self.0.swap(null_mut(), Ordering::AcqRel))
    }

    /// Takes out `expected` and nothing else. True if it was there.
    pub fn take_exactly(&self, expected: &T) -> bool {
        self.0
            .compare_exchange(
                core::ptr::from_ref(expected).cast_mut(),
                null_mut(),
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .is_ok()
    }
}

impl<T: Zeroed> Default for Slot<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// log2 of the slots in a [`Table`]: on 64 bits a table is one page of 4096 bytes.
pub const TABLE_BITS: u32 = sized(9, 1) as u32;
/// Slots in a [`Table`].
pub const TABLE_LEN: usize = 1 << TABLE_BITS;

/// One level of a sparse array.
pub struct Table<T>([Slot<T>; TABLE_LEN]);

// SAFETY: A zeroed slot is an empty one; what a forgotten table points to is leaked, not unsound.
unsafe impl<T: Zeroed> Zeroed for Table<T> {
    #[cfg(loom)]
    fn zeroed() -> Self {
        Self::new()
    }
}

impl<T: Zeroed> Table<T> {
    const_unless_loom! {
        /// A table with nothing in it.
        pub fn new() -> Self {
            Table(array![Slot::new(); TABLE_LEN])
        }
    }

    /// The slot for `index`, of which only the low [`TABLE_BITS`] bits count.
    #[inline]
    pub fn slot(&self, index: usize) -> &Slot<T> {
        &self.0[index % TABLE_LEN]
    }

    /// Everything published, with its index.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.0
            .iter()
            .enumerate()
            .filter_map(|(i, slot)| Some((i, slot.get()?)))
    }

    /// Takes everything out and gives it to `free`. Readers must be gone.
    pub fn drain(&self, mut free: impl FnMut(NonNull<T>)) {
        for slot in &self.0 {
            if let Some(p) = slot.take() {
                free(p);
            }
        }
    }
}

impl<T: Zeroed> Default for Table<T> {
    fn default() -> Self {
        Self::new()
    }
}
