// SPDX-License-Identifier: GPL-2.0

//! Pages by what they are called: a CMA area, a memory block, a zone of a node, or by number.

use crate::event::pfn_of;
use crate::exit::{Exit, Failure};
use crate::machine::{self, Machine, names};
use crate::zoneinfo::{Zone, zones};
use anyhow::Result;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

const BLOCKS: &str = "/sys/devices/system/memory";
/// Most names that an error lists.
const MOST_NAMES: usize = 16;

/// What somebody calls some pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `cma:NAME`
    Cma(String),
    /// `block:N`: as many pages as can be taken offline together.
    Block(u64),
    /// `node:N:movable`, or any other zone of a node's.
    Zone(u32, String),
    /// `FIRST-LAST`, `FIRST+COUNT`, or one page.
    Pages(Range<u64>),
}

/// What is accepted.
pub const FORMS: &str = "cma:NAME, block:N, node:N:movable, FIRST-LAST or FIRST+COUNT";

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| {
            digits
                .parse()
                .map_err(|_| format!("'{digits}' is no number"))
        };
        if let Some(name) = text.strip_prefix("cma:") {
            return Ok(Target::Cma(name.to_owned()));
        }
        if let Some(block) = text.strip_prefix("block:") {
            return Ok(Target::Block(number(block)?));
        }
        if let Some(rest) = text.strip_prefix("node:") {
            let (node, zone) = rest
                .split_once(':')
                .ok_or("a zone is named as in node:0:movable")?;
            let node = node.parse().map_err(|_| format!("'{node}' is no number"))?;
            return Ok(Target::Zone(node, zone.to_owned()));
        }
        pages(text).map(Target::Pages)
    }
}

/// `FIRST-LAST`, `FIRST+COUNT`, or one page.
fn pages(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| pfn_of(text).ok_or(format!("'{text}' is none of {FORMS}"));
    let too_large = || format!("{text} is beyond all memory");
    let (first, end) = if let Some((first, last)) = text.split_once('-') {
        let (first, last) = (number(first)?, number(last)?);
        if last < first {
            return Err("the first page comes after the last".to_owned());
        }
        (first, last.checked_add(1))
    } else {
        let (first, count) = text.split_once('+').unwrap_or((text, "1"));
        let (first, count) = (number(first)?, number(count)?);
        if count == 0 {
            return Err("no page at all".to_owned());
        }
        (first, first.checked_add(count))
    };
    Ok(first..end.ok_or_else(too_large)?)
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Cma(name) => write!(f, "cma:{name}"),
            Target::Block(block) => write!(f, "block:{block}"),
            Target::Zone(node, zone) => write!(f, "node:{node}:{zone}"),
            Target::Pages(pages) if pages.end - pages.start == 1 => {
                write!(f, "0x{:x}", pages.start)
            }
            Target::Pages(pages) => write!(f, "0x{:x}-0x{:x}", pages.start, pages.end - 1),
        }
    }
}

/// Where names are looked up.
#[derive(Clone, Debug)]
pub struct Places {
    /// The machine.
    pub machine: Machine,
    /// Where debugfs is mounted.
    pub debugfs: PathBuf,
    /// Bytes of a page.
    pub page_size: u64,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The pages.
    pub pages: Range<u64>,
    /// Pages of these that are holes in memory, or what else is to be said of them.
    pub note: Option<String>,
}

impl From<Range<u64>> for Found {
    fn from(pages: Range<u64>) -> Self {
        Found { pages, note: None }
    }
}

/// An error that says what there is instead.
fn unknown(what: impl fmt::Display, there: &[String]) -> anyhow::Error {
    let shown = there.iter().take(MOST_NAMES).map(String::as_str);
    let mut there_is = shown.collect::<Vec<_>>().join(", ");
    if there.len() > MOST_NAMES {
        there_is += ", ...";
    }
    let sentence = match there.len() {
        0 => format!("there is no {what}"),
        _ => format!("there is no {what}; there is {there_is}"),
    };
    Failure::new(Exit::Failed, sentence).into()
}

fn missing(sentence: impl Into<String>) -> anyhow::Error {
    Failure::new(Exit::Kernel, sentence).into()
}

impl Places {
    /// The pages that are meant.
    ///
    /// # Errors
    ///
    /// There is nothing of that name: which there are. [`Exit::Kernel`] if the kernel does not tell.
    pub fn find(&self, target: &Target) -> Result<Found> {
        match target {
            Target::Cma(name) => self.cma(name),
            Target::Block(block) => self.block(*block),
            Target::Zone(node, zone) => self.zone(*node, zone),
            Target::Pages(pages) => Ok(pages.clone().into()),
        }
    }

