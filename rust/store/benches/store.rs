// SPDX-License-Identifier: GPL-2.0

//! What the store costs on the host. tests/scenarios/store.sh counts instructions instead.

mod common;

use common::{failure, Heap, PUT, TASK};
use criterion::{BenchmarkId, Criterion, Throughput};
use page_pin_owner_store::depot::{Depot, Handle};
use page_pin_owner_store::page_ext::PageExt;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Marks that give their memory back.
struct Marks(PageExt);

impl Marks {
    fn new(cap: u32) -> Self {
        let marks = PageExt::new();
        marks.configure(cap, 0);
        Marks(marks)
    }

    fn mark(&self, pfn: u64) {
        let marked = self.0.mark(&failure(pfn), &Heap, |_, _| ());
        black_box(marked).expect("room");
    }

    /// The two tests that a put of any page begins with.
    fn test(&self, pfn: u64) -> bool {
        !self.0.is_empty() && self.0.maybe_marked((pfn / 64) as usize)
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        // SAFETY: Nobody else is here.
        unsafe { self.0.drain(&Heap, |_, _| ()) };
    }
}

/// Runs `iterations` of `run`, which is given their numbers below `batch`; `between` is not timed.
fn in_batches(
    iterations: u64,
    batch: u64,
    mut run: impl FnMut(u64),
    mut between: impl FnMut(),
) -> Duration {
    let mut spent = Duration::ZERO;
    let mut left = iterations;
    while left != 0 {
        let now = left.min(batch);
        let began = Instant::now();
        (0..now).for_each(&mut run);
        spent += began.elapsed();
        between();
        left -= now;
    }
    spent
}

fn stacks(c: &mut Criterion) {
    const STACKS: u64 = 4096;
    let mut group = c.benchmark_group("depot");
    for len in [4, 7, 11, 16] {
        let stack = |n: u64| {
            let mut frames = [0xffff_ffff_8100_0000u64; 16];
            frames[0] += n;
            frames
        };
        let depot = Depot::new();
        depot.set_cap(4 << 20);
        let save = |n| {
            let handle = depot.save(black_box(&stack(n)[..len]));
            if handle == Handle::LOST {
                depot.refill(&Heap);
            }
        };
        depot.refill(&Heap);
        group.bench_function(BenchmarkId::new("save, known", len), |b| {
            (0..2 * STACKS).for_each(save);
            b.iter_custom(|n| in_batches(n, STACKS, save, || ()));
        });
        // SAFETY: Nobody else is here.
        let empty = || unsafe { depot.drain(&Heap) };
        // Fewer than the pools that are kept ready hold.
        group.bench_function(BenchmarkId::new("save, new", len), |b| {
            empty();
            depot.refill(&Heap);
            b.iter_custom(|n| {
                in_batches(n, 64, save, || {
                    empty();
                    depot.refill(&Heap);
                })
            });
        });
        empty();
    }
    let depot = Depot::new();
    depot.set_cap(1 << 20);
    depot.refill(&Heap);
    let stack = depot.get(depot.save(&[1, 2, 3])).expect("room");
    group.bench_function("put", |b| b.iter(|| stack.put(black_box(&PUT))));
    group.bench_function("puts", |b| b.iter(|| stack.puts()));
    group.finish();
    // SAFETY: Nobody else is here.
    unsafe { depot.drain(&Heap) };
}

fn marks(c: &mut Criterion) {
    const CAP: u64 = 1024;
    let mut group = c.benchmark_group("marks");
    let none = Marks::new(10);
    group.bench_function("test, nothing marked", |b| {
        b.iter(|| none.test(black_box(5)))
    });
    let marks = Marks::new(CAP as u32);
    marks.mark(5);
    group.bench_function("test, marked elsewhere", |b| {
        b.iter(|| marks.test(black_box(70)))
    });
    group.bench_function("look-up, block of another", |b| {
        b.iter(|| marks.0.lookup(black_box(6)).is_some())
    });
    group.bench_function("look-up, marked", |b| {
        b.iter(|| marks.0.lookup(black_box(5)).is_some())
    });
    group.bench_function("put", |b| {
        let record = marks.0.lookup(5).expect("marked");
        b.iter(|| record.put(black_box(1), black_box(9), &TASK))
    });
    group.bench_function("snapshot", |b| {
        let record = marks.0.lookup(5).expect("marked");
        b.iter(|| record.snapshot())
    });
    group.bench_function("mark, again", |b| b.iter(|| marks.mark(black_box(5))));
    group.bench_function("mark, new", |b| {
        let forget = || marks.0.forget(0, CAP, |_| ());
        forget();
        b.iter_custom(|n| in_batches(n, CAP, |pfn| marks.mark(pfn), forget));
    });
    group.bench_function("mark, evicting one", |b| {
        let pfns = (0..2 * CAP).cycle();
        pfns.clone()
            .take(CAP as usize)
            .for_each(|pfn| marks.mark(pfn));
        let mut pfns = pfns.skip(CAP as usize);
        b.iter(|| marks.mark(pfns.next().unwrap_or(0)))
    });
    group.finish();
}

/// How marks behave as they become many, one in each of as many blocks.
fn growth(c: &mut Criterion) {
    let mut group = c.benchmark_group("growth");
    group.sample_size(20);
    for count in [100u64, 1000, 10_000, 100_000] {
        group.throughput(Throughput::Elements(count));
        let pfns = (0..count).map(|n| n * 64 + n % 64);
        group.bench_function(BenchmarkId::new("mark all", count), |b| {
            b.iter_custom(|n| {
                let mut spent = Duration::ZERO;
                for _ in 0..n {
                    let marks = Marks::new(count as u32);
                    let began = Instant::now();
                    pfns.clone().for_each(|pfn| marks.mark(pfn));
                    spent += began.elapsed();
                }
                spent
            });
        });
        let marks = Marks::new(count as u32);
        pfns.clone().for_each(|pfn| marks.mark(pfn));
        group.bench_function(BenchmarkId::new("look up all", count), |b| {
            b.iter(|| {
                pfns.clone()
                    .filter(|&pfn| marks.0.lookup(pfn).is_some())
                    .count()
            })
        });
        // From a few thousand marks on the filter lets all through to the tables.
        let others = (count..2 * count).map(|n| n * 64);
        let is_marked = |&pfn: &u64| marks.test(black_box(pfn)) && marks.0.lookup(pfn).is_some();
        group.bench_function(BenchmarkId::new("test as many, unmarked", count), |b| {
            b.iter(|| others.clone().filter(is_marked).count())
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    stacks(&mut criterion);
    marks(&mut criterion);
    growth(&mut criterion);
    criterion.final_summary();
}
