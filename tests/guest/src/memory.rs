// SPDX-License-Identifier: GPL-2.0

//! Memory of a known kind.

use std::ffi::c_void;
use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::process;
use std::ptr::NonNull;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mmap_anonymous, munmap};
use nix::sys::statfs::{EXT4_SUPER_MAGIC, statfs};

use crate::physical::{CmaAreas, Flag, has_flag, pfn_of};

/// The size of a small page on every machine the lab knows.
pub const PAGE_SIZE: usize = 4096;

/// Pages in a huge page.
const HUGE_PAGES: usize = 512;

/// Pages in a huge page of the next size.
const GIGANTIC_PAGES: usize = HUGE_PAGES * HUGE_PAGES;

/// Pages in the folios of [`Kind::Mthp`], 64 KiB.
const MTHP_PAGES: usize = 16;

/// Much longer than ksmd needs to find equal pages.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often pages are swapped out until all of them are in the swap cache: mostly once.
const SWAP_TRIES: usize = 50;

/// Where the file system is for memory in files.
const FILES: &str = "/files";

/// Give up looking for CMA pages after this much memory.
const SEARCH_BYTES: usize = 256 << 20;

/// Pages to take out of the way before looking again.
const IN_THE_WAY: usize = 256;

/// What the memory is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Shared memory, in the page cache of a tmpfs file
    Shmem,
    /// In the page cache of a file of the ext4 file system mounted at /files
    File,
    /// Private anonymous memory
    Anon,
    /// Private anonymous memory in transparent huge pages, 512 pages each
    Thp,
    /// Private memory from hugetlb's pool of huge pages, 512 pages each
    Hugetlb,
    /// As hugetlb, in the page cache of a file
    HugetlbShared,
    /// As hugetlb, 1 GiB each
    #[value(name = "hugetlb-1g")]
    Hugetlb1g,
    /// Private anonymous memory in folios of 64 KiB, 16 pages each
    Mthp,
    /// As thp, and then split: folios of one page each
    ThpSplit,
    /// Shared memory in transparent huge pages, 512 pages each
    ShmemThp,
    /// Private anonymous memory, all of it merged into one page by ksmd
    Ksm,
    /// Private anonymous memory, swapped out and in again for reading
    SwapCache,
}

impl Kind {
    /// Maps that many pages and touches them all.
    pub fn map(self, pages: usize) -> Result<Mapping> {
        let mapping = match self {
            Self::Shmem => Mapping::shmem(pages),
            Self::File => Mapping::ext4(pages),
            Self::Anon => Mapping::anonymous(pages, MapFlags::MAP_PRIVATE),
            Self::Thp | Self::ThpSplit => Mapping::huge(pages, HUGE_PAGES),
            Self::Mthp => Mapping::huge(pages, MTHP_PAGES),
            Self::Hugetlb => {
                Mapping::anonymous(pages, MapFlags::MAP_PRIVATE | MapFlags::MAP_HUGETLB)
            }
            Self::HugetlbShared => {
                Mapping::anonymous(pages, MapFlags::MAP_SHARED | MapFlags::MAP_HUGETLB)
            }
            Self::Hugetlb1g => Mapping::gigantic(pages),
            Self::ShmemThp => Mapping::huge_shmem(pages),
            Self::Ksm | Self::SwapCache => Mapping::anonymous(pages, MapFlags::MAP_PRIVATE),
        }?;
        mapping.touch();
        match self {
            Self::ThpSplit => mapping.split()?,
            Self::Ksm => mapping.merge()?,
            Self::SwapCache => mapping.swap()?,
            _ => (),
        }
        Ok(mapping)
    }

