// SPDX-License-Identifier: GPL-2.0

//! References held by a per-CPU batch of the LRU lists: pages of a file that were read
//! twice wait there for their activation. Whoever unmaps memory on that processor empties
//! the batch, so a script has to keep off it.

use std::fs;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::{Pid, SysconfVar, sysconf};

use super::Pin;
use crate::memory::{Mapping, PAGE_SIZE};

/// A batch is emptied when it is full: 31 pages, 15 in older kernels.
const MAX_PAGES: usize = 14;

const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";

/// The batch of the processor this thread stays on.
pub struct Batch;

impl Batch {
    /// Has the pages put into the batch.
    pub fn pin(memory: &Mapping) -> Result<Self> {
        let file = memory.file().context("lru-batch wants a file")?;
        ensure!(
            memory.len() <= MAX_PAGES * PAGE_SIZE,
            "lru-batch holds at most {MAX_PAGES} pages"
        );
        let mut last = CpuSet::new();
        let cpus = sysconf(SysconfVar::_NPROCESSORS_ONLN)?.context("no processors")?;
        last.set(usize::try_from(cpus - 1)?)?;
        sched_setaffinity(Pid::from_raw(0), &last).context("sched_setaffinity")?;

        // Pages that are on no list yet are not activated by way of the batch.
        drain()?;
        // Referenced, then active; or active, then referenced: into the batch just once.
        for _ in 0..2 {
            let mut byte = [0];
            for offset in (0..memory.len()).step_by(PAGE_SIZE) {
                file.read_exact_at(&mut byte, (memory.offset() + offset) as u64)
                    .context("cannot read the file")?;
            }
        }
        Ok(Self)
    }
}

impl Pin for Batch {
    fn release(self: Box<Self>) -> Result<()> {
        drain()
    }
}

/// Has all processors empty their batches, which comes before dropping clean pages.
fn drain() -> Result<()> {
    fs::write(DROP_CACHES, "1").with_context(|| format!("cannot write {DROP_CACHES}"))
}
