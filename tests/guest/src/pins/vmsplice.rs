// SPDX-License-Identifier: GPL-2.0

//! References held by a pipe.

use std::io::IoSlice;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result, ensure};
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, vmsplice};
use nix::unistd::pipe2;

use super::Pin;
use crate::memory::{Mapping, PAGE_SIZE};

/// A pipe with the pages in it.
pub struct Pipe {
    ends: (OwnedFd, OwnedFd),
}

impl Pipe {
    /// Makes a pipe that is large enough and splices the pages into it.
    pub fn pin(memory: &Mapping) -> Result<Self> {
        let ends = pipe2(OFlag::O_CLOEXEC).context("pipe")?;
        let size = memory.len().max(16 * PAGE_SIZE).try_into()?;
        fcntl(&ends.1, FcntlArg::F_SETPIPE_SZ(size)).context("cannot enlarge the pipe")?;
        let taken = vmsplice(
            &ends.1,
            &[IoSlice::new(memory.bytes())],
            SpliceFFlags::empty(),
        )
        .context("vmsplice")?;
        ensure!(
            taken == memory.len(),
            "vmsplice took {taken} of {} bytes",
            memory.len()
        );
        Ok(Self { ends })
    }
}

impl Pin for Pipe {
    fn release(self: Box<Self>) -> Result<()> {
        drop(self.ends);
        Ok(())
    }
}
