// SPDX-License-Identifier: GPL-2.0

//! The ledger against histories of gets and puts of which it is known which put gives back what.

use super::super::depot::{Depot, Handle};
use super::super::ledger::{
    Change, Entry, Function, Functions, Ledger, Refused, Snapshot, CHUNK_LEN, MAX_ENTRIES, PIN,
};
use super::Host;
use proptest::prelude::*;

/// Functions of 256 bytes; the first is called by all who take or give back.
struct Kernel;

impl Functions for Kernel {
    fn of(&self, address: u64) -> Option<Function> {
        Some(Function {
            start: address & !0xff,
            size: 0x100,
            is_telling: address >= 0x100,
            is_batch: false,
        })
    }
}

/// A stack: noise, then a call of function `name` by a system call.
fn stack(depot: &Depot, name: u64, caller: u64) -> Handle {
    depot.save(&[
        0x10,
        name * 0x100 + 0x20,
        caller * 0x100 + 0x30,
        0xffff_0040,
    ])
}

/// A page, as the kernel sees it, and the ledger that is told of it.
struct Told {
    depot: Depot,
    ledger: Ledger,
    mem: Host,
    count: i32,
    expected: i32,
    now: u32,
}

const PFN: u64 = 0x1234;

impl Told {
    /// A page that is mapped once and has `old` references besides, not watched before.
    fn new(entries: u32, old: i32) -> Self {
        let (depot, ledger, mem) = (Depot::new(), Ledger::new(), Host::new(1000));
        depot.set_cap(1 << 20);
        assert!(depot.refill(&mem));
        ledger.configure(entries, usize::MAX);
        assert_eq!(ledger.reserve(PFN, 1, &mem), Ok(()));
        ledger.watch(PFN, 1);
        Told {
            depot,
            ledger,
            mem,
            count: 1 + old,
            expected: 1,
            now: 0,
        }
    }

    /// It is freed, and allocated and mapped anew.
    fn allocate(&mut self) {
        self.ledger.freed(PFN);
        (self.count, self.expected) = (1, 0);
        let stack = stack(&self.depot, 1, 1);
        let change = self.change(1, stack, 1);
        self.ledger.set(PFN, &change);
        self.expected = 1;
    }

    fn change(&mut self, refs: i32, stack: Handle, pid: i32) -> Change {
        self.now += 1;
        Change {
            refs,
            count: self.count,
            expected: self.expected,
            mapcount: self.expected,
            stack,
            pid,
            now: self.now,
        }
    }

    fn refs(&mut self, refs: i32, stack: Handle, pid: i32) {
        self.count += refs;
        let change = self.change(refs, stack, pid);
        self.ledger.change(PFN, &change, &self.depot, &Kernel);
        assert!(self.depot.refill(&self.mem));
    }

    fn read(&self) -> Snapshot {
        self.ledger.read(PFN).expect("watched")
    }

    fn entries(&self) -> Vec<Entry> {
        self.read().entries.iter().flatten().copied().collect()
    }

    fn live(&self) -> Vec<Entry> {
        self.entries().into_iter().filter(|e| !e.is_gone).collect()
    }
}

#[test]
fn a_reference_is_named_until_it_is_given_back() {
    let mut page = Told::new(8, 0);
    page.allocate();
    let (get, put) = (stack(&page.depot, 10, 20), stack(&page.depot, 11, 21));
    page.refs(PIN as i32, get, 7);
    let entry = page.live()[0];
    assert_eq!(
        (entry.stack, entry.pid, entry.refs, entry.is_pin),
        (get, 7, PIN, true)
    );
    assert_eq!(page.live().len(), 1, "the allocation's is the mapping's");
    page.refs(-(PIN as i32), put, 8);
    assert!(page.entries().is_empty());
}

#[test]
fn what_is_older_than_the_watch_has_no_name() {
    let mut page = Told::new(8, 3);
    let (get, put) = (stack(&page.depot, 10, 20), stack(&page.depot, 11, 21));
    page.refs(1, get, 7);
    let live = page.live();
    assert_eq!(live.len(), 2);
    assert!(live[0].is_unseen && live[0].refs == 3 && live[0].pid == -1);
    page.refs(-1, put, 7);
    assert!(
        page.live().iter().all(|e| e.is_unseen && e.refs == 3),
        "{live:?}"
    );
}

