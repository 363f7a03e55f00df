// SPDX-License-Identifier: GPL-2.0

//! References held by a pipe to what a file has in the page cache.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result, ensure};
use nix::fcntl::{SpliceFFlags, splice, tee};

use super::Pin;
use super::pipe::{PIPE_PAGES, pipe_of};
use crate::memory::{Mapping, PAGE_SIZE};

/// A pipe with the pages in it.
pub struct Spliced {
    ends: (OwnedFd, OwnedFd),
}

impl Spliced {
    /// Splices the mapped file into a pipe.
    pub fn pin(memory: &Mapping) -> Result<Self> {
        let file = memory.file().context("splice wants a file")?;
        ensure!(
            memory.len() <= PIPE_PAGES * PAGE_SIZE,
            "splice holds at most {PIPE_PAGES} pages"
        );
        let ends = pipe_of(memory.len())?;
        let mut offset = memory.offset().try_into()?;
        let mut left = memory.len();
        while left > 0 {
            let taken = splice(
                file,
                Some(&mut offset),
                &ends.1,
                None,
                left,
                SpliceFFlags::SPLICE_F_NONBLOCK,
            )
            .context("splice")?;
            ensure!(taken > 0, "splice left {left} bytes");
            left -= taken;
        }
        Ok(Self { ends })
    }

    /// Duplicates what is in the pipe into another one and closes the first.
    pub fn tee(self, memory: &Mapping) -> Result<Self> {
        let ends = pipe_of(memory.len())?;
        let taken = tee(
            &self.ends.0,
            &ends.1,
            memory.len(),
            SpliceFFlags::SPLICE_F_NONBLOCK,
        )
        .context("tee")?;
        ensure!(taken == memory.len(), "tee took {taken} bytes");
        Ok(Self { ends })
    }
}

impl Pin for Spliced {
    fn release(self: Box<Self>) -> Result<()> {
        drop(self.ends);
        Ok(())
    }
}
