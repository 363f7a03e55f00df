// SPDX-License-Identifier: GPL-2.0

//! The module's parameters at run time.

use anyhow::Result;
use nix::errno::Errno;

use super::input::Input;
use super::state::WRITABLE;
use super::{Expected, Fuzz, Target};
use crate::memory::PAGE_SIZE;
use crate::subject::parameter;
use crate::tally::Tally;

/// In the order in which they are shown.
const REASONS: [&str; 12] = [
    "compaction",
    "memory_failure",
    "memory_hotplug",
    "syscall_or_cpuset",
    "mempolicy_mbind",
    "numa_misplaced",
    "contig_range",
    "longterm_pin",
    "demotion",
    "damon",
    "hwpoison",
    "manual",
];

pub(super) fn target() -> Target {
    Target {
        weight: 30,
        tally: Tally::new("parameters", &["taken", "refused", "fault"]),
        fuzz,
    }
}

fn fuzz(fuzz: &mut Fuzz, tally: &Tally) -> Result<()> {
    let name = WRITABLE[fuzz.rng.usize(0..WRITABLE.len())];
    let examples = examples(fuzz, name);
    let input = Input::near(&mut fuzz.rng, &examples);
    let value = shown(name, &input.bytes);
    let (act, expected) = match value {
        // The kernel does not hand nothing on.
        _ if input.bytes.is_empty() => ("taken", Expected::Taken),
        _ if input.readable.is_some() => ("fault", Expected::Refused(&[Errno::EFAULT], 0)),
        Some(_) => ("taken", Expected::Taken),
        None => ("refused", Expected::Refused(&[Errno::EINVAL], 1)),
    };
    if fuzz.write(tally, act, &parameter(name), &input, &expected)? {
        if let Some(value) = value {
            fuzz.state.parameters.insert(name, value);
        }
    }
    fuzz.compare(tally, &input)
}

/// Values that are accepted.
fn examples(fuzz: &mut Fuzz, name: &str) -> Vec<String> {
    let rng = &mut fuzz.rng;
    match name {
        "reasons" => {
            let some = (0..rng.usize(1..6)).map(|_| REASONS[rng.usize(0..REASONS.len())]);
            let some: Vec<_> = some.collect();
            vec!["all\n".to_owned(), some.join(","), some.join(" ,\t") + "\n"]
        }
        "until" => vec!["free\n".to_owned(), "unpinned".to_owned()],
        "arming" => vec!["always\n".to_owned(), "on_demand".to_owned()],
        // Mostly none, or there would be no marks for the rest.
        "max_age" if rng.u32(0..4) != 0 => vec!["0\n".to_owned()],
        _ => vec![(rng.u32(..) >> rng.u32(0..32)).to_string()],
    }
}

/// How the parameter shows what was written to it; nothing if that is to be refused.
fn shown(name: &str, bytes: &[u8]) -> Option<String> {
    // The kernel's own rules: no more than a page, and to it text ends with a NUL.
    let text = bytes.get(..PAGE_SIZE).unwrap_or(bytes);
    let text = text.split(|&c| c == 0).next()?;
    let text = std::str::from_utf8(text).ok()?;
    let space = |c: char| c.is_ascii_whitespace();
    let text = text.trim_matches(space);
    match name {
        "reasons" if text == "all" => Some(text.to_owned()),
        "reasons" => {
            let words: Vec<_> = text
                .split(',')
                .map(|word| word.trim_matches(space))
                .collect();
            let known = words.iter().all(|word| REASONS.contains(word));
            let mut names = REASONS.to_vec();
            names.retain(|name| words.contains(name));
            known.then(|| names.join(","))
        }
        "until" => ["free", "unpinned"]
            .contains(&text)
            .then(|| text.to_owned()),
        "arming" => ["always", "on_demand"]
            .contains(&text)
            .then(|| text.to_owned()),
        _ if text.is_empty() || text.contains(|c: char| !c.is_ascii_digit()) => None,
        _ => Some(text.parse::<u32>().ok()?.to_string()),
    }
}
