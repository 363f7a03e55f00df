// SPDX-License-Identifier: GPL-2.0

//! Stacks, and what is counted of their puts.

use super::{task, Host, Meeting};
use crate::depot::{Depot, Handle, Put, Puts, Stack, MAX_FRAMES, OVERHEAD_BYTES, POOL_BYTES};
use crate::reason::{Reason, ReasonSet};
use crate::record::Task;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// A stack as the model has it.
struct Known {
    handle: Handle,
    hits: u32,
    puts: Vec<Put>,
}

/// All that [`Stack::puts`] tells.
fn told(puts: &Puts) -> (u64, u32, ReasonSet, [u64; 3], Task, bool) {
    let ages = [puts.age_min, puts.age_max, puts.age_sum];
    (
        puts.puts,
        puts.folios,
        puts.reasons,
        ages,
        puts.task,
        puts.whole,
    )
}

/// What it should tell of these puts.
fn tally(puts: &[Put]) -> Option<Puts> {
    let ages = || puts.iter().map(|put| put.age);
    let reasons = puts.iter().map(|put| put.reason.0);
    Some(Puts {
        puts: puts.len() as u64,
        folios: puts.iter().filter(|put| put.is_first).count() as u32,
        reasons: ReasonSet(reasons.filter(|&n| n < 32).fold(0, |set, n| set | (1 << n))),
        age_min: ages().min()?,
        age_max: ages().max()?,
        age_sum: ages().fold(0, u64::wrapping_add),
        task: puts.last()?.task,
        whole: true,
    })
}

fn put() -> impl Strategy<Value = Put> {
    let age = prop_oneof![0u64..1000, any::<u64>()];
    (any::<bool>(), 0u8..40, age, any::<u32>()).prop_map(|(is_first, reason, age, n)| Put {
        is_first,
        reason: Reason(reason),
        age,
        task: task(n),
    })
}

proptest! {
    #[test]
    fn a_depot_gives_back_what_was_saved(
        stacks in prop::collection::vec(
            (prop::collection::vec(0u64..4, 1..70), prop::collection::vec(put(), 0..4)),
            1..200,
        ),
        pools in 1usize..4,
    ) {
        let (depot, mem) = (Depot::new(), Host::new(i64::MAX));
        depot.set_cap(OVERHEAD_BYTES + pools * POOL_BYTES);
        let mut known: BTreeMap<Vec<u64>, Known> = BTreeMap::new();
        let mut lost = 0;
        for (mut stack, puts) in stacks {
            depot.refill(&mem);
            let handle = depot.save(&stack);
            stack.truncate(MAX_FRAMES);
            if handle == Handle::LOST {
                prop_assert!(!known.contains_key(&stack));
                lost += 1;
                continue;
            }
            let is_others = |other: &Known| other.handle == handle;
            prop_assert!(known.contains_key(&stack) || !known.values().any(is_others));
            let known = known.entry(stack).or_insert(Known { handle, hits: 0, puts: Vec::new() });
            prop_assert_eq!(handle, known.handle);
            known.hits += 1;
            for put in puts {
                depot.get(handle).expect("stored").put(&put);
                known.puts.push(put);
            }
        }
        for (stack, known) in &known {
            let found = depot.get(known.handle).expect("stored");
            prop_assert_eq!(&found.frames().collect::<Vec<_>>(), stack);
            prop_assert_eq!(found.hits(), known.hits);
            let puts = found.puts();
            prop_assert_eq!(puts.as_ref().map(told), tally(&known.puts).as_ref().map(told));
        }
        let listed: usize = (0..).map_while(|b| depot.bucket(b)).map(Iterator::count).sum();
        prop_assert_eq!(listed, known.len());
        let figures = depot.figures();
        prop_assert_eq!(figures.stacks as usize, known.len());
        prop_assert_eq!(figures.lost, lost);
        prop_assert_eq!(figures.bytes as i64, mem.out());
        prop_assert!(figures.cap == OVERHEAD_BYTES + pools * POOL_BYTES);
        depot.audit();
        // SAFETY: The test is the only user.
        unsafe { depot.drain(&mem) };
        prop_assert_eq!(mem.out(), 0);
    }
}

