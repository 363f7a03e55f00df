// SPDX-License-Identifier: GPL-2.0

//! Ranges of pfns: in order, apart from one another, and few.

use core::ops::Range;

/// Most ranges.
pub const MAX_RANGES: usize = 16;

/// A set of pfns.
#[derive(Clone)]
pub struct Ranges {
    list: [(u64, u64); MAX_RANGES],
    len: usize,
}

/// There would be more than [`MAX_RANGES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl Ranges {
    /// Nothing.
    pub const fn new() -> Self {
        Ranges {
            list: [(0, 0); MAX_RANGES],
            len: 0,
        }
    }

    /// The ranges, in order.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.list[..self.len].iter().map(|&(start, end)| start..end)
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True if one of these pfns is in the set.
    pub fn overlaps(&self, range: &Range<u64>) -> bool {
        self.iter()
            .any(|there| there.start < range.end && range.start < there.end)
    }

    /// From the first to behind the last pfn of all.
    pub fn hull(&self) -> Range<u64> {
        match self.list[..self.len] {
            [] => 0..0,
            [only] => only.0..only.1,
            [first, .., last] => first.0..last.1,
        }
    }

    /// Adds pfns, or takes them out.
    ///
    /// # Errors
    ///
    /// [`TooMany`]; then it is as before.
    pub fn set(&mut self, range: Range<u64>, is_in: bool) -> Result<(), TooMany> {
        let mut new = Self::new();
        let mut joined = range.clone();
        for there in self.iter() {
            if there.end < range.start || range.end < there.start {
                continue;
            }
            if is_in {
                joined = joined.start.min(there.start)..joined.end.max(there.end);
            }
        }
        let mut is_put = !is_in;
        for there in self.iter() {
            if !is_put && joined.start < there.start {
                new.push(joined.clone())?;
                is_put = true;
            }
            if is_in {
                if there.end < joined.start || joined.end < there.start {
                    new.push(there)?;
                }
            } else {
                new.push(there.start..there.end.min(range.start))?;
                new.push(there.start.max(range.end)..there.end)?;
            }
        }
        if !is_put {
            new.push(joined)?;
        }
        *self = new;
        Ok(())
    }

    /// Adds a range behind all others, if there is anything in it.
    fn push(&mut self, range: Range<u64>) -> Result<(), TooMany> {
        if range.start < range.end {
            *self.list.get_mut(self.len).ok_or(TooMany)? = (range.start, range.end);
            self.len += 1;
        }
        Ok(())
    }
}

impl Default for Ranges {
    fn default() -> Self {
        Self::new()
    }
}
