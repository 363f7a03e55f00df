// SPDX-License-Identifier: GPL-2.0

//! References held by pipes.

use std::io::IoSlice;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result, ensure};
use nix::fcntl::{SpliceFFlags, vmsplice};

use super::Pin;
use super::pipe::{PIPE_PAGES, pipe_of};
use crate::memory::{Mapping, PAGE_SIZE};

/// Pipes with the pages in them.
pub struct Pipes {
    ends: Vec<(OwnedFd, OwnedFd)>,
}

impl Pipes {
    /// Makes pipes that are large enough and splices the pages into them.
    pub fn pin(memory: &Mapping) -> Result<Self> {
        let ends = memory
            .bytes()
            .chunks(PIPE_PAGES * PAGE_SIZE)
            .map(fill_pipe)
            .collect::<Result<_>>()?;
        Ok(Self { ends })
    }
}

fn fill_pipe(bytes: &[u8]) -> Result<(OwnedFd, OwnedFd)> {
    let ends = pipe_of(bytes.len())?;
    let taken =
        vmsplice(&ends.1, &[IoSlice::new(bytes)], SpliceFFlags::empty()).context("vmsplice")?;
    ensure!(
        taken == bytes.len(),
        "vmsplice took {taken} of {} bytes",
        bytes.len()
    );
    Ok(ends)
}

impl Pin for Pipes {
    fn release(self: Box<Self>) -> Result<()> {
        drop(self.ends);
        Ok(())
    }
}
