// SPDX-License-Identifier: GPL-2.0

//! Where a page lies: its frame number, and whether that is in a CMA area.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::memory::PAGE_SIZE;

const PAGEMAP: &str = "/proc/self/pagemap";
const CMA: &str = "/sys/kernel/debug/cma";

/// The frame number behind the address of a page of ours that was touched.
pub fn pfn_of(address: usize) -> Result<u64> {
    const PRESENT: u64 = 1 << 63;
    const PFN: u64 = (1 << 55) - 1;

    let mut entry = [0; size_of::<u64>()];
    let offset = address / PAGE_SIZE * entry.len();
    File::open(PAGEMAP)
        .and_then(|file| file.read_exact_at(&mut entry, offset as u64))
        .with_context(|| format!("cannot read {PAGEMAP}"))?;
    let entry = u64::from_ne_bytes(entry);
    match entry & PFN {
        _ if entry & PRESENT == 0 => bail!("the page at {address:#x} is not present"),
        0 => bail!("{PAGEMAP} hides frame numbers: root is needed"),
        pfn => Ok(pfn),
    }
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
