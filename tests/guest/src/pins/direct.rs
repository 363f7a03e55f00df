// SPDX-License-Identifier: GPL-2.0

//! References held by an O_DIRECT transfer between memory and a block device
//! (pin_user_pages_fast), which ends when the device, one of ours, says so.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::Pin;
use crate::memory::{Mapping, PAGE_SIZE};
use crate::nbd::{Command, Device};

/// What the kernel's client sends before it wants a reply, in requests of 128 KiB.
const MAX_PAGES: usize = 4096;

/// A thread in the midst of a transfer. The device goes last.
pub struct Transfer {
    thread: JoinHandle<io::Result<usize>>,
    bytes: usize,
    device: Device,
}

impl Transfer {
    /// Starts to write the memory to the device.
    pub fn write(memory: &Mapping) -> Result<Self> {
        Self::start(Command::Write, memory)
    }

    /// Starts to read from the device to the memory.
    pub fn read(memory: &Mapping) -> Result<Self> {
        Self::start(Command::Read, memory)
    }

    fn start(command: Command, memory: &Mapping) -> Result<Self> {
        let (start, bytes) = (memory.address(), memory.len());
        ensure!(
            bytes <= MAX_PAGES * PAGE_SIZE,
            "a transfer has at most {MAX_PAGES} pages"
        );
        let storage: OwnedFd = memfd_create(c"ppo-disk", MFdFlags::MFD_CLOEXEC)?;
        let storage = File::from(storage);
        storage.set_len(bytes as u64)?;
        let device = Device::new(storage)?;
        // Opened before anything is held back: the kernel looks for partitions.
        let disk = File::options()
            .read(true)
            .write(true)
            .custom_flags(libc::O_DIRECT)
            .open(device.path())
            .with_context(|| format!("cannot open {}", device.path().display()))?;
        device.server().hold(command);
        let transfer = move || {
            let memory = start as *mut libc::c_void;
            // SAFETY: it is mapped and writable, stays so until the transfer is over,
            // and nobody refers to its contents.
            let done = unsafe {
                match command {
                    Command::Write => libc::pwrite(disk.as_raw_fd(), memory, bytes, 0),
                    _ => libc::pread(disk.as_raw_fd(), memory, bytes, 0),
                }
            };
            usize::try_from(done).map_err(|_| io::Error::last_os_error())
        };
        let transfer = Self {
            thread: thread::Builder::new()
                .name("ppo-direct".into())
                .spawn(transfer)
                .context("cannot start a thread")?,
            bytes,
            device,
        };
        if let Err(error) = transfer.device.server().wait_for(bytes as u64) {
            if transfer.thread.is_finished() {
                transfer.join()?;
            }
            return Err(error);
        }
        Ok(transfer)
    }

    /// What became of the transfer.
    fn join(self) -> Result<()> {
        let done = self
            .thread
            .join()
            .map_err(|_| anyhow!("the transferring thread panicked"))?
            .context("cannot transfer")?;
        ensure!(
            done == self.bytes,
            "{done} of {} bytes transferred",
            self.bytes
        );
        Ok(())
    }
}

impl Pin for Transfer {
    fn release(self: Box<Self>) -> Result<()> {
        self.device.server().release()?;
        self.join()
    }
}
