// SPDX-License-Identifier: GPL-2.0

//! The files of the events. The kernel reads what is written there, and enables and disables.

use std::fs::{self, File};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;

use super::input::Input;
use super::{Expected, Fuzz, Target};
use crate::files::set;
use crate::subject::{EVENTS, TRACEFS, event_file};
use crate::tally::Tally;

/// What it says to bad input; that is not for us to judge.
const ERRORS: &[Errno] = &[
    Errno::EINVAL,
    Errno::ERANGE,
    Errno::EFAULT,
    Errno::ENOENT,
    Errno::ESRCH,
    Errno::ENODEV,
    Errno::EEXIST,
    Errno::EPERM,
    Errno::EBUSY,
    Errno::ENOMEM,
    Errno::E2BIG,
    Errno::ENOSPC,
    Errno::ENOTSUP,
    Errno::EOVERFLOW,
];

/// Of each event, filters and triggers that are accepted.
const FILTERS: [&[&str]; 3] = [
    &[
        "reason == \"contig_range\" || err < 0",
        "stage ~ \"man*\" && count > expected && order == 0",
    ],
    &[
        "age_us > 1000 && last == 0",
        "(refs & 1024) || !(stack == 0)",
    ],
    &["cause != \"freed\"", "puts > 0 && pfn >= 0x100"],
];
const TRIGGERS: [&[&str]; 3] = [
    &["hist:keys=reason,stage", "stacktrace:5 if err < 0"],
    &[
        "hist:keys=stack:vals=refs:sort=refs.descending:size=256",
        "hist:keys=common_pid.execname,stacktrace",
    ],
    &["hist:keys=cause:vals=puts", "traceon:3"],
];

pub(super) fn target() -> Target {
    Target {
        weight: 15,
        tally: Tally::new("events", &["enable", "enable_all", "filter", "trigger"]),
        fuzz,
    }
}

fn fuzz(fuzz: &mut Fuzz, tally: &Tally) -> Result<()> {
    let n = fuzz.rng.usize(0..EVENTS.len());
    let file = |name| event_file(EVENTS[n], name);
    match fuzz.rng.u32(0..8) {
        0..3 => enable(fuzz, tally, "enable", &file("enable"), &EVENTS[n..=n]),
        3 => {
            let all = format!("{TRACEFS}/events/page_pin_owner/enable");
            enable(fuzz, tally, "enable_all", &all, &EVENTS)
        }
        4 | 5 => try_out(fuzz, tally, "filter", &file("filter"), FILTERS[n]),
        _ => try_out(fuzz, tally, "trigger", &file("trigger"), TRIGGERS[n]),
    }
}

/// Enables and disables these events, or nearly.
fn enable(
    fuzz: &mut Fuzz,
    tally: &Tally,
    act: &'static str,
    path: &str,
    events: &[&'static str],
) -> Result<()> {
    let examples = ["1", "0\n", "1\n", "1"].map(str::to_owned);
    let input = match fuzz.rng.bool() {
        true => Input::of(examples[fuzz.rng.usize(0..examples.len())].as_str()),
        false => Input::near(&mut fuzz.rng, &examples),
    };
    let plain = input.offset.is_none() && input.readable.is_none();
    let (expected, value) = match &input.bytes[..] {
        b"0" | b"0\n" if plain => (Expected::Taken, "0"),
        b"1" | b"1\n" if plain => (Expected::Taken, "1"),
        _ => (Expected::Quiet(ERRORS), ""),
    };
    let taken = fuzz.write(tally, act, path, &input, &expected)?;
    for &event in events.iter().filter(|_| taken) {
        let now = match value {
            // Of what is not plain, what it means is seen from what it did.
            "" => fs::read_to_string(event_file(event, "enable"))?,
            value => value.to_owned(),
        };
        fuzz.state.enabled.insert(event, now.trim_end().to_owned());
    }
    if !fuzz.state.is_on() {
        fuzz.state.own.clear();
    }
    fuzz.compare(tally, &input)
}

/// Sets a filter or a trigger, or nearly, and takes it back.
fn try_out(
    fuzz: &mut Fuzz,
    tally: &Tally,
    act: &'static str,
    path: &str,
    examples: &[&str],
) -> Result<()> {
    let examples: Vec<_> = examples.iter().map(|&text| text.to_owned()).collect();
    let mut input = Input::near(&mut fuzz.rng, &examples);
    // Of a histogram that it refuses the kernel leaks what it has read so far.
    if input.bytes.trim_ascii_start().starts_with(b"hist") {
        input = Input::of(examples[0].as_str());
    }
    fuzz.write(tally, act, path, &input, &Expected::Quiet(ERRORS))?;
    match act {
        "filter" => set(path, "0")?,
        _ => remove_triggers(path).context("a trigger cannot be removed")?,
    }
    fuzz.compare(tally, &input)
}

/// Removes all triggers of an event, or its hooks would stay.
fn remove_triggers(path: &str) -> Result<()> {
    // That is enough for those that are histograms.
    let mut options = File::options();
    options.write(true).truncate(true).open(path)?;
    let mut last = String::new();
    loop {
        // Anew each time: a filter with a line feed in it is more than one line.
        let text = fs::read_to_string(path)?;
        let Some(line) = text.lines().find(|line| !line.starts_with('#')) else {
            return Ok(());
        };
        ensure!(text != last, "it stays: {line}");
        // Another event, where one is named, and no more: not its count, nor its filter
        let words = line.split([':', ' ']);
        let named = if line.contains("able_") { 3 } else { 1 };
        let words: Vec<_> = words.take(named).collect();
        set(path, &format!("!{}", words.join(":")))?;
        last = text;
    }
}
