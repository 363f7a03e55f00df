// SPDX-License-Identifier: GPL-2.0

//! Writeback of a file's pages to a device that does not say when it is done. No
//! reference is held meanwhile, and still the pages cannot be moved: migration waits
//! for its end, or fails where it must not wait.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;

use super::Pin;
use crate::memory::Mapping;
use crate::nbd::CONTROL;
use crate::physical::{Flag, has_flag};

/// Much longer than the device needs to reply to all requests.
const PATIENCE: Duration = Duration::from_secs(15);

/// A connection to the device's server, which holds back its replies meanwhile.
pub struct Writeback {
    control: UnixStream,
    pfns: Vec<u64>,
}

impl Writeback {
    /// Starts to write the pages back.
    pub fn pin(memory: &Mapping) -> Result<Self> {
        let file = memory
            .file()
            .context("only what is in a file is written back")?;
        let mut control = UnixStream::connect(CONTROL)
            .with_context(|| format!("no device can be held: cannot connect to {CONTROL}"))?;
        control.read_exact(&mut [0]).context("ppo-nbd")?;
        let writeback = Self {
            control,
            pfns: memory.pfns()?,
        };
        // SAFETY: a system call without pointers.
        let started = unsafe {
            let (offset, bytes) = (memory.offset().try_into()?, memory.len().try_into()?);
            libc::sync_file_range(file.as_raw_fd(), offset, bytes, libc::SYNC_FILE_RANGE_WRITE)
        };
        Errno::result(started).context("sync_file_range")?;
        ensure!(
            writeback.under_way()? == writeback.pfns.len(),
            "writeback is over at once: is the file system on ppo-nbd's device?"
        );
        Ok(writeback)
    }

    /// Of how many pages.
    fn under_way(&self) -> Result<usize> {
        let mut pages = 0;
        for &pfn in &self.pfns {
            pages += usize::from(has_flag(pfn, Flag::Writeback)?);
        }
        Ok(pages)
    }
}

impl Pin for Writeback {
    fn release(self: Box<Self>) -> Result<()> {
        self.control.shutdown(std::net::Shutdown::Both)?;
        // fsync and sync_file_range take references to the pages while they wait.
        let began = Instant::now();
        while self.under_way()? > 0 {
            ensure!(began.elapsed() < PATIENCE, "writeback does not end");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}
