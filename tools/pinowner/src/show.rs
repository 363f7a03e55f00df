// SPDX-License-Identifier: GPL-2.0

//! How values look to a person, in whatever output.

use crate::story::{Kind, Name, Task};
use crate::symbol;
use std::fmt;

/// A time in microseconds, in the unit that suits it.
pub struct Time(pub u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Time(us) = *self;
        match us {
            0..1_000 => write!(f, "{us} us"),
            1_000..10_000_000 => write!(f, "{} ms", us / 1_000),
            10_000_000..600_000_000 => write!(f, "{} s", us / 1_000_000),
            600_000_000..36_000_000_000 => write!(f, "{} min", us / 60_000_000),
            _ => write!(f, "{} h", us / 3_600_000_000),
        }
    }
}

/// From one time to another.
pub struct Times(pub u64, pub u64);

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (Time(self.0).to_string(), Time(self.1).to_string());
        if first == last {
            f.write_str(&last)
        } else {
            write!(f, "{first} to {last}")
        }
    }
}

/// `1 folio`, `2 folios`.
pub struct Count(pub u64, pub &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count(n, what) = self;
        write!(f, "{n} {what}{}", if *n == 1 { "" } else { "s" })
    }
}

/// References to a folio of that order: a FOLL_PIN takes 1024 of one page.
pub struct References {
    /// How many.
    pub refs: u64,
    /// The folio's order.
    pub order: u32,
}

impl fmt::Display for References {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PIN: u64 = 1024;
        let (pins, refs) = match self.order {
            0 => (self.refs / PIN, self.refs % PIN),
            _ => (0, self.refs),
        };
        match (pins, refs) {
            (0, 0) => f.write_str("no reference"),
            (0, _) => Count(refs, "reference").fmt(f),
            (_, 0) => Count(pins, "pin").fmt(f),
            _ => write!(f, "{} and {}", Count(pins, "pin"), Count(refs, "reference")),
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.comm, self.pid)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Anon => "anon",
            Kind::Shmem => "shmem",
            Kind::File => "file",
            Kind::Other => "other memory",
        })
    }
}

/// The innermost functions of a stack that say something, on one line.
pub struct Path<'a>(pub &'a [Name]);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, frame) in symbol::telling(self.0).iter().take(3).enumerate() {
            let arrow = if n == 0 { "" } else { " <- " };
            write!(f, "{arrow}{}", symbol::function(frame))?;
        }
        Ok(())
    }
}

/// Page numbers, those side by side as a range, and no more of these than a line takes.
pub fn pfns(mut folios: Vec<(u64, u64)>) -> String {
    const MOST: usize = 6;
    folios.sort_unstable();
    folios.dedup();
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for (pfn, pages) in folios {
        let end = pfn.saturating_add(pages);
        match ranges.last_mut() {
            Some((_, last)) if *last >= pfn => *last = end.max(*last),
            _ => ranges.push((pfn, end)),
        }
    }
    let range = |&(start, end): &(u64, u64)| match end - start {
        0 | 1 => format!("0x{start:x}"),
        _ => format!("0x{start:x}-0x{:x}", end - 1),
    };
    let mut text = ranges
        .iter()
        .take(MOST)
        .map(range)
        .collect::<Vec<_>>()
        .join(" ");
    if ranges.len() > MOST {
        text += &format!(" and {} more", Count((ranges.len() - MOST) as u64, "range"));
    }
    text
}
