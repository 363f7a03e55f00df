// SPDX-License-Identifier: GPL-2.0

//! Writeback of a file's pages to a device that does not say when it is done. No
//! reference is held meanwhile, and still the pages cannot be moved: migration waits
//! for its end, or fails where it must not wait.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;

use super::Pin;
use crate::memory::Mapping;
use crate::nbd::CONTROL;

const KPAGEFLAGS: &str = "/proc/kpageflags";
const KPF_WRITEBACK: u64 = 1 << 8;

/// Much longer than the device needs to reply to all requests.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to the device's server, which holds back its replies meanwhile.
pub struct Writeback {
    control: UnixStream,
    flags: File,
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
            flags: File::open(KPAGEFLAGS).with_context(|| format!("cannot open {KPAGEFLAGS}"))?,
            pfns: memory.pfns()?,
        };
        // SAFETY: a system call without pointers.
        let started = unsafe {
            let bytes = memory.len().try_into()?;
            libc::sync_file_range(file.as_raw_fd(), 0, bytes, libc::SYNC_FILE_RANGE_WRITE)
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
        for pfn in &self.pfns {
            let mut flags = [0; size_of::<u64>()];
            self.flags
                .read_exact_at(&mut flags, pfn * size_of::<u64>() as u64)
                .with_context(|| format!("cannot read {KPAGEFLAGS}"))?;
            pages += usize::from(u64::from_ne_bytes(flags) & KPF_WRITEBACK != 0);
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
