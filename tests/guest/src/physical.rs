// SPDX-License-Identifier: GPL-2.0

//! Where a page lies: its frame number, whether that is in a CMA area, and what the
//! kernel has there.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::memory::PAGE_SIZE;

const PAGEMAP: &str = "/proc/self/pagemap";
const KPAGEFLAGS: &str = "/proc/kpageflags";
const CMA: &str = "/sys/kernel/debug/cma";

/// The frame number behind the address of a page of ours that was touched.
pub fn pfn_of(address: usize) -> Result<u64> {
    const PRESENT: u64 = 1 << 63;
    const PFN: u64 = (1 << 55) - 1;

    let entry = read_entry(PAGEMAP, (address / PAGE_SIZE) as u64)?;
    match entry & PFN {
        _ if entry & PRESENT == 0 => bail!("the page at {address:#x} is not present"),
        0 => bail!("{PAGEMAP} hides frame numbers: root is needed"),
        pfn => Ok(pfn),
    }
}

/// Flags of a page: bits of linux/kernel-page-flags.h.
#[derive(Clone, Copy)]
pub enum Flag {
    /// Being written to its file
    Writeback = 8,
    /// In the swap cache
    SwapCache = 13,
    /// Merged by ksmd
    Ksm = 21,
    /// Part of a transparent huge page
    Thp = 22,
}

/// Whether the kernel says that of the page.
pub fn has_flag(pfn: u64, flag: Flag) -> Result<bool> {
    Ok(read_entry(KPAGEFLAGS, pfn)? & (1 << flag as u64) != 0)
}

/// The nth entry of a table of 64-bit words.
fn read_entry(path: &str, n: u64) -> Result<u64> {
    const SIZE: usize = size_of::<u64>();

    let mut entry = [0; SIZE];
    File::open(path)
        .and_then(|file| file.read_exact_at(&mut entry, n * SIZE as u64))
        .with_context(|| format!("cannot read {path}"))?;
    Ok(u64::from_ne_bytes(entry))
}

/// The frames of the kernel's CMA areas.
pub struct CmaAreas(Vec<Range<u64>>);

impl CmaAreas {
    /// Asks the kernel for them; none is not an error.
    pub fn read() -> Result<Self> {
        if !Path::new(CMA).exists() {
            return Ok(Self(Vec::new()));
        }
        fs::read_dir(CMA)
            .with_context(|| format!("cannot list {CMA}"))?
            .map(|area| {
                let area = area?.path();
                let base = read_number(&area.join("base_pfn"))?;
                let count = read_number(&area.join("count"))?;
                Ok(base..base + count)
            })
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Whether the kernel has no CMA area.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the frame lies in one of the areas.
    pub fn contains(&self, pfn: u64) -> bool {
        self.0.iter().any(|area| area.contains(&pfn))
    }
}

fn read_number(path: &Path) -> Result<u64> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.trim()
        .parse()
        .with_context(|| format!("no number in {}", path.display()))
}
