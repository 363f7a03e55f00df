// SPDX-License-Identifier: GPL-2.0

//! What the ledger says of pins of which the truth is known, recorded in a guest: see
//! tests/traces/record.sh for how, and ppo-changes for the format.

use super::super::class::{is_telling, Class};
use super::super::depot::{Depot, Handle};
use super::super::ledger::{Change, Entry, Function, Functions, Ledger, Snapshot, Untold};
use super::Host;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::read::GzDecoder;

/// As ppo_refs numbers them.
mod op {
    pub const SET: u32 = 0;
    pub const MOD: u32 = 1;
    pub const MOD_AND_TEST: u32 = 2;
    pub const MOD_AND_RETURN: u32 = 3;
    pub const MOD_UNLESS: u32 = 4;
    pub const FREEZE: u32 = 5;
    pub const UNFREEZE: u32 = 6;
}

struct Recorded {
    time: u64,
    pfn: u64,
    op: u32,
    ret: i32,
    change: Change,
}

struct Pin {
    way: String,
    taken: (u64, u64),
    released: (u64, u64),
    pfns: Vec<u64>,
}

#[derive(Default)]
struct Trace {
    changes: Vec<Recorded>,
    /// Function and offset of each frame, by handle.
    stacks: HashMap<u32, Vec<(String, u64)>>,
    pins: BTreeMap<u32, Pin>,
    /// The changes of each page, by index.
    pages: HashMap<u64, Vec<usize>>,
}

impl Trace {
    fn read(path: &Path) -> Self {
        let mut trace = Trace::default();
        let file = File::open(path).expect("a trace");
        for line in BufReader::new(GzDecoder::new(file)).lines() {
            let line = line.expect("a line");
            let words: Vec<&str> = line.split(' ').collect();
            let n = |i: usize| -> i64 { words[i].parse().expect("a number") };
            match words[0] {
                "change" => trace.changes.push(Recorded {
                    time: n(1) as u64,
                    pfn: n(2) as u64,
                    op: n(3) as u32,
                    ret: n(5) as i32,
                    change: Change {
                        refs: n(4) as i32,
                        count: n(6) as i32,
                        expected: n(7) as i32,
                        mapcount: n(8) as i32,
                        stack: Handle(n(15) as u32),
                        pid: n(10) as i32,
                        now: (n(1) / 1_000_000) as u32,
                    },
                }),
                "stack" => {
                    let frames = words[2..].iter().filter(|word| !word.starts_with('['));
                    let frames = frames.map(|frame| {
                        let (name, rest) = frame.split_once("+0x").expect("a frame");
                        let offset = rest.split('/').next().expect("an offset");
                        let offset = u64::from_str_radix(offset, 16).expect("an offset");
                        (name.to_owned(), offset)
                    });
                    let frames = frames.filter(|(name, _)| {
                        !name.starts_with("__page_ref_") && !name.starts_with("__traceiter_")
                    });
                    trace.stacks.insert(n(1) as u32, frames.collect());
                }
                "pin" => {
                    let pfns = words[7..].iter().map(|word| {
                        u64::from_str_radix(&word["pfn=0x".len()..], 16).expect("a pfn")
                    });
                    trace.pins.insert(
                        n(1) as u32,
                        Pin {
                            way: words[2].to_owned(),
                            taken: (n(5) as u64, n(6) as u64),
                            released: (u64::MAX, u64::MAX),
                            pfns: pfns.collect(),
                        },
                    );
                }
                "release" => {
                    if let Some(pin) = trace.pins.get_mut(&(n(1) as u32)) {
                        pin.released = (n(2) as u64, n(3) as u64);
                    }
                }
                _ => (),
            }
        }
        trace.changes.sort_by_key(|change| change.time);
        for (i, recorded) in trace.changes.iter().enumerate() {
            trace.pages.entry(recorded.pfn).or_default().push(i);
        }
        trace
    }

    /// One of those in tests/traces.
    fn named(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/traces");
        Self::read(&dir.join(name))
    }

    fn of_page(&self, pfn: u64) -> impl DoubleEndedIterator<Item = &Recorded> {
        let indices = self.pages.get(&pfn).into_iter().flatten();
        indices.map(|&i| &self.changes[i])
    }

    /// Each page of each pin that was released, and how it was taken.
    fn stories(&self) -> impl Iterator<Item = (&Pin, u64, &Recorded)> {
        let over = self.pins.values().filter(|p| p.released.0 != u64::MAX);
        let pages = over.flat_map(|pin| pin.pfns.iter().map(move |&pfn| (pin, pfn)));
        pages.map(|(pin, pfn)| {
            let get = self.true_get(pin, pfn).expect("the one who took it");
            (pin, pfn, get)
        })
    }