#[test]
fn fast_gup_takes_a_pin_in_two_steps() {
    let mut page = Told::new(8, 0);
    let (try_get, add) = (stack(&page.depot, 10, 20), stack(&page.depot, 10, 21));
    page.refs(2, try_get, 7);
    page.refs(2 * (PIN as i32 - 1), add, 7);
    let live = page.live();
    assert_eq!(live.len(), 1);
    assert!(live[0].is_pin && live[0].refs == 2 * PIN && live[0].stack == add);
}

#[test]
fn fast_gup_leaves_what_the_task_had_before() {
    let mut page = Told::new(8, 0);
    let (get, add) = (stack(&page.depot, 10, 20), stack(&page.depot, 11, 21));
    page.refs(1, get, 7);
    page.refs(1, add, 7);
    page.refs(PIN as i32 - 1, add, 7);
    let live = page.live();
    let refs: Vec<_> = live.iter().map(|e| (e.stack, e.refs, e.is_pin)).collect();
    assert_eq!(refs, [(get, 1, false), (add, PIN, true)]);
}

#[test]
fn a_function_gives_back_what_it_took_itself() {
    let mut page = Told::new(8, 0);
    // Inside function 30: a look-up, then one that is kept; then the look-up's is given back.
    let look_up = page.depot.save(&[0x10, 0x4020, 0x3030, 0xffff_0040]);
    let keep = page.depot.save(&[0x5020, 0x3050, 0xffff_0040]);
    let put = page.depot.save(&[0x10, 0x3070, 0xffff_0040]);
    for _ in 0..3 {
        page.refs(1, look_up, 7);
        page.refs(1, keep, 7);
        page.refs(-1, put, 7);
    }
    let live = page.live();
    assert_eq!(live.len(), 3);
    assert!(live.iter().all(|e| e.stack == keep), "{live:?}");
}

#[test]
fn more_than_there_is_room_for_is_told() {
    let mut page = Told::new(4, 0);
    for n in 0..5 {
        let get = stack(&page.depot, 10 + n, 20);
        page.refs(1, get, n as i32 + 1);
    }
    assert_eq!(page.live().len(), 4);
    assert!(page.read().overflowed);
    page.ledger.freed(PFN);
    assert!(page.live().is_empty() && !page.read().overflowed);
}

#[test]
fn what_one_task_takes_at_one_place_finds_room() {
    let mut page = Told::new(4, 0);
    let other = stack(&page.depot, 9, 20);
    let (get, put) = (stack(&page.depot, 10, 20), stack(&page.depot, 11, 20));
    page.refs(1, other, 8);
    for _ in 0..512 {
        page.refs(1, get, 7);
    }
    let refs = |page: &Told, stack| -> u32 {
        let live = page.live();
        live.iter()
            .filter(|e| e.stack == stack)
            .map(|e| e.refs)
            .sum()
    };
    assert_eq!((refs(&page, get), refs(&page, other)), (512, 1));
    assert!(!page.read().overflowed);
    for _ in 0..512 {
        page.refs(-1, put, 7);
    }
    assert_eq!((refs(&page, get), refs(&page, other)), (0, 1));
}

#[test]
fn there_is_room_again_when_nobody_holds_the_page() {
    let mut page = Told::new(2, 0);
    for n in 0..3 {
        let get = stack(&page.depot, 10 + n, 20);
        page.refs(1, get, 7);
    }
    assert!(page.read().overflowed);
    let put = stack(&page.depot, 30, 20);
    for _ in 0..3 {
        page.refs(-1, put, 7);
    }
    assert!(page.live().is_empty() && !page.read().overflowed);
}

