// SPDX-License-Identifier: GPL-2.0

//! Pins pages in every way there is and says exactly when: what a replay of the references
//! recorded meanwhile is to find out. Prints, times in nanoseconds of the monotonic clock,
//!
//! - `pin ID WAY PID FROM TO pfn=...`: the references were taken between these times
//! - `release ID FROM TO`: and given back between these

use std::process::{self, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use fastrand::Rng;
use nix::time::{ClockId, clock_gettime};
use ppo_guest::memory::{Kind, Mapping};
use ppo_guest::pins::{Mechanism, Pin};

/// Take and give back references to pages, and say when
#[derive(Parser)]
struct Args {
    /// For how long, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many pins the same pages may have
    #[arg(long, default_value_t = 1)]
    pins: usize,
    /// How many mappings there are at once
    #[arg(long, default_value_t = 8)]
    mappings: usize,
    /// To draw the same numbers as in a run before
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What pins what. gup_test has one pin at a time, and is left out.
const WAYS: &[(Mechanism, &[Kind])] = &[
    (Mechanism::Vmsplice, &[Kind::Anon, Kind::Shmem, Kind::File]),
    (Mechanism::Gup, &[Kind::Anon, Kind::Shmem, Kind::File]),
    (Mechanism::IoUring, &[Kind::Anon, Kind::Shmem]),
    (Mechanism::Splice, &[Kind::Shmem, Kind::File]),
    (Mechanism::Tee, &[Kind::Shmem, Kind::File]),
    (Mechanism::Zerocopy, &[Kind::Anon, Kind::Shmem]),
    (Mechanism::DirectWrite, &[Kind::Anon, Kind::Shmem]),
    (Mechanism::DirectRead, &[Kind::Anon, Kind::Shmem]),
    (Mechanism::Read, &[Kind::Shmem, Kind::File]),
];

const KINDS: &[Kind] = &[Kind::Anon, Kind::Shmem, Kind::File];

/// Memory, and who holds it.
struct Subject {
    kind: Kind,
    /// By number. They go before what they hold.
    pins: Vec<(usize, Box<dyn Pin>)>,
    memory: Mapping,
}

fn now() -> Result<u64> {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
    Ok(now.as_nanos().try_into()?)
}

impl Subject {
    fn new(rng: &mut Rng) -> Result<Self> {
        let kind = KINDS[rng.usize(0..KINDS.len())];
        Ok(Self {
            kind,
            memory: kind.map(rng.usize(1..4))?,
            pins: Vec::new(),
        })
    }

    fn pin(&mut self, id: usize, rng: &mut Rng, alone: bool) -> Result<()> {
        // A transfer that stands still beside others keeps the kernel from taking some.
        let is_possible =
            |way| alone || !matches!(way, Mechanism::DirectRead | Mechanism::DirectWrite);
        let ways: Vec<_> = WAYS
            .iter()
            .filter(|&&(way, kinds)| kinds.contains(&self.kind) && is_possible(way))
            .collect();
        let (way, _) = ways[rng.usize(0..ways.len())];
        let from = now()?;
        let pin = way.pin(&self.memory).with_context(|| format!("{way:?}"))?;
        let to = now()?;
        let pfns = self.pfns()?;
        let pfns = pfns.iter().map(|pfn| format!(" pfn={pfn:#x}"));
        println!(
            "pin {id} {way:?} {:?} {} {from} {to}{}",
            self.kind,
            process::id(),
            pfns.collect::<String>()
        );
        self.pins.push((id, pin));
        Ok(())
    }

    /// Where its pages are. While one is being migrated, though it will not succeed, it is
    /// nowhere.
    fn pfns(&self) -> Result<Vec<u64>> {
        let mut tries = 100;
        loop {
            self.memory.look();
            match self.memory.pfns() {
                Err(_) if tries > 0 => tries -= 1,
                pfns => return pfns,
            }
        }
    }

    /// Gives one of the pins back.
    fn release(&mut self, rng: &mut Rng) -> Result<()> {
        let (id, pin) = self.pins.swap_remove(rng.usize(0..self.pins.len()));
        let from = now()?;
        pin.release()?;
        println!("release {id} {from} {}", now()?);
        Ok(())
    }
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ppo-history: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let rng = &mut Rng::with_seed(args.seed);
    let mut subjects: Vec<Subject> = Vec::new();
    let mut ids = 0..;
    let end = Instant::now() + Duration::from_secs(args.seconds);
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(rng.u64(0..40)));
        if subjects.len() < args.mappings {
            subjects.push(Subject::new(rng)?);
            continue;
        }
        let at = rng.usize(0..subjects.len());
        let subject = &mut subjects[at];
        match rng.u32(0..4) {
            0 | 1 if subject.pins.len() < args.pins => {
                subject.pin(ids.next().unwrap_or_default(), rng, args.pins == 1)?;
            }
            0..3 if !subject.pins.is_empty() => subject.release(rng)?,
            3 if subject.pins.is_empty() => {
                subjects.swap_remove(at);
            }
            _ => (),
        }
    }
    for subject in &mut subjects {
        while !subject.pins.is_empty() {
            subject.release(rng)?;
        }
    }
    Ok(())
}
