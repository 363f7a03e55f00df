// SPDX-License-Identifier: GPL-2.0

//! References held by process_vm_readv(2), which pins what it reads from
//! (pin_user_pages_remote) and then copies. Copying to a page nobody has filled
//! yet, registered with userfaultfd, it stands still for as long as we like.

use std::io::IoSliceMut;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::getpid;

use super::Pin;
use super::gate::Gate;
use crate::memory::{Mapping, PAGE_SIZE};

/// What process_vm_readv pins at once (PVM_MAX_USER_PAGES).
const MAX_PAGES: usize = 1024;

/// A thread that holds the pages while it waits for its fault to be resolved.
pub struct StuckRead {
    reader: JoinHandle<nix::Result<usize>>,
    gate: Gate,
}

impl StuckRead {
    /// Starts the thread and waits until it has the pages.
    pub fn pin(memory: &Mapping) -> Result<Self> {
        ensure!(
            memory.len() <= MAX_PAGES * PAGE_SIZE,
            "gup holds at most {MAX_PAGES} pages"
        );
        let mut gate = Gate::new()?;
        let remote = [RemoteIoVec {
            base: memory.address(),
            len: memory.len(),
        }];
        let local = gate.address();
        let reader = thread::Builder::new()
            .name("ppo-gup".into())
            .spawn(move || {
                // SAFETY: the gate's page stays mapped until this thread is joined,
                // and nothing else refers to its contents.
                let page = unsafe { std::slice::from_raw_parts_mut(local as *mut u8, PAGE_SIZE) };
                process_vm_readv(getpid(), &mut [IoSliceMut::new(page)], &remote)
            })
            .context("cannot start a thread")?;
        if let Err(error) = gate.wait(1) {
            if reader.is_finished() {
                join(reader)?;
            }
            return Err(error);
        }
        Ok(Self { reader, gate })
    }
}

impl Pin for StuckRead {
    fn release(self: Box<Self>) -> Result<()> {
        self.gate.open()?;
        join(self.reader)
    }
}

/// What became of the read.
fn join(reader: JoinHandle<nix::Result<usize>>) -> Result<()> {
    reader
        .join()
        .map_err(|_| anyhow!("the reading thread panicked"))?
        .context("process_vm_readv")?;
    Ok(())
}
