// SPDX-License-Identifier: GPL-2.0

//! What the benches need, and the guest program that counts instructions instead.

use page_pin_owner_store::depot::Put;
use page_pin_owner_store::memory::{Memory, Zeroed};
use page_pin_owner_store::reason::{Reason, Stage};
use page_pin_owner_store::record::{Failure, Task};
use std::alloc;
use std::ptr::NonNull;

/// The memory of the process.
pub struct Heap;

impl Memory for Heap {
    fn alloc<T: Zeroed>(&self) -> Option<NonNull<T>> {
        // SAFETY: No T of the store is of size zero.
        NonNull::new(unsafe { alloc::alloc_zeroed(alloc::Layout::new::<T>()) }.cast())
    }

    unsafe fn free<T: Zeroed>(&self, p: NonNull<T>) {
        // SAFETY: From `alloc`, as the caller promises.
        unsafe { alloc::dealloc(p.as_ptr().cast(), alloc::Layout::new::<T>()) };
    }
}

/// Some task.
pub const TASK: Task = Task {
    comm: [1, 2],
    pid: 3,
};

/// Some put.
pub const PUT: Put = Put {
    is_first: true,
    reason: Reason(6),
    age: 1000,
    task: TASK,
};

/// A failure of this page.
pub fn failure(pfn: u64) -> Failure {
    Failure {
        pfn,
        order: 0,
        reason: Reason(6),
        stage: Stage::Migrate,
        err: -11,
        recovery: None,
        count: 4,
        expected: 3,
        now: 1000,
        stack: 7,
        task: TASK,
    }
}
