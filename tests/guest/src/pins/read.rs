// SPDX-License-Identifier: GPL-2.0

//! References held by read(2) of what is mapped: it has taken one to what it reads,
//! and waits to be let through to what it copies to.

use std::os::unix::fs::FileExt;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow, ensure};

use super::Pin;
use super::gate::Gate;
use crate::memory::{Mapping, PAGE_SIZE};

/// As many threads: a read of several pages need not hold them all at once.
const MAX_PAGES: usize = 64;

type Reader = JoinHandle<std::io::Result<()>>;

/// A thread per page, each of which has read nothing so far.
pub struct StuckReads {
    readers: Vec<Reader>,
    gate: Gate,
}

impl StuckReads {
    /// Starts the threads and waits until they have the pages.
    pub fn pin(memory: &Mapping) -> Result<Self> {
        let file = memory
            .file()
            .context("only what is in a file can be read")?;
        let pages = memory.len() / PAGE_SIZE;
        ensure!(pages <= MAX_PAGES, "read holds at most {MAX_PAGES} pages");
        let mut gate = Gate::new()?;
        let mut readers = Vec::new();
        for page in 0..pages {
            let file = file.try_clone()?;
            let (target, offset) = (gate.address() + page, memory.offset() + page * PAGE_SIZE);
            let read = move || {
                // SAFETY: the gate's page stays mapped until this thread is joined,
                // and nothing else refers to this byte of it.
                let byte = unsafe { std::slice::from_raw_parts_mut(target as *mut u8, 1) };
                file.read_exact_at(byte, offset as u64)
            };
            let reader = thread::Builder::new().name("ppo-read".into()).spawn(read);
            readers.push(reader.context("cannot start a thread")?);
        }
        if let Err(error) = gate.wait(pages) {
            if readers.iter().all(|reader| reader.is_finished()) {
                join(readers)?;
            }
            return Err(error);
        }
        Ok(Self { readers, gate })
    }
}

impl Pin for StuckReads {
    fn release(self: Box<Self>) -> Result<()> {
        self.gate.open()?;
        join(self.readers)
    }
}

/// What became of the reads.
fn join(readers: Vec<Reader>) -> Result<()> {
    for reader in readers {
        reader
            .join()
            .map_err(|_| anyhow!("a reading thread panicked"))?
            .context("read")?;
    }
    Ok(())
}
