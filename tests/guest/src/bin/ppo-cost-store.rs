// SPDX-License-Identifier: GPL-2.0

//! What the store's operations cost, in instructions: under QEMU's -icount a
//! nanosecond of the guest is one. It is the module's code, compiled by the same
//! compiler for another target: the module's own figures differ a little.

use std::hint::black_box;
use std::time::Instant;

use common::{Heap, PUT, TASK, failure};
use page_pin_owner_store::depot::{Depot, Handle};
use page_pin_owner_store::page_ext::PageExt;

#[path = "../../../../rust/store/benches/common/mod.rs"]
mod common;

/// So few that most runs end before the next tick of the timer.
const TIMES: u64 = 1000;
/// Of so many the cheapest run counts.
const RUNS: u32 = 20;
/// New stacks in a run: fewer than the pools kept ready hold.
const NEW_STACKS: u64 = 64;

/// The instructions of `run` for each of `times` numbers, with the loop around it.
/// What has to be done before each run is not counted.
fn loop_of(times: u64, mut before: impl FnMut(), mut run: impl FnMut(u64)) -> f64 {
    let runs = (0..RUNS).map(|_| {
        before();
        let began = Instant::now();
        for n in 0..times {
            run(black_box(n));
        }
        began.elapsed().as_nanos()
    });
    runs.min().unwrap_or(0) as f64 / times as f64
}

/// Prints what `run` costs without the loop.
fn report(name: &str, times: u64, before: impl FnMut(), run: impl FnMut(u64)) {
    let cost = loop_of(times, before, run) - loop_of(times, || (), |_| ());
    println!("{name} {cost:.1}");
}

/// As [`report`], of what can be done over and over.
fn cost(name: &str, run: impl FnMut(u64)) {
    report(name, TIMES, || (), run);
}

fn depot() {
    for len in [4, 7, 11, 16] {
        let depot = Depot::new();
        depot.set_cap(1 << 20);
        let refill = || {
            // SAFETY: nobody else is here.
            unsafe { depot.drain(&Heap) };
            depot.refill(&Heap);
        };
        let mut frames = [0; 16];
        for (n, frame) in (0..).zip(&mut frames) {
            *frame = 0xffff_ffff_8100_0000 + 0x1234 * n;
        }
        // The outermost differs, as it is compared last.
        let mut save = |n| {
            frames[len - 1] = n;
            assert_ne!(depot.save(&frames[..len]), Handle::LOST);
        };
        report(&format!("save-new-{len}"), NEW_STACKS, refill, &mut save);
        cost(&format!("save-known-{len}"), |_| save(0));
        // SAFETY: nobody else is here.
        unsafe { depot.drain(&Heap) };
    }

    let depot = Depot::new();
    depot.set_cap(1 << 20);
    depot.refill(&Heap);
    let stack = depot.get(depot.save(&[1, 2, 3])).expect("room");
    cost("put-stack", |_| stack.put(black_box(&PUT)));
    // SAFETY: nobody else is here.
    unsafe { depot.drain(&Heap) };
}

fn marks() {
    let marks = PageExt::new();
    marks.configure(TIMES as u32, 0);
    let mark = |pfn| {
        let marked = marks.mark(&failure(pfn), &Heap, |_, _| ());
        assert!(marked.is_ok());
    };
    // What a put of any page begins with.
    let test = |pfn: u64| {
        black_box(!marks.is_empty() && marks.maybe_marked((pfn / 64) as usize));
    };
    cost("test-nothing-marked", test);
    mark(1 << 30);
    cost("test-marked-elsewhere", test);
    cost("lookup-no-block", |pfn| drop(black_box(marks.lookup(pfn))));
    mark(1);
    cost("lookup-unmarked", |_| {
        drop(black_box(marks.lookup(black_box(2))))
    });
    cost("lookup-marked", |_| {
        drop(black_box(marks.lookup(black_box(1))))
    });
    let record = marks.lookup(1).expect("marked");
    cost("put-record", |n| {
        black_box(record.put(1, n as u32, &TASK));
    });
    cost("snapshot", |_| {
        black_box(record.snapshot());
    });
    drop(record);
    cost("mark-again", |_| mark(black_box(1)));

    let forget_all = || {
        marks.forget(0, TIMES, |_| ());
        marks.forget(1 << 30, 1, |_| ());
    };
    // Once beforehand, for the blocks.
    (0..TIMES).for_each(mark);
    report("mark-new", TIMES, forget_all, mark);
    report(
        "forget",
        TIMES,
        || (0..TIMES).for_each(mark),
        |pfn| marks.forget(pfn, 1, |_| ()),
    );
    // Twice as many as there is room for: each pushes one out.
    let mut next = (0..2 * TIMES).cycle();
    (&mut next).take(2 * TIMES as usize).for_each(mark);
    cost("mark-evict", |_| mark(next.next().unwrap_or(0)));
    // SAFETY: nobody else is here.
    unsafe { marks.drain(&Heap, |_, _| ()) };
}

fn main() {
    depot();
    marks();
}
