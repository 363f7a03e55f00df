// SPDX-License-Identifier: GPL-2.0

//! Memory of a known kind.

use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};

use crate::physical::{CmaAreas, pfn_of};

/// The size of a small page on every machine the lab knows.
pub const PAGE_SIZE: usize = 4096;

/// Pages in a huge page.
const HUGE_PAGES: usize = 512;

/// Give up looking for CMA pages after this much memory.
const SEARCH_BYTES: usize = 256 << 20;

/// What the memory is made of.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    /// Shared memory, in the page cache of a tmpfs file
    Shmem,
    /// Private anonymous memory
    Anon,
    /// Private anonymous memory in transparent huge pages, 512 pages each
    Thp,
    /// Private memory from hugetlb's pool of huge pages, 512 pages each
    Hugetlb,
}

impl Kind {
    /// Maps that many pages and touches them all.
    pub fn map(self, pages: usize) -> Result<Mapping> {
        let mapping = match self {
            Self::Shmem => Mapping::anonymous(pages, MapFlags::MAP_SHARED),
            Self::Anon => Mapping::anonymous(pages, MapFlags::MAP_PRIVATE),
            Self::Thp => Mapping::huge(pages),
            Self::Hugetlb => {
                Mapping::anonymous(pages, MapFlags::MAP_PRIVATE | MapFlags::MAP_HUGETLB)
            }
        }?;
        mapping.touch();
        Ok(mapping)
    }

    /// Like [`Self::map`], with every page in a CMA area if the kernel has one.
    pub fn map_in_cma(self, pages: usize) -> Result<Mapping> {
        let areas = CmaAreas::read()?;
        // Unsuitable memory is kept until the end, or it would come back at once.
        let mut unsuitable = Vec::new();
        for _ in 0..(SEARCH_BYTES / PAGE_SIZE).div_ceil(pages) {
            let mapping = self.map(pages)?;
            if areas.is_empty() || mapping.pfns()?.iter().all(|&pfn| areas.contains(pfn)) {
                return Ok(mapping);
            }
            unsuitable.push(mapping);
        }
        bail!(
            "no {pages} pages in CMA found among {} MiB",
            SEARCH_BYTES >> 20
        )
    }
}

/// Mapped memory, unmapped when dropped.
pub struct Mapping {
    start: NonNull<c_void>,
    len: NonZeroUsize,
}

impl Mapping {
    /// Maps that many pages that belong to no file of ours, without touching them.
    pub fn anonymous(pages: usize, flags: MapFlags) -> Result<Self> {
        let len = NonZeroUsize::new(pages * PAGE_SIZE).context("no pages asked for")?;
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: without an address or MAP_FIXED no existing mapping is touched.
        let start = unsafe { mmap_anonymous(None, len, prot, flags) }.context("mmap")?;
        Ok(Self { start, len })
    }

    /// Maps that many pages where huge pages fit exactly, without touching them.
    fn huge(pages: usize) -> Result<Self> {
        ensure!(
            pages % HUGE_PAGES == 0,
            "thp comes in multiples of {HUGE_PAGES} pages"
        );
        let mut mapping = Self::anonymous(pages + HUGE_PAGES, MapFlags::MAP_PRIVATE)?;
        let skip = mapping.start.align_offset(HUGE_PAGES * PAGE_SIZE);
        let tail = HUGE_PAGES * PAGE_SIZE - skip;
        // SAFETY: both ends lie in the mapping, which nobody else knows of yet.
        unsafe {
            let start = mapping.start.byte_add(skip);
            let len = pages * PAGE_SIZE;
            if skip > 0 {
                munmap(mapping.start, skip).context("munmap")?;
            }
            mapping.start = start;
            mapping.len = NonZeroUsize::new(len).context("no pages asked for")?;
            if tail > 0 {
                munmap(start.byte_add(len), tail).context("munmap")?;
            }
            madvise(start, len, MmapAdvise::MADV_HUGEPAGE).context("MADV_HUGEPAGE")?;
        }
        Ok(mapping)
    }

    /// The address of the first byte.
    pub fn address(&self) -> usize {
        self.start.as_ptr() as usize
    }

    /// The length in bytes, whole pages.
    pub fn len(&self) -> usize {
        self.len.get()
    }

    /// Never: there is no empty mapping.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The contents. Only for memory that is present or may be faulted in.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: readable for its whole length until dropped, and this process
        // does not write to it while it is shared out.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.len()) }
    }

    /// The frame numbers of the pages, in order.
    pub fn pfns(&self) -> Result<Vec<u64>> {
        (0..self.len())
            .step_by(PAGE_SIZE)
            .map(|offset| pfn_of(self.address() + offset))
            .collect()
    }

    fn touch(&self) {
        for offset in (0..self.len()).step_by(PAGE_SIZE) {
            // SAFETY: within the mapping, which is writable.
            unsafe {
                self.start
                    .as_ptr()
                    .cast::<u8>()
                    .add(offset)
                    .write_volatile(1)
            };
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped; borrows of it have ended.
        let unmapped = unsafe { munmap(self.start, self.len()) };
        debug_assert!(unmapped.is_ok());
    }
}