    fn goes_through(&self, stack: Handle, names: &[&str]) -> bool {
        self.stacks.get(&stack.0).is_some_and(|frames| {
            frames
                .iter()
                .any(|(name, _)| names.iter().any(|start| name.starts_with(start)))
        })
    }

    /// The change by which a pin took its reference to a page.
    fn true_get(&self, pin: &Pin, pfn: u64) -> Option<&Recorded> {
        let (names, is_pin): (&[&str], _) = match pin.way.as_str() {
            "Vmsplice" => (&["__do_sys_vmsplice"], false),
            "Gup" => (&["process_vm_rw_core"], true),
            "IoUring" => (&["io_pin_pages"], true),
            "Splice" => (&["splice_folio_into_pipe"], false),
            "Tee" => (&["generic_pipe_buf_get"], false),
            "Zerocopy" => (&["zerocopy_fill_skb_from_iter"], false),
            "DirectRead" | "DirectWrite" => (&["bio_iov_iter_get_pages"], true),
            "Read" => (&["filemap_get_read_batch", "shmem_file_read_iter"], false),
            way => panic!("{way}"),
        };
        self.of_page(pfn).rev().find(|recorded| {
            let change = &recorded.change;
            (pin.taken.0..=pin.taken.1).contains(&recorded.time)
                && change.refs > 0
                && is_pin == (change.refs >= 1023)
                && (recorded.op == op::MOD || recorded.op == op::MOD_UNLESS && recorded.ret != 0)
                && self.goes_through(change.stack, names)
                && !self.goes_through(change.stack, &["__folio_batch_add_and_move"])
        })
    }
}

/// Functions at addresses of their own, 64 KiB each.
#[derive(Default)]
struct Names {
    numbers: HashMap<String, u64>,
    names: Vec<String>,
}

impl Names {
    fn address(&mut self, name: &str, offset: u64) -> u64 {
        let next = self.names.len() as u64 + 1;
        let number = *self.numbers.entry(name.to_owned()).or_insert(next);
        if number == next {
            self.names.push(name.to_owned());
        }
        (number << 16) + offset
    }
}

impl Functions for Names {
    fn of(&self, address: u64) -> Option<Function> {
        let name = self.names.get((address >> 16) as usize - 1)?;
        Some(Function {
            start: address & !0xffff,
            size: 0x10000,
            is_telling: is_telling(name),
            is_batch: Class::told_by(name) == Some(Class::Lru),
        })
    }
}

fn between(from: u64, to: u64) -> u64 {
    from + (to - from) / 2
}

/// What the ledger says at one time of a page that is held, compared with what is true.
struct Look<'a> {
    pin: &'a Pin,
    named: bool,
    first: bool,
    one_of: bool,
    /// Who is named besides.
    others: u32,
}

#[derive(Default)]
struct Score {
    looks: u32,
    named: u32,
    first: u32,
    one_of: u32,
    others: u32,
}

impl Score {
    fn of<'a>(looks: impl IntoIterator<Item = &'a Look<'a>>) -> Self {
        looks.into_iter().fold(Score::default(), |sum, look| Score {
            looks: sum.looks + 1,
            named: sum.named + u32::from(look.named),
            first: sum.first + u32::from(look.first),
            one_of: sum.one_of + u32::from(look.one_of),
            others: sum.others + look.others,
        })
    }

    fn percent(&self, n: u32) -> f64 {
        100. * f64::from(n) / f64::from(self.looks)
    }

    fn print(&self, way: &str) {
        println!(
            "{way:12} {:5} looks: named {:6.2} %, first {:6.2} %, one of {:6.2} %, others {:.3}",
            self.looks,
            self.percent(self.named),
            self.percent(self.first),
            self.percent(self.one_of),
            self.percent(self.others) / 100.,
        );
    }
}

/// Prints how each way to pin a page comes off; all of them together.
fn report(title: &str, looks: &[Look<'_>]) -> Score {
    let mut ways: BTreeMap<&str, Vec<&Look<'_>>> = BTreeMap::new();
    for look in looks {
        ways.entry(&look.pin.way).or_default().push(look);
    }
    println!("{title}");
    for (way, looks) in ways {
        Score::of(looks).print(way);
    }
    let all = Score::of(looks);
    all.print("all");
    all
}

/// What the ledger says while pages are held that are watched only since they are.
#[derive(Default)]
struct Late {
    looks: u32,
    /// So many references as are older are told to be taken by nobody that was seen.
    unseen: u32,
    /// There are no others.
    alone: u32,
    /// Nor are there, and somebody is named.
    falsely: u32,
}

/// A trace, and what it takes to replay it.
struct Replay<'a> {
    trace: &'a Trace,
    mem: Host,
    depot: Depot,
    names: Names,
    handles: HashMap<u32, Handle>,
}

