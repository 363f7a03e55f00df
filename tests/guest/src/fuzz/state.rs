// SPDX-License-Identifier: GPL-2.0

//! All that input can change.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;

use anyhow::{Context, Result};

use crate::subject::{DEBUGFS, EVENTS, event_file, parameter};

/// The parameters that can be written, and those that can not.
pub(super) const WRITABLE: [&str; 6] = [
    "reasons",
    "until",
    "arming",
    "max_age",
    "report_rate",
    "longterm_ms",
];
pub(super) const FIXED: [&str; 5] = [
    "max_marks",
    "depot_kib",
    "stack_depth",
    "watch_kib",
    "entries",
];

/// Folios: the first page of each, and its pages.
type Folios = BTreeMap<u64, u64>;

/// The module's state as its files show it; or, changed by who gives input, as it has to be.
pub(super) struct State {
    pub(super) parameters: BTreeMap<&'static str, String>,
    /// Whether each event is enabled, as its file says.
    pub(super) enabled: BTreeMap<&'static str, String>,
    /// Marks were forgotten by age when this was read.
    may_expire: bool,
    /// Pages of ours that are marked: they are held, and so stay, but for their age.
    pub(super) own: BTreeSet<u64>,
    /// Others are freed at any time.
    pub(super) others: Folios,
    /// Where others may have been marked.
    pub(super) may_come: Range<u64>,
    /// What is watched: in order, and apart.
    pub(super) watched: Vec<Range<u64>>,
}

impl State {
    /// As it is.
    pub(super) fn now(ours: &[u64]) -> Result<Self> {
        let mut others = marked()?;
        let own = ours.iter().copied();
        let parameters = shown(WRITABLE.iter().chain(&FIXED).copied(), parameter)?;
        Ok(Self {
            may_expire: parameters["max_age"] != "0",
            parameters,
            enabled: shown(EVENTS.into_iter(), |event| event_file(event, "enable"))?,
            own: own.filter(|pfn| others.remove(pfn).is_some()).collect(),
            others,
            may_come: 0..0,
            watched: watched()?,
        })
    }

    /// Whether there can be marks.
    pub(super) fn is_on(&self) -> bool {
        self.enabled.values().any(|value| value == "1")
    }

    /// Whether marks of ours may be gone by now: they were forgotten by age when this was read,
    /// or are since.
    pub(super) fn expires(&self) -> bool {
        self.may_expire || self.parameters["max_age"] != "0"
    }

    /// In what `now` is not as this has to be; nothing if it is.
    pub(super) fn differences(&self, now: &Self) -> String {
        let mut text = String::new();
        let texts = self.parameters.iter().chain(&self.enabled);
        for ((name, wanted), is) in texts.zip(now.parameters.values().chain(now.enabled.values())) {
            if wanted != is {
                text += &format!(" {name} is {is:?}, not {wanted:?};");
            }
        }
        for pfn in self.own.difference(&now.own).filter(|_| !self.expires()) {
            text += &format!(" {pfn:#x} is not marked;");
        }
        for pfn in now.own.difference(&self.own) {
            text += &format!(" {pfn:#x} is marked;");
        }
        for (first, pages) in &now.others {
            let may_come = self.may_come.start < first + pages && *first < self.may_come.end;
            if !may_come && !self.others.contains_key(first) {
                text += &format!(" {first:#x} is marked;");
            }
        }
        if self.watched != now.watched {
            text += &format!(" {:x?} is watched, not {:x?};", now.watched, self.watched);
        }
        text
    }
}

/// What each of these files says.
fn shown(
    names: impl Iterator<Item = &'static str>,
    path: fn(&str) -> String,
) -> Result<BTreeMap<&'static str, String>> {
    names
        .map(|name| {
            let text = fs::read_to_string(path(name)).context(name)?;
            Ok((name, text.trim_end_matches('\n').to_owned()))
        })
        .collect()
}

/// The table of what is marked.
fn marked() -> Result<Folios> {
    let text = fs::read_to_string(format!("{DEBUGFS}/marked")).context("marked")?;
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| folio(line).with_context(|| line.to_owned()))
        .collect()
}

/// The ranges that are watched.
fn watched() -> Result<Vec<Range<u64>>> {
    let text = fs::read_to_string(format!("{DEBUGFS}/watch")).context("watch")?;
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| range(line).with_context(|| line.to_owned()))
        .collect()
}

/// `pfn=0x1 pages=2`
fn range(line: &str) -> Option<Range<u64>> {
    let (pfn, pages) = line.strip_prefix("pfn=0x")?.split_once(" pages=")?;
    let start = u64::from_str_radix(pfn, 16).ok()?;
    Some(start..start + pages.parse::<u64>().ok()?)
}

/// `pfn=0x1 order=0 ...`
fn folio(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split(' ');
    let pfn = words.next()?.strip_prefix("pfn=0x")?;
    let order: u32 = words.next()?.strip_prefix("order=")?.parse().ok()?;
    Some((u64::from_str_radix(pfn, 16).ok()?, 1 << order))
}
