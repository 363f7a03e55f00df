// SPDX-License-Identifier: GPL-2.0

//! Input that nobody in his right mind would give, in every file of the module: near what is
//! accepted, far from it, in pieces, and from memory that is not there.
//!
//! Of each write it is known beforehand, from the documentation and not from the module's code,
//! whether it is to be taken, with which errors it may be refused, and what it may change. All
//! state is compared after each: what is refused changes nothing, and is one line in the log.

mod events;
mod input;
mod load;
mod log;
mod mark;
mod parameters;
mod state;
mod tables;
mod watch;

use std::fmt::Debug;
use std::fs::File;
use std::iter::repeat_n;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use nix::errno::Errno;

use crate::files::set;
use crate::memory::{Kind, Mapping};
use crate::pins::{Mechanism, Pin};
use crate::subject::{FILE, TRACEFS, insmod, rmmod};
use crate::tally::{Outcome, Tally};
use input::Input;
use log::Log;
use state::State;

/// Pages of ours that are held, so that they stay where they are.
const PAGES: usize = 48;

/// A way to give input.
struct Target {
    /// How many times out of all that it is chosen.
    weight: usize,
    tally: Tally,
    fuzz: fn(&mut Fuzz, &Tally) -> Result<()>,
}

/// What all ways have in common.
struct Fuzz {
    rng: Rng,
    /// What must be true of the module now.
    state: State,
    log: Log,
    /// The pages that are held.
    own: Vec<u64>,
    _pin: Box<dyn Pin>,
    _memory: Mapping,
}

/// What has to come of a write.
#[derive(Debug)]
enum Expected {
    /// It is taken.
    Taken,
    /// It is refused with one of these, and the log has that many lines of the module's.
    Refused(&'static [Errno], usize),
    /// Either, as it depends on what nobody knows.
    Unknown(&'static [Errno]),
    /// Either, and it is the kernel that refuses, without a word of the module's.
    Quiet(&'static [Errno]),
}

impl Fuzz {
    /// Loads the module and has pages held and all events on.
    fn begin(seed: u64) -> Result<Self> {
        let memory = Kind::Shmem.map(PAGES)?;
        let pin = Mechanism::Vmsplice.pin(&memory)?;
        let own = memory.pfns()?;
        // So that nothing is evicted.
        insmod(FILE, "max_marks=1048576")?;
        set(&format!("{TRACEFS}/events/page_pin_owner/enable"), "1")?;
        Ok(Self {
            rng: Rng::with_seed(seed),
            state: State::now(&own)?,
            log: Log::open()?,
            own,
            _pin: pin,
            _memory: memory,
        })
    }

    /// Writes input to a file, in one call. True if it was taken; what is not as expected is a
    /// complaint.
    fn write(
        &mut self,
        tally: &Tally,
        act: &'static str,
        path: &str,
        input: &Input,
        expected: &Expected,
    ) -> Result<bool> {
        let file = File::options()
            .write(true)
            .open(path)
            .with_context(|| path.to_owned())?;
        self.log.forget()?;
        let result = input.give(file.as_raw_fd());
        let said = self.log.lines()?;
        let lines = match (expected, &result) {
            (Expected::Taken | Expected::Unknown(_) | Expected::Quiet(_), Ok(_)) => Some(0),
            (Expected::Quiet(errors), Err(e)) if errors.contains(e) => Some(0),
            (Expected::Refused(errors, lines), Err(e)) if errors.contains(e) => Some(*lines),
            (Expected::Unknown(errors), Err(e)) if errors.contains(e) => Some(1),
            _ => None,
        };
        match expected {
            _ if lines != Some(said.len()) => tally.complain(format!(
                "{act} {input:?}: {result:?} where {expected:?} is right; said: {said:?}"
            )),
            Expected::Refused(..) => tally.did(act, 1),
            _ => tally.ended(act, result.err()),
        }
        Ok(result.is_ok())
    }

    /// Compares all state with what it must be; what is not so is a complaint, told once.
    fn compare(&mut self, tally: &Tally, after: &dyn Debug) -> Result<()> {
        let now = State::now(&self.own)?;
        let differences = self.state.differences(&now);
        if !differences.is_empty() {
            tally.complain(format!("after {after:?}:{differences}"));
        }
        self.state = now;
        Ok(())
    }
}

/// How many times as many rounds there may be until everything was done.
const MORE: u64 = 20;

/// Gives input that many times, drawn from `seed`.
pub fn run(rounds: u64, seed: u64) -> Result<Outcome> {
    let mut fuzz = Fuzz::begin(seed)?;
    let targets = [
        mark::target(),
        watch::target(),
        parameters::target(),
        tables::target(),
        events::target(),
    ];
    let by_weight: Vec<_> = targets
        .iter()
        .flat_map(|target| repeat_n(target, target.weight))
        .collect();
    for _ in 0..rounds {
        let target = by_weight[fuzz.rng.usize(0..by_weight.len())];
        (target.fuzz)(&mut fuzz, &target.tally)?;
    }
    // What is drawn seldom may not have been so far.
    for target in &targets {
        for _ in 0..MORE * rounds {
            if target.tally.is_complete() {
                break;
            }
            (target.fuzz)(&mut fuzz, &target.tally)?;
        }
    }
    // What was on is on, and what it holds it gives back.
    set(&format!("{TRACEFS}/events/page_pin_owner/enable"), "0")?;
    rmmod().context("rmmod")?;
    let loads = load::run(&mut fuzz, rounds / 20)?;
    ensure!(
        fuzz.log.lost == 0,
        "{} lines of the log lost",
        fuzz.log.lost
    );
    let tallies = targets.iter().map(|target| &target.tally);
    Ok(Outcome::of(tallies.chain([&loads])))
}