impl<'a> Replay<'a> {
    fn new(trace: &'a Trace) -> Self {
        let mem = Host::new(1 << 20);
        let depot = Depot::new();
        depot.set_cap(64 << 20);
        let mut names = Names::default();
        let mut handles = HashMap::new();
        for (&handle, frames) in &trace.stacks {
            let frames: Vec<u64> = frames.iter().map(|(f, at)| names.address(f, *at)).collect();
            assert!(depot.refill(&mem));
            handles.insert(handle, depot.save(&frames));
        }
        Replay {
            trace,
            mem,
            depot,
            names,
            handles,
        }
    }

    /// A ledger with so many entries a page that watches these pages.
    fn ledger(&self, entries: u32, pfns: impl IntoIterator<Item = u64>) -> Ledger {
        let ledger = Ledger::new();
        ledger.configure(entries, usize::MAX);
        for pfn in pfns {
            assert_eq!(ledger.reserve(pfn, 1, &self.mem), Ok(()));
            ledger.watch(pfn, 1);
        }
        ledger
    }

    /// Tells the ledger what the hooks would.
    fn apply(&self, ledger: &Ledger, recorded: &Recorded) {
        let change = &Change {
            stack: self.handles[&recorded.change.stack.0],
            ..recorded.change
        };
        let is_last = match recorded.op {
            op::MOD_AND_TEST => recorded.ret != 0,
            op::MOD_AND_RETURN => recorded.ret == 0,
            _ => false,
        };
        match recorded.op {
            op::SET => ledger.set(recorded.pfn, change),
            op::FREEZE => (),
            op::UNFREEZE => {
                let change = &Change { refs: 0, ..*change };
                ledger.unfrozen(recorded.pfn, change, &self.depot, &self.names);
            }
            op::MOD_UNLESS if recorded.ret == 0 => (),
            _ if change.refs == 0 => (),
            _ if is_last => ledger.freed(recorded.pfn),
            _ => ledger.change(recorded.pfn, change, &self.depot, &self.names),
        }
    }

    /// What who reads the file `ledger` sees, if the page looks as it did at its last change.
    fn look(&self, ledger: &Ledger, pfn: u64, last: &Change) -> Snapshot {
        let snapshot = ledger.look(pfn, last, &self.depot, &self.names);
        snapshot.expect("a watched page")
    }

    fn judge(&self, snapshot: &Snapshot, pin: &'a Pin, get: &Recorded) -> Look<'a> {
        let get = &get.change;
        let is_it = |e: &&Entry| e.stack == self.handles[&get.stack.0] && e.pid == get.pid;
        let entries = || snapshot.entries.iter().flatten();
        let mut held = entries().filter(|e| !e.is_unseen && !e.is_gone);
        let it = entries().find(is_it);
        Look {
            pin,
            named: it.is_some(),
            one_of: it.is_some_and(|e| e.one_of),
            others: held.clone().filter(|e| !is_it(e)).count() as u32,
            first: held.next().is_some_and(|e| is_it(&e)),
        }
    }

    /// Looks at each page that is pinned: right after that, in between, and right before the
    /// release.
    fn all(&self, entries: u32) -> Vec<Look<'a>> {
        let ledger = self.ledger(entries, self.trace.pages.keys().copied());
        let mut times = Vec::new();
        for (pin, pfn, get) in self.trace.stories() {
            let (from, to) = (pin.taken.1, pin.released.0);
            times.extend([from, between(from, to), to].map(|time| (time, pfn, pin, get)));
        }
        times.sort_by_key(|&(time, pfn, ..)| (time, pfn));
        let mut changes = self.trace.changes.iter().peekable();
        let mut last = HashMap::new();
        let looks = times.into_iter().map(|(time, pfn, pin, get)| {
            while let Some(recorded) = changes.next_if(|r| r.time <= time) {
                self.apply(&ledger, recorded);
                last.insert(recorded.pfn, recorded.change);
            }
            self.judge(&self.look(&ledger, pfn, &last[&pfn]), pin, get)
        });
        looks.collect()
    }