/// Two stacks of one hash: the second frame makes up for the first.
#[test]
fn stacks_of_one_hash_are_kept_apart() {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let (depot, mem) = (Depot::new(), Host::new(100));
    depot.set_cap(64 * 1024);
    depot.refill(&mem);
    let mixed = |frame: u64| (2u64.rotate_left(5) ^ frame).wrapping_mul(K).rotate_left(5);
    let stacks = [1, 2].map(|frame| [frame, mixed(frame)]);
    let handles = stacks.map(|stack| depot.save(&stack));
    assert_ne!(handles[0], handles[1]);
    assert_eq!(handles, stacks.map(|stack| depot.save(&stack)));
    let mut buckets = (0..).map_while(|b| depot.bucket(b));
    let both: Vec<_> = (buckets.find_map(|bucket| {
        let stacks: Vec<_> = bucket.map(|stack| stack.handle).collect();
        stacks.contains(&handles[0]).then_some(stacks)
    }))
    .expect("stored");
    assert!(both.contains(&handles[1]), "not of one hash any more");
    // SAFETY: The test is the only user.
    unsafe { depot.drain(&mem) };
}

#[test]
fn a_stack_without_puts_has_nothing_to_tell() {
    let (depot, mem) = (Depot::new(), Host::new(100));
    depot.set_cap(64 * 1024);
    depot.refill(&mem);
    let stack = |frames: &[u64]| depot.get(depot.save(frames)).expect("room");
    let (one, other) = (stack(&[1, 2]), stack(&[1, 3]));
    assert!(one.puts().is_none());
    // The oldest there can be is not taken for none.
    one.put(&Put {
        is_first: false,
        reason: Reason(31),
        age: u64::MAX,
        task: task(9),
    });
    let puts = one.puts().expect("one put");
    let ages = [u64::MAX; 3];
    assert_eq!(told(&puts), (1, 0, ReasonSet(1 << 31), ages, task(9), true));
    assert!(other.puts().is_none());
    assert_eq!((one.hits(), one.frames().len()), (1, 2));
    // SAFETY: The test is the only user.
    unsafe { depot.drain(&mem) };
}

#[test]
fn a_depot_without_pools_loses_and_counts() {
    let depot = Depot::new();
    depot.set_cap(64 * 1024);
    assert!(depot.wants_refill());
    assert_eq!(depot.save(&[1, 2]), Handle::LOST);
    assert_eq!(depot.figures().lost, 1);
    assert!(depot.get(Handle::LOST).is_none());
    assert_eq!(depot.save(&[]), Handle::LOST, "not even an empty one");
    assert_eq!(depot.figures().lost, 2);
    assert!(!depot.refill(&Host::new(3)), "memory ran out");
    assert_eq!(depot.save(&[1, 2]), Handle::LOST);
}

/// Threads that save the same stacks get the same handles, and each stack is there once.
#[test]
fn threads_store_each_stack_once() {
    let (depot, mem) = (Depot::new(), Host::new(i64::MAX));
    depot.set_cap(1 << 20);
    let handles: Vec<Vec<Handle>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4usize)
            .map(|thread| {
                let depot = &depot;
                scope.spawn(move || {
                    let mut handles = vec![Handle::LOST; 500];
                    for i in 0..500usize {
                        let n = (i * [1, 3, 7, 9][thread]) % 500;
                        let stack: Vec<u64> =
                            (0..n as u64 % 20 + 1).map(|f| f + n as u64).collect();
                        while handles[n] == Handle::LOST {
                            handles[n] = depot.save(&stack);
                        }
                    }
                    handles
                })
            })
            .collect();
        while threads.iter().any(|t| !t.is_finished()) {
            depot.refill(&mem);
        }
        threads
            .into_iter()
            .map(|t| t.join().expect("no panic"))
            .collect()
    });
    assert!(handles.iter().all(|other| *other == handles[0]));
    let different: std::collections::HashSet<_> = handles[0].iter().collect();
    assert_eq!(depot.figures().stacks as usize, different.len());
    depot.audit();
    // SAFETY: The threads are gone.
    unsafe { depot.drain(&mem) };
    assert_eq!(mem.out(), 0);
}

/// Whoever loses the race for a stack gives its room back: what was written there shows in none
/// of the smaller stacks that come to lie there.
#[test]
fn room_that_was_given_back_holds_nothing() {
    const ROUNDS: u32 = 10_000;
    let (depot, mem) = (Depot::new(), Host::new(i64::MAX));
    depot.set_cap(64 << 20);
    let here = Meeting::default();
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (depot, mem, here) = (&depot, &mem, &here);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    if thread == 0 {
                        depot.refill(mem);
                    }
                    here.meet();
                    // The same one twice, then one for each, over what was given back.
                    depot.save(&[u64::from(round) | (1 << 63); MAX_FRAMES]);
                    depot.save(&[u64::from(round), thread]);
                    here.meet();
                    if thread == 0 {
                        depot.save(&[u64::from(round), 2]);
                    }
                }
            });
        }
    });
    let mut stacks = 0;
    for stack in (0..).map_while(|b| depot.bucket(b)).flatten() {
        stacks += 1;
        let frames: Vec<_> = stack.frames().collect();
        assert!(stack.puts().is_none(), "{frames:?} {:?}", stack.puts());
    }
    assert_eq!(stacks, 4 * ROUNDS);
    // SAFETY: The threads are gone.
    unsafe { depot.drain(&mem) };
    assert_eq!(mem.out(), 0);
}