    /// Like [`Self::map`], with every page in a CMA area if the kernel has one.
    pub fn map_in_cma(self, pages: usize) -> Result<Mapping> {
        let areas = CmaAreas::read()?;
        // Unsuitable memory is kept until the end, or it would come back at once.
        let mut unsuitable = Vec::new();
        let mut searched = 0;
        while searched < SEARCH_BYTES {
            let mut mapping = self.map(pages)?;
            if areas.is_empty() || mapping.pfns()?.iter().all(|&pfn| areas.contains(pfn)) {
                return Ok(mapping);
            }
            // It stays without its file, of which only so many may be open.
            mapping.file = None;
            // There are not as many files as there may be pages in the way.
            let in_the_way = Self::Anon.map(IN_THE_WAY)?;
            searched += mapping.len() + in_the_way.len();
            unsuitable.extend([mapping, in_the_way]);
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
    file: Option<File>,
    /// Which bytes of it are used.
    part: Range<usize>,
}

impl Mapping {
    /// Maps that many pages that belong to no file of ours, without touching them.
    pub fn anonymous(pages: usize, flags: MapFlags) -> Result<Self> {
        let len = NonZeroUsize::new(pages * PAGE_SIZE).context("no pages asked for")?;
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: without an address or MAP_FIXED no existing mapping is touched.
        let start = unsafe { mmap_anonymous(None, len, prot, flags) }.context("mmap")?;
        Ok(Self::new(start, len, None))
    }

    fn new(start: NonNull<c_void>, len: NonZeroUsize, file: Option<File>) -> Self {
        Self {
            start,
            len,
            file,
            part: 0..len.get(),
        }
    }

    /// Maps that many pages of a new tmpfs file, without touching them.
    fn shmem(pages: usize) -> Result<Self> {
        let file = memfd_create(c"ppo", MFdFlags::MFD_CLOEXEC).context("memfd_create")?;
        Self::of_file(file.into(), pages)
    }

    /// Maps that many pages of a new file without a name, without touching them.
    fn ext4(pages: usize) -> Result<Self> {
        let mounted = statfs(FILES).map(|system| system.filesystem_type());
        ensure!(
            mounted == Ok(EXT4_SUPER_MAGIC),
            "no ext4 file system is mounted at {FILES}"
        );
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(libc::O_TMPFILE)
            .open(FILES)
            .with_context(|| format!("cannot make a file in {FILES}"))?;
        // Without room a write to the memory would end in SIGBUS.
        let len = (pages * PAGE_SIZE).try_into()?;
        fallocate(&file, FallocateFlags::empty(), 0, len).context("fallocate")?;
        Self::of_file(file, pages)
    }

    /// Maps the first pages of a file, which becomes that long, without touching them.
    fn of_file(file: File, pages: usize) -> Result<Self> {
        file.set_len((pages * PAGE_SIZE) as u64)
            .context("ftruncate")?;
        Self::shared(file, pages)
    }

    /// Maps the first pages of a file as it is, without touching them.
    pub fn shared(file: File, pages: usize) -> Result<Self> {
        let len = NonZeroUsize::new(pages * PAGE_SIZE).context("no pages asked for")?;
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: without an address or MAP_FIXED no existing mapping is touched.
        let start = unsafe { mmap(None, len, prot, MapFlags::MAP_SHARED, &file, 0) };
        let start = start.context("mmap")?;
        Ok(Self::new(start, len, Some(file)))
    }

    /// Maps that many pages where folios of `unit` pages fit exactly, without
    /// touching them.
    fn aligned(pages: usize, unit: usize) -> Result<Self> {
        ensure!(
            pages % unit == 0,
            "this kind comes in multiples of {unit} pages"
        );
        let len = NonZeroUsize::new(pages * PAGE_SIZE).context("no pages asked for")?;
        let mut mapping = Self::anonymous(pages + unit, MapFlags::MAP_PRIVATE)?;
        let skip = mapping.start.align_offset(unit * PAGE_SIZE);
        let tail = unit * PAGE_SIZE - skip;
        // SAFETY: both ends lie in the mapping, which nobody else knows of yet.
        unsafe {
            if skip > 0 {
                munmap(mapping.start, skip).context("munmap")?;
            }
            mapping.start = mapping.start.byte_add(skip);
            mapping.len = len;
            mapping.part = 0..len.get();
            if tail > 0 {
                munmap(mapping.start.byte_add(len.get()), tail).context("munmap")?;
            }
        }
        Ok(mapping)
    }

    /// Maps that many pages that the kernel may make of folios of `unit` pages.
    fn huge(pages: usize, unit: usize) -> Result<Self> {
        let mapping = Self::aligned(pages, unit)?;
        mapping.advise(MmapAdvise::MADV_HUGEPAGE)?;
        Ok(mapping)
    }

    /// Maps that many pages of a new tmpfs file, which may be huge pages.
    fn huge_shmem(pages: usize) -> Result<Self> {
        let mut mapping = Self::aligned(pages, HUGE_PAGES)?;
        let file = memfd_create(c"ppo", MFdFlags::MFD_CLOEXEC).context("memfd_create")?;
        let file = File::from(file);
        file.set_len(mapping.len() as u64).context("ftruncate")?;
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
        let address = NonZeroUsize::new(mapping.address());
        // SAFETY: replaces exactly what the mapping has, which nobody else knows of.
        unsafe { mmap(address, mapping.len, prot, flags, &file, 0) }.context("mmap")?;
        mapping.file = Some(file);
        mapping.advise(MmapAdvise::MADV_HUGEPAGE)?;
        Ok(mapping)
    }

    /// Maps that many pages from hugetlb's pool of the greater size.
    fn gigantic(pages: usize) -> Result<Self> {
        ensure!(
            pages % GIGANTIC_PAGES == 0,
            "hugetlb-1g comes in multiples of {GIGANTIC_PAGES} pages"
        );
        let size = MapFlags::from_bits_retain(libc::MAP_HUGE_1GB);
        Self::anonymous(pages, MapFlags::MAP_PRIVATE | MapFlags::MAP_HUGETLB | size)
    }

    /// Has the kernel split its huge pages.
    fn split(&self) -> Result<()> {
        const SPLIT: &str = "/sys/kernel/debug/split_huge_pages";

        // Or khugepaged might make huge pages of them again.
        self.advise(MmapAdvise::MADV_NOHUGEPAGE)?;
        let (start, end) = (self.address(), self.address() + self.len());
        fs::write(SPLIT, format!("{},{start:#x},{end:#x}", process::id()))
            .with_context(|| format!("cannot write {SPLIT}"))?;
        ensure!(!self.all(Flag::Thp)?, "the huge pages were not split");
        Ok(())
    }

    /// Waits until ksmd has made one page of all.
    fn merge(&self) -> Result<()> {
        ensure!(self.len() > PAGE_SIZE, "one page has no equal");
        // Unlike all other memory, or it would be merged with that.
        self.fill(self.address() as u64);
        self.advise(MmapAdvise::MADV_MERGEABLE)?;
        let began = Instant::now();
        loop {
            let pfns = self.pfns()?;
            if self.all(Flag::Ksm)? && pfns.iter().all(|&pfn| pfn == pfns[0]) {
                return Ok(());
            }
            ensure!(
                began.elapsed() < PATIENCE,
                "ksmd did not merge the pages: is it on?"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Swaps all pages out, and in again as a reader does: that leaves them in the
    /// swap cache.
    fn swap(&self) -> Result<()> {
        // What another processor has in a batch of its LRU lists is passed over.
        for _ in 0..SWAP_TRIES {
            self.advise(MmapAdvise::MADV_PAGEOUT)?;
            self.look();
            if self.all(Flag::SwapCache)? {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("not in the swap cache: is there a swap device?")
    }

    fn advise(&self, advice: MmapAdvise) -> Result<()> {
        // SAFETY: advice that is given here leaves the contents as they are.
        unsafe { madvise(self.start, self.len(), advice) }.with_context(|| format!("{advice:?}"))
    }

    /// Whether all pages have this flag.
    fn all(&self, flag: Flag) -> Result<bool> {
        for pfn in self.pfns()? {
            if !has_flag(pfn, flag)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Uses only some of the pages from now on; all of them stay mapped.
    pub fn narrow(&mut self, pages: Range<usize>) -> Result<()> {
        let part = pages.start * PAGE_SIZE..pages.end * PAGE_SIZE;
        ensure!(
            !part.is_empty() && part.end <= self.len.get(),
            "no pages {pages:?} in it"
        );
        self.part = part;
        Ok(())
    }

    /// The file that is mapped, if it is one.
    pub fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    /// Where in the file it begins.
    pub fn offset(&self) -> usize {
        self.part.start
    }

    /// The address of the first byte.
    pub fn address(&self) -> usize {
        self.start.as_ptr() as usize + self.part.start
    }

    /// The length in bytes, whole pages.
    pub fn len(&self) -> usize {
        self.part.len()
    }

    /// Never: there is no empty mapping.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The contents. Only for memory that is present or may be faulted in.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: readable for its whole length until dropped, and this process
        // does not write to it while it is shared out.
        unsafe {
            std::slice::from_raw_parts(
                self.start.as_ptr().cast::<u8>().add(self.part.start),
                self.len(),
            )
        }
    }

    /// The frame numbers of the pages, in order.
    pub fn pfns(&self) -> Result<Vec<u64>> {
        (0..self.len())
            .step_by(PAGE_SIZE)
            .map(|offset| pfn_of(self.address() + offset))
            .collect()
    }

    /// Reads from each page, so that it is there.
    pub fn look(&self) {
        for page in self.bytes().chunks(PAGE_SIZE) {
            // SAFETY: a reference is good for a read.
            unsafe { (&raw const page[0]).read_volatile() };
        }
    }

    /// Writes to one of so many pages.
    pub fn touch_every(&self, pages: usize) {
        for offset in (0..self.len()).step_by(pages * PAGE_SIZE) {
            let word = (self.address() + offset) as *mut u64;
            // SAFETY: within the mapping, which is writable.
            unsafe { word.write_volatile(1) };
        }
    }

    fn touch(&self) {
        self.fill(1);
    }

    /// Writes that at the beginning of each page.
    fn fill(&self, word: u64) {
        for offset in (0..self.len.get()).step_by(PAGE_SIZE) {
            // SAFETY: within the mapping, which is writable.
            unsafe { self.start.byte_add(offset).cast().write_volatile(word) };
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped; borrows of it have ended.
        let unmapped = unsafe { munmap(self.start, self.len.get()) };
        debug_assert!(unmapped.is_ok());
    }
}
