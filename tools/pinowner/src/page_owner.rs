// SPDX-License-Identifier: GPL-2.0

//! Who allocated a page, as the kernel's page_owner knows it. Its file is gigabytes long, but the
//! position in it is the page's number: only one record is read.

use crate::event::pfn_of;
use crate::story::{Allocation, Name, Task};
use crate::symbol;
use crate::tables::Paragraph;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The kernel fills one page at most.
const LONGEST: usize = 4096;
/// Frames kept; the kernel has 16.
const MOST_FRAMES: usize = 64;

/// Pages that one recording asks for.
const MOST_PAGES: usize = 256;
/// And for how long.
const PATIENCE: Duration = Duration::from_secs(2);

/// The kernel's file.
#[derive(Debug)]
pub struct PageOwner {
    file: File,
}

impl PageOwner {
    /// That in this debugfs; `None` if the kernel has none, or was booted without page_owner=on.
    ///
    /// # Errors
    ///
    /// What opening it says.
    pub fn open(debugfs: &Path) -> io::Result<Option<Self>> {
        match File::open(debugfs.join("page_owner")) {
            Ok(file) => Ok(Some(PageOwner { file })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The record of that page, as the kernel prints it; `None` if it is not allocated, or not the
    /// first page of an allocation.
    ///
    /// # Errors
    ///
    /// What reading says.
    pub fn record(&self, pfn: u64) -> io::Result<Option<String>> {
        let mut text = vec![0; LONGEST];
        // For a page that is not allocated it is the next one that is.
        let len = self.file.read_at(&mut text, pfn)?;
        text.truncate(len);
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(parse(&text)
            .filter(|(found, _)| *found == pfn)
            .map(|_| text))
    }
}

/// The records of folios that are marked, those that failed last first, as many as there is time
/// for. That there is no page_owner, or that it cannot be read, is none of our errors.
pub fn records(debugfs: &Path, marked: &[Paragraph]) -> Vec<String> {
    let Ok(Some(owner)) = PageOwner::open(debugfs) else {
        return Vec::new();
    };
    let age = |p: &&Paragraph| p.number::<u64>("last_us").unwrap_or(u64::MAX);
    let mut marked: Vec<_> = marked.iter().collect();
    marked.sort_by_key(age);
    let end = Instant::now() + PATIENCE;
    let pfns = marked.iter().filter_map(|p| p.pfn()).take(MOST_PAGES);
    pfns.take_while(|_| Instant::now() < end)
        .filter_map(|pfn| owner.record(pfn).ok()?)
        .collect()
}

/// One record: the page, and how it was allocated.
pub fn parse(text: &str) -> Option<(u64, Allocation)> {
    let mut lines = text.lines();
    let mut allocation = heading(lines.next()?)?;
    let pfn = lines.next()?.strip_prefix("PFN ")?;
    let pfn = pfn_of(pfn.split(' ').next()?)?;
    let frames = lines.take_while(|line| line.starts_with(' '));
    let frames = frames.take(MOST_FRAMES).map(|line| shown(line.trim()));
    allocation.frames = frames.collect();
    Some((pfn, allocation))
}

/// The part of such a stack that says something: without the functions that every allocation goes
/// through, nor the way from user space into the kernel.
pub fn telling(frames: &[Name]) -> &[Name] {
    const ALLOCATOR: [&str; 9] = [
        "post_alloc_hook",
        "prep_new_page",
        "get_page_from_freelist",
        "__alloc_pages",
        "__alloc_frozen_pages",
        "alloc_pages",
        "alloc_frozen_pages",
        "__folio_alloc",
        "folio_alloc",
    ];
    let is_allocator = |frame: &Name| ALLOCATOR.iter().any(|start| frame.starts_with(start));
    let first = frames.iter().position(|frame| !is_allocator(frame));
    symbol::telling(&frames[first.unwrap_or(0)..])
}

fn shown(text: &str) -> Name {
    text.replace(char::is_control, "\u{fffd}").into()
}

/// `Page allocated via order 0, mask 0x140dca(GFP_HIGHUSER_MOVABLE|...), pid 83, tgid 83 (ppo-pin),
/// ts 5023456789 ns`; older kernels add when it was freed. A name may have anything in it.
fn heading(line: &str) -> Option<Allocation> {
    let rest = line.strip_prefix("Page allocated via order ")?;
    let (order, rest) = rest.split_once(", mask ")?;
    let (gfp, rest) = rest.split_once("), pid ")?;
    let (_, gfp) = gfp.split_once('(')?;
    let (pid, rest) = rest.split_once(", tgid ")?;
    let (_, rest) = rest.split_once(" (")?;
    let (comm, rest) = rest.rsplit_once("), ts ")?;
    let (ns, _) = rest.split_once(" ns")?;
    Some(Allocation {
        order: order.parse().ok()?,
        gfp: shown(gfp),
        task: Task {
            pid: pid.parse().ok()?,
            comm: shown(comm),
        },
        ns: ns.parse().ok()?,
        frames: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::made::Made;
    use proptest::prelude::*;

    /// Of a guest, booted with page_owner=on.
    const TEXT: &str = "\
Page allocated via order 0, mask 0x140dca(GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO), pid 83, tgid 82 (a) b, ts 1), ts 5023456789 ns
PFN 0x3f56b type Movable Block 507 type CMA Flags 0x1ffc00000009c0d(locked|referenced|uptodate|owner_2|swapbacked|node=0|zone=1|lastcpupid=0x7ff)
 post_alloc_hook+0xb0/0x100
 get_page_from_freelist+0xf10/0xfd0
 shmem_alloc_folio+0x9d/0xb0
Page has been migrated, last migrate reason: contig_range
Charged to memcg /
";

    #[test]
    fn a_record() {
        let (pfn, allocation) = parse(TEXT).expect("a record");
        assert_eq!(pfn, 0x3f56b);
        assert_eq!(allocation.task.pid, 83);
        assert_eq!(&*allocation.task.comm, "a) b, ts 1");
        assert_eq!(allocation.ns, 5_023_456_789);
        assert_eq!(
            &*allocation.gfp,
            "GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO"
        );
        assert_eq!(allocation.frames.len(), 3);
        assert_eq!(
            telling(&allocation.frames),
            ["shmem_alloc_folio+0x9d/0xb0".into()]
        );
        let older = TEXT
            .replace("PFN 0x3f56b", "PFN 259435")
            .replace(" ns\n", " ns, free_ts 3 ns\n");
        assert_eq!(parse(&older), Some((pfn, allocation)));
    }

    #[test]
    fn by_number() {
        // In a file of ours the position is what it is everywhere.
        let made = Made::new().with("page_owner", &TEXT.replace("0x3f56b", "0x0"));
        let owner = PageOwner::open(&made.root).expect("opened").expect("there");
        assert!(owner.record(0).expect("read").is_some());
        assert!(owner.record(1).expect("read").is_none());
        assert!(owner.record(1 << 20).expect("read").is_none());
        let none = Made::new();
        assert!(PageOwner::open(&none.root).expect("opened").is_none());
    }

    proptest! {
        #[test]
        fn anything(cut in 0usize..700, text in "\\PC{0,40}", at in 0usize..700) {
            let mut all = TEXT.to_owned();
            all.truncate(cut.min(TEXT.len()));
            if at <= all.len() {
                all.insert_str(at, &text);
            }
            parse(&all);
            parse(&text);
        }
    }
}