/// Of two puts at once both are counted, and one of them is the last.
#[test]
fn two_puts_at_once_are_both_in_the_tally() {
    const ROUNDS: u32 = 10_000;
    const MIDDLE: u64 = 1 << 32;
    let (depot, mem) = (Depot::new(), Host::new(100));
    depot.set_cap(64 * 1024);
    depot.refill(&mem);
    let stack = depot.get(depot.save(&[1, 2, 3])).expect("room");
    let here = Meeting::default();
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (stack, here) = (&stack, &here);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let n = 2 * round + thread;
                    here.meet();
                    stack.put(&Put {
                        is_first: round % 2 == 0,
                        reason: Reason(thread as u8),
                        // Each a new least or greatest one.
                        age: match round % 2 {
                            0 => MIDDLE - u64::from(n),
                            _ => MIDDLE + u64::from(n),
                        },
                        task: task(n),
                    });
                    here.meet();
                    let last = stack.puts().expect("puts");
                    assert!(last.whole);
                    assert_eq!(last.puts, 2 * u64::from(round) + 2);
                    assert_eq!(last.folios, round / 2 * 2 + 2);
                    let fours = u64::from(round / 2 * 4);
                    assert_eq!(last.age_min, MIDDLE - fours - 1);
                    if round % 2 == 1 {
                        assert_eq!(last.age_max, MIDDLE + fours + 3);
                        // Four puts add up to four times the middle, and four more.
                        assert_eq!(last.age_sum, (fours + 4) * (MIDDLE + 1));
                    }
                    assert_eq!(last.task.pid / 2, round as i32);
                    assert_eq!(last.task, task(last.task.pid as u32));
                    assert_eq!(last.reasons, ReasonSet(3));
                    here.meet();
                }
            });
        }
    });
    // SAFETY: The threads are gone.
    unsafe { depot.drain(&mem) };
}

/// Threads whose puts follow from one number: a tally that calls itself whole shows one of them as
/// the last, its sums fit each other, and they are exact in the end.
#[test]
fn a_whole_tally_is_of_one_moment() {
    const PUTS: u32 = 30_000;
    let (depot, mem) = (Depot::new(), Host::new(100));
    depot.set_cap(64 * 1024);
    depot.refill(&mem);
    let stack: Stack<'_> = depot.get(depot.save(&[1, 2, 3])).expect("room");
    let check = |puts: &Puts| {
        assert_eq!(u64::from(puts.folios), puts.puts);
        assert_eq!(puts.age_sum, 5 * puts.puts);
        assert_eq!((puts.age_min, puts.age_max), (5, 5));
        assert_eq!(puts.task, task(puts.task.pid as u32));
        assert_eq!(puts.reasons, ReasonSet(1 << 6));
    };
    let done = AtomicBool::new(false);
    let wholes = std::thread::scope(|scope| {
        let threads = [0, 1, 2, 3].map(|thread| {
            let stack = &stack;
            scope.spawn(move || {
                for i in 0..PUTS {
                    stack.put(&Put {
                        is_first: true,
                        reason: Reason(6),
                        age: 5,
                        task: task(4 * i + thread),
                    });
                    // Readers need a pause now and then.
                    if i % 64 == 0 {
                        std::thread::yield_now();
                    }
                }
            })
        });
        let reader = scope.spawn(|| {
            let mut wholes = 0;
            while !done.load(Ordering::Relaxed) {
                if let Some(puts) = stack.puts().filter(|puts| puts.whole) {
                    wholes += 1;
                    check(&puts);
                }
            }
            wholes
        });
        for thread in threads {
            thread.join().expect("no panic");
        }
        done.store(true, Ordering::Relaxed);
        reader.join().expect("no panic")
    });
    assert!(wholes > 100, "only {wholes} tallies were whole");
    let puts = stack.puts().expect("many");
    assert!(puts.whole);
    check(&puts);
    assert_eq!(puts.puts, 4 * u64::from(PUTS));
    // SAFETY: The threads are gone.
    unsafe { depot.drain(&mem) };
}