    /// Looks at each page that is pinned, as if it were never released, and as if nothing had
    /// happened to any other page.
    fn unreleased(&self, entries: u32) -> Vec<Look<'a>> {
        let looks = self.trace.stories().map(|(pin, pfn, get)| {
            let ledger = self.ledger(entries, [pfn]);
            let before = self.trace.of_page(pfn);
            let before = before.take_while(|r| r.time <= pin.released.0);
            let last = before.inspect(|r| self.apply(&ledger, r)).last();
            let last = &last.expect("a change").change;
            self.judge(&self.look(&ledger, pfn, last), pin, get)
        });
        looks.collect()
    }

    /// Looks at pages that are watched from the middle of one of their pins on.
    fn late(&self) -> Late {
        let mut late = Late::default();
        let stories: Vec<_> = self.trace.stories().collect();
        for &(pin, pfn, _) in &stories {
            let ledger = self.ledger(8, [pfn]);
            let (from, to) = (between(pin.taken.1, pin.released.0), pin.released.0);
            let seen = self.trace.of_page(pfn).filter(|r| r.time > from);
            let seen = seen.take_while(|r| r.time < to);
            let Some(last) = seen.inspect(|r| self.apply(&ledger, r)).last() else {
                continue;
            };
            let older = stories.iter().filter(|(other, at, _)| {
                *at == pfn && other.taken.1 <= from && other.released.0 >= to
            });
            let refs = |get: &Recorded| if get.change.refs >= 1023 { 1024 } else { 1 };
            let older: u32 = older.map(|(.., get)| refs(get)).sum();
            let last = &last.change;
            let snapshot = self.look(&ledger, pfn, last);
            let entries = || snapshot.entries.iter().flatten();
            let unseen: u32 = entries().filter(|e| e.is_unseen).map(|e| e.refs).sum();
            let is_alone = last.count - last.expected == older as i32;
            late.looks += 1;
            late.unseen += u32::from(unseen >= older);
            late.alone += u32::from(is_alone);
            late.falsely += u32::from(is_alone && entries().any(|e| !e.is_unseen && !e.is_gone));
        }
        late
    }
}

impl Late {
    fn print(&self, title: &str) {
        println!(
            "{title}: {} looks, {} unseen; {} alone, {} falsely named",
            self.looks, self.unseen, self.alone, self.falsely
        );
    }
}

/// With as many entries a page as there can be, and with few.
const ENTRIES: [u32; 2] = [8, 4];

/// One pin a page. See tests/traces/README.rst for which were looked at when rules were made.
const ALONE: [&str; 2] = ["1-103.gz", "1-207.gz"];
/// Up to three.
const SEVERAL: [&str; 1] = ["3-208.gz"];

#[test]
fn who_holds_a_page_alone_is_named_and_comes_first() {
    for name in ALONE {
        let trace = Trace::named(name);
        for entries in ENTRIES {
            let looks = Replay::new(&trace).all(entries);
            let all = report(&format!("{name}, {entries} entries"), &looks);
            assert!(all.percent(all.named) >= 99., "{name}, {entries} entries");
            assert!(all.percent(all.first) >= 98., "{name}, {entries} entries");
        }
    }
}

#[test]
fn who_holds_a_page_beside_others_is_named() {
    for name in SEVERAL {
        let trace = Trace::named(name);
        for entries in ENTRIES {
            let looks = Replay::new(&trace).all(entries);
            let all = report(&format!("{name}, {entries} entries"), &looks);
            assert!(all.percent(all.named) >= 90., "{name}, {entries} entries");
        }
    }
}

#[test]
fn who_never_lets_go_is_named() {
    for name in ALONE {
        let trace = Trace::named(name);
        for entries in ENTRIES {
            let looks = Replay::new(&trace).unreleased(entries);
            let all = report(&format!("{name}, {entries} entries"), &looks);
            assert_eq!(all.named, all.looks, "{name}, {entries} entries");
        }
    }
}

#[test]
fn nobody_is_named_for_what_is_older_than_the_watch() {
    for name in ALONE.iter().chain(&SEVERAL) {
        let trace = Trace::named(name);
        let late = Replay::new(&trace).late();
        late.print(name);
        assert!(late.alone > 0 && late.falsely == 0, "{name}");
    }
}

#[test]
fn each_page_has_the_references_that_its_changes_told_of() {
    for name in ALONE.iter().chain(&SEVERAL) {
        let trace = Trace::named(name);
        let replay = Replay::new(&trace);
        let ledger = replay.ledger(8, trace.pages.keys().copied());
        for recorded in &trace.changes {
            replay.apply(&ledger, recorded);
        }
        assert_eq!(ledger.figures().untold, Untold::default(), "{name}");
    }
}

#[test]
#[ignore = "prints"]
fn scores() {
    let entries = std::env::var("ENTRIES").map_or(8, |n| n.parse().expect("a number"));
    for path in std::env::var("TRACES").expect("TRACES").split(' ') {
        let trace = Trace::read(Path::new(path));
        let replay = Replay::new(&trace);
        report(path, &replay.all(entries));
        report("never released", &replay.unreleased(entries));
        replay.late().print("late");
    }
}