    fn cma(&self, name: &str) -> Result<Found> {
        let areas = self.debugfs.join("cma");
        let there = names(&areas);
        if there.is_empty() {
            return Err(missing(format!(
                "{} has no CMA area: the kernel needs CONFIG_CMA_DEBUGFS and cma=SIZE, or give FIRST+COUNT",
                areas.display()
            )));
        }
        // Of those that there are, whatever somebody writes.
        if !there.iter().any(|area| area == name) {
            return Err(unknown(format!("CMA area '{name}'"), &there));
        }
        let area = areas.join(name);
        let ranges = names(&area.join("ranges"));
        if ranges.len() > 1 {
            return Err(missing(format!(
                "{} lies in {} places, and the kernel does not tell their sizes: give FIRST+COUNT",
                area.display(),
                ranges.len()
            )));
        }
        let figure = |name: &str| {
            let path = area.join(name);
            let text =
                machine::read(&path).map_err(|e| crate::kernel::failed(&e, path.display()))?;
            let text = text.trim();
            pfn_of(text)
                .ok_or_else(|| missing(format!("{}: '{text}' is no number", path.display())))
        };
        let count = figure("count")?;
        if count == 0 {
            return Err(missing(format!(
                "CMA area {name} has no pages: it could not be set up at boot, see dmesg"
            )));
        }
        self.range(figure("base_pfn")?, count)
    }

    fn range(&self, start: u64, pages: u64) -> Result<Found> {
        match start.checked_add(pages) {
            Some(end) if pages > 0 => Ok((start..end).into()),
            _ => Err(missing(format!(
                "the kernel says 0x{start:x} and {pages} pages"
            ))),
        }
    }

    fn block(&self, block: u64) -> Result<Found> {
        let size = format!("{BLOCKS}/block_size_bytes");
        let text = self.machine.read(&size);
        // Hexadecimal, without 0x.
        let bytes = text
            .ok()
            .and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
        let Some(bytes) = bytes.filter(|bytes| *bytes >= self.page_size) else {
            let sentence = format!("{size} tells no size: the kernel needs CONFIG_MEMORY_HOTPLUG");
            return Err(missing(sentence));
        };
        let directory = format!("{BLOCKS}/memory{block}");
        if !self.machine.has(&directory) {
            let numbers = |name: &String| name.strip_prefix("memory")?.parse::<u64>().ok();
            let all = names(&self.machine.path(BLOCKS));
            let mut all: Vec<_> = all.iter().filter_map(numbers).collect();
            all.sort_unstable();
            return Err(unknown(format!("memory block {block}"), &ranges_of(&all)));
        }
        let pages = bytes / self.page_size;
        let start = block.saturating_mul(pages);
        let mut found = self.range(start, pages)?;
        let state = self
            .machine
            .read(format!("{directory}/state"))
            .unwrap_or_default();
        if !matches!(state.trim(), "online" | "") {
            found.note = Some(format!("memory block {block} is {}", state.trim()));
        }
        Ok(found)
    }

    fn zone(&self, node: u32, name: &str) -> Result<Found> {
        let text = self.machine.read("/proc/zoneinfo");
        let text = text.map_err(|e| crate::kernel::failed(&e, "/proc/zoneinfo"))?;
        let zones = zones(&text);
        let is_it = |zone: &&Zone| {
            zone.node == node && zone.spanned > 0 && zone.name.eq_ignore_ascii_case(name)
        };
        let Some(zone) = zones.iter().find(is_it) else {
            let there = zones.iter().filter(|zone| zone.spanned > 0);
            let there: Vec<_> = there
                .map(|zone| format!("node:{}:{}", zone.node, zone.name.to_ascii_lowercase()))
                .collect();
            let mut what = format!("memory in node:{node}:{name}");
            if name.eq_ignore_ascii_case("movable") {
                what += " (booted with movablecore= or movable_node there is)";
            }
            return Err(unknown(what, &there));
        };
        let mut found = self.range(zone.start, zone.spanned)?;
        let holes = zone.spanned.saturating_sub(zone.present);
        if holes > 0 {
            found.note = Some(format!("{holes} of these pages are holes in memory"));
        }
        Ok(found)
    }
}

/// Numbers in order, those side by side as a range.
fn ranges_of(numbers: &[u64]) -> Vec<String> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let show = |&(first, last): &(u64, u64)| match first == last {
        true => format!("{first}"),
        false => format!("{first} to {last}"),
    };
    ranges.iter().map(show).collect()
}

#[cfg(test)]
mod tests;
