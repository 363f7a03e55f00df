// SPDX-License-Identifier: GPL-2.0

//! Parameters given when the module is loaded.

use std::ffi::CString;
use std::fs;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};

use super::input::Input;
use super::state::{FIXED, State, WRITABLE};
use super::{Fuzz, MORE};
use crate::files::set;
use crate::subject::{FILE, TRACEFS, absent, rmmod};
use crate::tally::Tally;

/// Parameters with a value that is accepted.
const GOOD: &[&str] = &[
    "max_marks=1",
    "max_marks=0x1000",
    "depot_kib=64",
    "stack_depth=64",
    "reasons=all",
    "reasons=contig_range,manual",
    "until=unpinned",
    "max_age=3",
    "report_rate=0",
    "watch_kib=64",
    "entries=2",
    "longterm_ms=0",
];
/// And one that is not.
const BAD: &[&str] = &[
    "max_marks=0",
    "max_marks=1048577",
    "depot_kib=-1",
    "stack_depth=65",
    "stack_depth=x",
    "reasons=",
    "reasons=contig",
    "until=freed",
    "max_age=99999999999",
    "report_rate",
    "watch_kib=63",
    "entries=3",
    "entries=10",
    "longterm_ms=-1",
];

/// Loads the module that many times, more where something was not done so far, and unloads it.
pub(super) fn run(fuzz: &mut Fuzz, rounds: u64) -> Result<Tally> {
    let tally = Tally::new("load", &["good", "bad", "near"]);
    for round in 0..MORE * rounds {
        if round >= rounds && tally.is_complete() {
            break;
        }
        load(fuzz, &tally)?;
    }
    Ok(tally)
}

fn load(fuzz: &mut Fuzz, tally: &Tally) -> Result<()> {
    let rng = &mut fuzz.rng;
    let good = (0..rng.usize(0..4)).map(|_| GOOD[rng.usize(0..GOOD.len())]);
    let mut words: Vec<_> = good.collect();
    let act = ["good", "bad", "near"][rng.usize(0..3)];
    if act == "bad" {
        let bad = BAD[rng.usize(0..BAD.len())];
        // Of two values the last one counts.
        words.retain(|word| name(word) != name(bad));
        words.insert(rng.usize(0..=words.len()), bad);
    }
    let mut text = words.join(" ").into_bytes();
    if act == "near" {
        let examples: Vec<_> = GOOD
            .iter()
            .chain(BAD)
            .map(|&word| word.to_owned())
            .collect();
        text = Input::near(rng, &examples).bytes;
        // What ends text, and what the kernel reads once it is the module's
        text.retain(|&c| c != 0);
    }
    let given = Input::of(text.clone());
    let file = fs::File::open(FILE).context(FILE)?;
    let result = finit_module(&file, &CString::new(text)?, ModuleInitFlags::empty());
    match (act, result) {
        ("good" | "near", Ok(())) => {
            of_use().with_context(|| format!("loaded with {given:?}"))?;
            tally.did(act, 1);
        }
        ("bad", Err(Errno::EINVAL | Errno::ERANGE)) => tally.did(act, 1),
        ("near", Err(errno @ (Errno::EINVAL | Errno::ERANGE))) => tally.ended(act, Some(errno)),
        (_, result) => tally.complain(format!("load with {given:?}: {result:?}")),
    }
    if result.is_ok() {
        rmmod().with_context(|| format!("loaded with {given:?}"))?;
    }
    if let Err(error) = absent() {
        tally.complain(format!("load with {given:?}: {error:#}"));
    }
    Ok(())
}

/// The name in a parameter.
fn name(word: &str) -> &str {
    word.split('=').next().unwrap_or(word)
}

/// Whatever it was loaded with, it is in range and it works.
fn of_use() -> Result<()> {
    let enable = format!("{TRACEFS}/events/page_pin_owner/enable");
    set(&enable, "1")?;
    let state = State::now(&[])?;
    for name in FIXED.iter().chain(&WRITABLE) {
        let value = &state.parameters[name];
        anyhow::ensure!(!value.is_empty(), "{name} is empty");
    }
    let most = |name: &str| state.parameters[name].parse::<u32>();
    anyhow::ensure!(
        (1..=1 << 20).contains(&most("max_marks")?)
            && (64..=262_144).contains(&most("depot_kib")?)
            && (1..=64).contains(&most("stack_depth")?)
            && (64..=16 << 20).contains(&most("watch_kib")?)
            && [2, 4, 6, 8].contains(&most("entries")?),
        "out of range: {:?}",
        state.parameters
    );
    set(&enable, "0")
}
