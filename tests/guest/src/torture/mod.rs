// SPDX-License-Identifier: GPL-2.0

//! Loads that run at once, for as long as asked for, and judge themselves: one file for each
//! kind.

mod blocks;
mod cache;
mod cma;
mod compaction;
mod cpus;
mod events;
mod forks;
mod instances;
mod marks;
mod memory;
mod module;
mod numa;
mod parameters;
mod perf;
mod pins;
mod puts;
mod soft_offline;
mod swap;
mod tables;
mod truth;
mod watch;

use std::env;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fastrand::Rng;
use nix::errno::Errno;

pub use forks::storm;
pub use module::{begin, end};

use crate::files::{read_some, set, write};
use crate::subject::{DEBUGFS, EVENTS, TRACEFS};
use crate::tally::{Outcome, Tally};

/// A kind of load.
struct Load {
    /// Also the name of its thread.
    name: &'static str,
    /// What it has to do at least once.
    acts: &'static [&'static str],
    run: fn(&mut Worker) -> Result<()>,
}

const LOADS: &[Load] = &[
    blocks::LOAD,
    cache::FILES,
    cache::DIRECT,
    cma::LOAD,
    compaction::LOAD,
    cpus::LOAD,
    events::SWITCHES,
    events::FILTERS,
    events::TRIGGERS,
    events::PIPE,
    forks::LOAD,
    instances::LOAD,
    marks::LOAD,
    memory::ANON,
    memory::SHMEM,
    memory::THP,
    memory::HUGETLB,
    module::LOAD,
    numa::LOAD,
    parameters::LOAD,
    perf::LOAD,
    pins::LOAD,
    puts::LOAD,
    soft_offline::LOAD,
    swap::LOAD,
    tables::LOAD,
    truth::LOAD,
    watch::LOAD,
];

/// Those that take all the time there is.
const NICE: &[&str] = &[
    "anon", "shmem", "thp", "hugetlb", "files", "direct", "forks", "numa", "swap", "tables", "pins",
];

/// How long one of these may have to pause.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// What the loads have in common.
struct Shared {
    /// The time is up.
    over: AtomicBool,
    /// Nothing that holds the module: it is to be unloaded.
    quiet: AtomicBool,
    /// To be read by who changes what is marked, written by who needs that to stay.
    steady: RwLock<()>,
    /// To be read by who starts a program, whose process has all that is open here until then.
    starting: RwLock<()>,
    /// The module's place.
    module: Mutex<()>,
}

impl Shared {
    /// Has this very program do something else, in a process of its own.
    fn start<const N: usize>(&self, arguments: [&OsStr; N]) -> Result<Child> {
        let program = env::current_exe().context("who am I?")?;
        let _starting = self.starting.read().unwrap();
        Command::new(program)
            .args(arguments)
            .spawn()
            .context("cannot start")
    }
}

/// One load at work.
struct Worker<'a> {
    shared: &'a Shared,
    tally: &'a Tally,
    rng: Rng,
    is_nice: bool,
    since: Instant,
}

impl Worker<'_> {
    /// Whether there is time left, after a break of up to that many milliseconds; longer for
    /// a load that took much time, as not everything may wait for processors.
    fn go(&mut self, pause: u64) -> bool {
        let mut pause = Duration::from_millis(self.rng.u64(0..=pause));
        if self.is_nice {
            pause = pause.max(MAX_PAUSE.min(self.since.elapsed() * 8));
        }
        thread::sleep(pause);
        self.since = Instant::now();
        !self.is_over()
    }

    /// Like [`Self::go`], for a load that would keep the module from being unloaded: it goes
    /// on when it may.
    fn go_if_loud(&mut self, pause: u64) -> bool {
        let mut go = self.go(pause);
        while go && self.is_quiet() {
            go = self.go(20);
        }
        go
    }

    /// One of these acts; half of the time one that was never done, as one that is refused
    /// more often than not would be when it is drawn seldom.
    fn draw(&mut self, acts: &[&'static str]) -> &'static str {
        let never = acts.iter().find(|act| !self.tally.has_done(act));
        match never {
            Some(act) if self.rng.bool() => act,
            _ => acts[self.rng.usize(0..acts.len())],
        }
    }

    fn is_over(&self) -> bool {
        self.shared.over.load(Ordering::SeqCst)
    }

    fn is_quiet(&self) -> bool {
        self.shared.quiet.load(Ordering::SeqCst)
    }
}

/// How many times as long it may take until each load has done everything once.
const PATIENCE: u32 = 8;

/// Waits for that time, and then until `done`, on a slow machine; or after a failure.
fn wait(duration: Duration, done: impl Fn() -> bool) {
    let began = Instant::now();
    while began.elapsed() < duration || (began.elapsed() < duration * PATIENCE && !done()) {
        thread::sleep(Duration::from_millis(100));
    }
}

/// Runs all loads, or only those named, at once for that long.
pub fn run(duration: Duration, seed: u64, names: &[String]) -> Outcome {
    let shared = Shared {
        over: AtomicBool::new(false),
        quiet: AtomicBool::new(false),
        steady: RwLock::default(),
        starting: RwLock::default(),
        module: Mutex::default(),
    };
    let loads: Vec<_> = LOADS
        .iter()
        .filter(|load| names.is_empty() || names.iter().any(|name| name == load.name))
        .map(|load| (load, Tally::new(load.name, load.acts)))
        .collect();
    let mut complaints = Vec::new();
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (n, (load, tally)) in loads.iter().enumerate() {
            let mut worker = Worker {
                shared: &shared,
                tally,
                rng: Rng::with_seed(seed.wrapping_add(n as u64)),
                is_nice: NICE.contains(&load.name),
                since: Instant::now(),
            };
            let thread =
                thread::Builder::new()
                    .name(load.name.into())
                    .spawn_scoped(scope, move || {
                        if worker.is_nice {
                            be_nice()?;
                        }
                        (load.run)(&mut worker)
                    });
            match thread {
                Ok(thread) => threads.push((load.name, thread)),
                Err(error) => complaints.push(format!("{}: no thread: {error}", load.name)),
            }
        }
        wait(duration, || {
            threads.iter().any(|(_, thread)| thread.is_finished())
                || loads.iter().all(|(_, tally)| tally.is_complete())
        });
        shared.over.store(true, Ordering::SeqCst);
        for (name, thread) in threads {
            match thread.join() {
                Ok(Ok(())) => (),
                Ok(Err(error)) => complaints.push(format!("{name}: {error:#}")),
                Err(_) => complaints.push(format!("{name}: panicked")),
            }
        }
    });
    let mut outcome = Outcome::of(loads.iter().map(|(_, tally)| tally));
    outcome.complaints.splice(0..0, complaints);
    outcome
}

/// Leaves the processors to others: without the kernel's own threads nothing goes on.
fn be_nice() -> Result<()> {
    // SAFETY: about this thread, and no memory.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 15) };
    Errno::result(result).context("setpriority")?;
    Ok(())
}

/// Whether this is the debug kernel.
fn has_kmemleak() -> bool {
    Path::new("/sys/kernel/debug/kmemleak").exists()
}

/// So many seconds of the lab kernel's; those that look for bugs are much slower.
fn patience(seconds: u64) -> Duration {
    let is_slow = has_kmemleak() || Path::new("/sys/kernel/debug/kcsan").exists();
    Duration::from_secs(seconds * if is_slow { 8 } else { 1 })
}
