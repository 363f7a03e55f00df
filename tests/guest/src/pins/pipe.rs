// SPDX-License-Identifier: GPL-2.0

//! Pipes that are large enough.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use crate::memory::PAGE_SIZE;

/// The kernel wants one piece of memory for all pages of a pipe.
pub const PIPE_PAGES: usize = 4096;

/// A pipe with room for so many bytes, in whole pages.
pub fn pipe_of(len: usize) -> Result<(OwnedFd, OwnedFd)> {
    let ends = pipe2(OFlag::O_CLOEXEC).context("pipe")?;
    let size = len.max(16 * PAGE_SIZE).try_into()?;
    fcntl(&ends.1, FcntlArg::F_SETPIPE_SZ(size)).context("cannot enlarge the pipe")?;
    Ok(ends)
}