#[test]
fn a_pin_is_not_taken_for_what_is_just_being_put() {
    let mut page = Told::new(8, 0);
    let (other, pin) = (stack(&page.depot, 9, 20), stack(&page.depot, 10, 20));
    let (look, put) = (stack(&page.depot, 11, 20), stack(&page.depot, 12, 20));
    page.refs(1, other, 8);
    // Put, and it is late to say so: meanwhile somebody pins the page, and looks at it.
    page.count -= 1;
    page.refs(PIN as i32, pin, 7);
    page.refs(1, look, 7);
    let late = page.change(-1, put, 8);
    page.ledger.change(PFN, &late, &page.depot, &Kernel);
    let live = page.live();
    let refs: Vec<_> = live.iter().map(|e| (e.stack, e.refs, e.is_pin)).collect();
    assert_eq!(refs, [(pin, PIN, true), (look, 1, false)]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let (ledger, mem) = (Ledger::new(), Host::new(1000));
    let chunk = CHUNK_LEN as u64;
    ledger.configure(8, 150_000);
    // Two chunks of 13 pages each and their tables, from the middle of one on.
    let refused = ledger.reserve(chunk / 2, 10 * chunk, &mem);
    assert_eq!(
        refused,
        Err(Refused::Full {
            pages: chunk / 2 + chunk
        })
    );
    assert_eq!(ledger.figures().bytes, 0, "and nothing is taken");
    assert_eq!(ledger.reserve(chunk / 2, chunk / 2 + chunk, &mem), Ok(()));
    assert!(ledger.figures().bytes <= 150_000);
    assert_eq!(ledger.reserve(u64::MAX - 1, 1, &mem), Err(Refused::Range));
    // SAFETY: Nobody else has the ledger.
    unsafe { ledger.drain(&mem) };
    assert_eq!(ledger.figures().bytes, 0);
}

/// What happens to a page.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// A reference, or a pin, by way of one of some functions, each of which has its own to give
    /// it back, by one of some tasks.
    Get { way: u64, pid: i32, pin: bool },
    /// One of those that are open is given back.
    Put { which: usize },
    /// A mapping: a reference, and soon it is accounted for.
    Map { pid: i32 },
    /// The reverse.
    Unmap { pid: i32 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..6u64, 1..4i32, any::<bool>()).prop_map(|(way, pid, pin)| Act::Get { way, pid, pin }),
        4 => (0..100usize).prop_map(|which| Act::Put { which }),
        1 => (1..4i32).prop_map(|pid| Act::Map { pid }),
        1 => (1..4i32).prop_map(|pid| Act::Unmap { pid }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever happens: the entries are as many references as nobody accounts for; and once each
    /// way is known, those that are open are named.
    #[test]
    fn all_that_is_open_is_named(acts in prop::collection::vec(act(), 1..60), old in 0..3i32) {
        let mut page = Told::new(8, 0);
        let gets: Vec<_> = (0..6).map(|way| stack(&page.depot, 10 + way, 40)).collect();
        let puts: Vec<_> = (0..6).map(|way| stack(&page.depot, 20 + way, 41)).collect();
        let (map, unmap) = (stack(&page.depot, 2, 42), stack(&page.depot, 3, 43));
        // Each way once, with nobody else there.
        for way in 0..6 {
            page.refs(1, gets[way], 1);
            page.refs(-1, puts[way], 1);
        }
        // A mapping, and somebody who comes by while it is there.
        page.refs(1, map, 1);
        page.expected += 1;
        page.refs(1, gets[0], 1);
        page.refs(-1, puts[0], 1);
        page.expected -= 1;
        page.refs(-1, unmap, 1);
        prop_assert!(page.entries().is_empty());
        // References that nobody has seen.
        page.count += old;
        let mut open: Vec<(u64, i32, bool)> = Vec::new();
        for act in acts {
            match act {
                Act::Get { way, pid, pin } if open.len() + 2 < MAX_ENTRIES => {
                    page.refs(if pin { PIN as i32 } else { 1 }, gets[way as usize], pid);
                    open.push((way, pid, pin));
                }
                Act::Put { which } if !open.is_empty() => {
                    // Of those that are alike it is the oldest: who looks can't tell them apart.
                    let (way, pid, pin) = open[which % open.len()];
                    let at = open.iter().position(|&o| o == (way, pid, pin)).expect("itself");
                    open.remove(at);
                    page.refs(if pin { -(PIN as i32) } else { -1 }, puts[way as usize], pid);
                }
                Act::Map { pid } => {
                    page.refs(1, map, pid);
                    page.expected += 1;
                }
                Act::Unmap { pid } if page.expected > 1 => {
                    page.expected -= 1;
                    page.refs(-1, unmap, pid);
                }
                _ => continue,
            }
            let live = page.live();
            let total: u32 = live.iter().map(|e| e.refs).sum();
            let mapped_last = matches!(act, Act::Map { .. });
            let excess = page.count - page.expected + i32::from(mapped_last);
            prop_assert_eq!(total as i32, excess, "{:?} {:?}", act, live);
            for &(way, pid, pin) in &open {
                let same = |o: &&(u64, i32, bool)| **o == (way, pid, pin);
                let truly = open.iter().filter(same).count();
                let named = live.iter().filter(|e| {
                    (e.stack, e.pid, e.is_pin) == (gets[way as usize], pid, pin)
                });
                prop_assert!(named.count() >= truly, "{:?} open {:?} live {:?}", act, open, live);
            }
            let seen: u32 = live.iter().filter(|e| e.is_unseen).map(|e| e.refs).sum();
            prop_assert_eq!(seen as i32, old, "{:?} {:?}", act, live);
        }
    }
}
