// SPDX-License-Identifier: GPL-2.0

//! References held by an io_uring with registered buffers.

use anyhow::{Context, Result};
use io_uring::IoUring;

use super::Pin;
use crate::memory::Mapping;

/// A ring that has the memory as its one fixed buffer.
pub struct Registered {
    ring: IoUring,
}

impl Registered {
    /// Registers the memory with a new ring.
    pub fn pin(memory: &Mapping) -> Result<Self> {
        let ring = IoUring::new(1).context("io_uring_setup")?;
        let buffer = libc::iovec {
            iov_base: memory.address() as *mut _,
            iov_len: memory.len(),
        };
        // SAFETY: nothing is ever submitted, so nobody reads or writes through it.
        unsafe { ring.submitter().register_buffers(&[buffer]) }
            .context("IORING_REGISTER_BUFFERS")?;
        Ok(Self { ring })
    }
}

impl Pin for Registered {
    fn release(self: Box<Self>) -> Result<()> {
        // Closing the ring would leave it to a worker.
        self.ring
            .submitter()
            .unregister_buffers()
            .context("IORING_UNREGISTER_BUFFERS")
    }
}
