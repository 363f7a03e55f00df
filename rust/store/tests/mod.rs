// SPDX-License-Identifier: GPL-2.0

//! Host tests, by subject: units, properties against plain models, and threads.

mod accounts;
mod evictions;
mod invariants;
mod limit;
mod marks;
mod ranges;
mod records;
mod replay;
mod stacks;
mod text;
mod version;

use super::memory::{Memory, Zeroed};
use super::page_ext::{PageExt, BLOCK_LEN};
use super::reason::{Cause, Reason, Stage};
use super::record::{Failure, Task};
use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The host's memory, of which only so many allocations can be had, and which knows what is out.
struct Host {
    left: AtomicI64,
    out: AtomicI64,
}

impl Host {
    fn new(left: i64) -> Self {
        Host {
            left: AtomicI64::new(left),
            out: AtomicI64::new(0),
        }
    }

    fn out(&self) -> i64 {
        self.out.load(Ordering::Relaxed)
    }
}

impl Memory for Host {
    fn alloc<T: Zeroed>(&self) -> Option<NonNull<T>> {
        if self.left.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return None;
        }
        self.out.fetch_add(size_of::<T>() as i64, Ordering::Relaxed);
        // SAFETY: No T of the store is of size zero.
        NonNull::new(unsafe { alloc_zeroed(Layout::new::<T>()) }.cast())
    }

    unsafe fn free<T: Zeroed>(&self, p: NonNull<T>) {
        self.out.fetch_sub(size_of::<T>() as i64, Ordering::Relaxed);
        // SAFETY: From `alloc`, as the caller promises.
        unsafe { dealloc(p.as_ptr().cast(), Layout::new::<T>()) };
    }
}

/// A task in which everything follows from `n`.
fn task(n: u32) -> Task {
    Task {
        comm: [n.into(), !u64::from(n)],
        pid: n as i32,
    }
}

fn failure(pfn: u64, order: u8) -> Failure {
    Failure {
        pfn,
        order,
        reason: Reason(6),
        stage: Stage::Migrate,
        err: 1,
        recovery: None,
        count: 4,
        expected: 3,
        now: 1000,
        stack: 7,
        task: task(3),
    }
}

fn page_ext(cap: u32) -> PageExt {
    let marks = PageExt::new();
    marks.configure(cap, 12345);
    marks
}

fn number(pfn: u64) -> usize {
    (pfn / BLOCK_LEN) as usize + 12345
}

fn drain(marks: &PageExt, mem: &Host) -> usize {
    let mut closed = 0;
    marks.audit();
    // SAFETY: The test is the only user.
    unsafe {
        marks.drain(mem, |_, cause| {
            assert_eq!(cause, Cause::Forgotten);
            closed += 1;
        })
    };
    closed
}

/// Numbers that look random, the same ones for the same `x`.
fn random(x: &mut u64) -> u64 {
    *x = x
        .wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407);
    *x >> 33
}

/// Where two threads wait for each other, to go on at once.
#[derive(Default)]
struct Meeting(AtomicU32);

impl Meeting {
    fn meet(&self) {
        let before = self.0.fetch_add(1, Ordering::AcqRel);
        let round = before / 2;
        if before % 2 == 1 {
            // The other one takes a while to see it: each time start a little later.
            for _ in 0..round % 64 {
                std::hint::black_box(round);
            }
            return;
        }
        let since = Instant::now();
        while self.0.load(Ordering::Acquire) / 2 == round {
            let is_there = || self.0.load(Ordering::Acquire) / 2 != round;
            if (0..1000).any(|_| is_there()) {
                break;
            }
            std::thread::yield_now();
            assert!(since.elapsed() < Duration::from_secs(60), "alone");
        }
    }
}
