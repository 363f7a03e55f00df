// SPDX-License-Identifier: GPL-2.0

//! References held by pipes.

use std::io::IoSlice;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result, ensure};
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, vmsplice};
use nix::unistd::pipe2;

use super::Pin;
use crate::memory::{Mapping, PAGE_SIZE};

/// The kernel wants one piece of memory for all pages of a pipe.
const PIPE_PAGES: usize = 4096;

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
    let ends = pipe2(OFlag::O_CLOEXEC).context("pipe")?;
    let size = bytes.len().max(16 * PAGE_SIZE).try_into()?;
    fcntl(&ends.1, FcntlArg::F_SETPIPE_SZ(size)).context("cannot enlarge the pipe")?;
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
