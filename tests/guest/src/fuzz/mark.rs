// SPDX-License-Identifier: GPL-2.0

//! `mark`: commands, and what is nearly one.

use std::fs;

use anyhow::{Context, Result};
use nix::errno::Errno;

use super::input::Input;
use super::{Expected, Fuzz, Target};
use crate::subject::DEBUGFS;
use crate::tally::Tally;

/// The longest command.
pub(super) const LONGEST: usize = 64;

pub(super) fn target() -> Target {
    Target {
        weight: 40,
        tally: Tally::new("mark", &["add", "remove", "clear", "malformed", "fault"]),
        fuzz,
    }
}

/// What the documentation says that it is.
#[derive(Clone, Copy)]
pub(super) enum Command {
    Add(u64, u64),
    Remove(u64, u64),
    Clear,
    /// Not well formed, or out of range
    None(&'static [Errno]),
}

fn fuzz(fuzz: &mut Fuzz, tally: &Tally) -> Result<()> {
    let input = draw(fuzz);
    let command = read(&input.bytes, end_of_memory()?);
    let is_on = fuzz.state.is_on();
    let ours = fuzz.own.clone();
    let (act, expected) = match command {
        _ if input.bytes.len() > LONGEST => ("malformed", Expected::Refused(&[Errno::EINVAL], 1)),
        _ if input.readable.is_some() => ("fault", Expected::Refused(&[Errno::EFAULT], 0)),
        Command::None(errors) => ("malformed", Expected::Refused(errors, 1)),
        Command::Clear => ("clear", Expected::Taken),
        Command::Add(..) if !is_on => ("add", Expected::Refused(&[Errno::EBUSY], 1)),
        Command::Remove(..) if !is_on => ("remove", Expected::Refused(&[Errno::EBUSY], 1)),
        Command::Add(first, count) => {
            let has_ours = ours.iter().any(|pfn| (first..first + count).contains(pfn));
            ("add", taken_if(has_ours))
        }
        Command::Remove(first, count) => {
            let has_ours = fuzz.state.own.range(first..first + count).next().is_some();
            ("remove", taken_if(has_ours && !fuzz.state.expires()))
        }
    };
    let path = format!("{DEBUGFS}/mark");
    if fuzz.write(tally, act, &path, &input, &expected)? {
        match command {
            Command::Add(first, count) => {
                let range = first..first + count;
                fuzz.state
                    .own
                    .extend(ours.into_iter().filter(|pfn| range.contains(pfn)));
                fuzz.state.may_come = range;
            }
            Command::Remove(first, count) => {
                fuzz.state
                    .own
                    .retain(|pfn| !(first..first + count).contains(pfn));
            }
            Command::Clear => {
                fuzz.state.own.clear();
                fuzz.state.others.clear();
            }
            Command::None(_) => {}
        }
    }
    fuzz.compare(tally, &input)
}

/// It is if pages of ours are there; else it depends on what others do.
fn taken_if(has_ours: bool) -> Expected {
    match has_ours {
        true => Expected::Taken,
        false => Expected::Unknown(&[Errno::EINVAL]),
    }
}

/// Commands for pages of ours and of others, and near those.
pub(super) fn draw(fuzz: &mut Fuzz) -> Input {
    let rng = &mut fuzz.rng;
    let first = match rng.u32(0..4) {
        0 => rng.u64(..) >> rng.u32(0..64),
        1 => rng.u64(0..1 << 18),
        2 if !fuzz.state.own.is_empty() => {
            let nth = rng.usize(0..fuzz.state.own.len());
            *fuzz.state.own.iter().nth(nth).unwrap_or(&0)
        }
        _ => fuzz.own[rng.usize(0..fuzz.own.len())],
    };
    let count = match rng.u32(0..100) {
        0 => rng.u64(..) >> rng.u32(0..64),
        1..20 => rng.u64(0..1000),
        _ => rng.u64(0..8),
    };
    let mut examples: Vec<_> = ["", "-"]
        .into_iter()
        .flat_map(|sign| {
            [
                format!("{sign}{first}"),
                format!("{sign}{first:#x}\n"),
                format!("{sign}{first} {count}"),
                format!("{sign}{first:#x} {count:#X}\n").replace("0X", "0x"),
            ]
        })
        .collect();
    match rng.u32(0..12) {
        0 => examples = ["clear", "clear\n"].map(str::to_owned).to_vec(),
        1 => examples.push("clear".to_owned()),
        _ => {}
    }
    match rng.bool() {
        true => Input::of(examples[rng.usize(0..examples.len())].as_str()),
        false => Input::near(rng, &examples),
    }
}

/// `PFN [COUNT]`, `-PFN [COUNT]` or `clear`: numbers decimal, or hexadecimal with 0x.
pub(super) fn read(bytes: &[u8], end: u64) -> Command {
    const RANGE: Command = Command::None(&[Errno::ERANGE]);

    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes == b"clear" {
        return Command::Clear;
    }
    let (removes, rest) = match bytes.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, bytes),
    };
    let words: Option<Vec<_>> = rest.split(|&c| c == b' ').map(number).collect();
    let (first, count) = match words.as_deref() {
        Some([first]) => (*first, Some(1)),
        Some([first, count]) => (*first, *count),
        _ => return malformed(bytes),
    };
    let last = first
        .zip(count)
        .and_then(|(first, count)| first.checked_add(count));
    match (first, count, last) {
        (Some(first), Some(count @ 1..), Some(last)) if last <= end => match removes {
            true => Command::Remove(first, count),
            false => Command::Add(first, count),
        },
        _ => RANGE,
    }
}

/// A number, if it is one; none in it if it is too large.
fn number(word: &[u8]) -> Option<Option<u64>> {
    let word = std::str::from_utf8(word).ok()?;
    let hex = word.strip_prefix("0x").or(word.strip_prefix("0X"));
    let (digits, radix) = hex.map_or((word, 10), |hex| (hex, 16));
    if digits.is_empty() || digits.contains(|c: char| !c.is_digit(radix)) {
        return None;
    }
    Some(u64::from_str_radix(digits, radix).ok())
}

/// In what is no command there may be a number that is too large, too.
fn malformed(bytes: &[u8]) -> Command {
    let mut runs = bytes.split(|c| !c.is_ascii_hexdigit());
    Command::None(match runs.any(|run| run.len() >= 16) {
        true => &[Errno::EINVAL, Errno::ERANGE],
        false => &[Errno::EINVAL],
    })
}

/// The first page behind all memory, as the kernel lists it.
pub(super) fn end_of_memory() -> Result<u64> {
    let text = fs::read_to_string("/proc/zoneinfo").context("/proc/zoneinfo")?;
    let (mut end, mut spanned) = (0, 0);
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match (
            words.next(),
            words.next().and_then(|word| word.parse().ok()),
        ) {
            (Some("spanned"), Some(pages)) => spanned = pages,
            (Some("start_pfn:"), Some(first)) => end = end.max(first + spanned),
            _ => {}
        }
    }
    Ok(end)
}
