// SPDX-License-Identifier: GPL-2.0

//! `watch`: the same commands as `mark`'s, and what is nearly one.

use std::ops::Range;

use anyhow::Result;
use nix::errno::Errno;

use super::input::Input;
use super::mark::{Command, LONGEST, draw, end_of_memory, read};
use super::{Expected, Fuzz, Target};
use crate::subject::DEBUGFS;
use crate::tally::Tally;

/// Most ranges.
const MOST: usize = 16;

pub(super) fn target() -> Target {
    Target {
        weight: 30,
        tally: Tally::new(
            "watch",
            &[
                "add",
                "remove",
                "clear",
                "full",
                "offset",
                "malformed",
                "fault",
            ],
        ),
        fuzz,
    }
}

fn fuzz(fuzz: &mut Fuzz, tally: &Tally) -> Result<()> {
    let input = match fuzz.rng.bool() {
        true => draw(fuzz),
        // Apart from each other, so that there come to be too many.
        false => Input::of(format!("{}", 2 * fuzz.rng.u64(0..1 << 17))),
    };
    let watched = &fuzz.state.watched;
    let (act, after) = match read(&input.bytes, end_of_memory()?) {
        // A file that is read by seq_file, too, has no place to write to.
        _ if input.offset.is_some() => ("offset", Err((&[Errno::ESPIPE][..], 0))),
        _ if input.bytes.len() > LONGEST => ("malformed", Err((&[Errno::EINVAL][..], 1))),
        _ if input.readable.is_some() => ("fault", Err((&[Errno::EFAULT][..], 0))),
        Command::None(errors) => ("malformed", Err((errors, 1))),
        Command::Clear => ("clear", Ok(Vec::new())),
        Command::Add(first, count) => ("add", Ok(with(watched, first..first + count))),
        Command::Remove(first, count) => {
            let range = first..first + count;
            match watched.iter().any(|there| overlap(there, &range)) {
                true => ("remove", Ok(without(watched, &range))),
                false => ("remove", Err((&[Errno::EINVAL][..], 1))),
            }
        }
    };
    let (act, after) = match after {
        Ok(ranges) if ranges.len() > MOST => ("full", Err((&[Errno::ENOSPC][..], 1))),
        after => (act, after),
    };
    let expected = match after {
        Ok(_) => Expected::Taken,
        Err((errors, lines)) => Expected::Refused(errors, lines),
    };
    let path = format!("{DEBUGFS}/watch");
    if fuzz.write(tally, act, &path, &input, &expected)? {
        if let Ok(ranges) = after {
            fuzz.state.watched = ranges;
        }
    }
    fuzz.compare(tally, &input)
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

/// With one more, joined with those that it touches.
fn with(ranges: &[Range<u64>], mut range: Range<u64>) -> Vec<Range<u64>> {
    let mut all = Vec::new();
    for there in ranges {
        if there.end < range.start || range.end < there.start {
            all.push(there.clone());
        } else {
            range = range.start.min(there.start)..range.end.max(there.end);
        }
    }
    all.push(range);
    all.sort_by_key(|range| range.start);
    all
}

fn without(ranges: &[Range<u64>], range: &Range<u64>) -> Vec<Range<u64>> {
    ranges
        .iter()
        .flat_map(|there| {
            [
                there.start..there.end.min(range.start),
                there.start.max(range.end)..there.end,
            ]
        })
        .filter(|part| !part.is_empty())
        .collect()
}
