// SPDX-License-Identifier: GPL-2.0

//! Moves shared memory from node to node, page by page, while another thread punches holes
//! into it where it is being moved, until nothing is left of it.
//!
//! The kernel has to find no shared memory mapped then: if a hole overlooked the migration
//! entries of its pages some of it would stay accounted for. The program itself must not lie
//! in shared memory, as it does in a root file system that is a tmpfs.

use std::fs::{self, File};
use std::io::Error;
use std::process;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use anyhow::{Context, Result, anyhow, bail};
use clap::Parser;
use libc::c_int;
use nix::fcntl::{FallocateFlags, fallocate};
use ppo_guest::memory::{Kind, PAGE_SIZE};
use ppo_guest::numa::{Whose, move_pages};

/// Move shared memory between nodes 0 and 1 while holes are punched into it
#[derive(Parser)]
struct Args {
    /// How much of it, in MiB
    #[arg(long, default_value_t = 256)]
    mib: usize,
}

/// What became of the pages.
#[derive(Default)]
struct Moves {
    /// They are on the node where they should be.
    moved: usize,
    /// The kernel gave up moving them.
    failed: usize,
    /// They were taken off their LRU list by somebody else.
    busy: usize,
    /// There was a hole.
    gone: usize,
}

/// Pages that one call of move_pages(2) moves, one after the other.
const BATCH: usize = 64;

/// Holes that are punched meanwhile.
const HOLES: usize = 2;

/// Pages in a hole. The kernel takes that many at a time to truncate them.
const HOLE: usize = 31;

/// A status that the kernel never writes.
const UNTOUCHED: c_int = c_int::MIN;

fn main() -> Result<()> {
    let args = Args::parse();
    let memory = Kind::Shmem.map(args.mib * (1 << 20) / PAGE_SIZE)?;
    let file = memory.file().context("shared memory without a file")?;
    let pages = memory.len() / PAGE_SIZE;
    let mut moves = Moves::default();

    let (sender, receiver) = sync_channel(0);
    thread::scope(|scope| -> Result<()> {
        let puncher = scope.spawn(|| punch(file, receiver));
        for pass in 0..2 {
            for start in (0..pages).step_by(BATCH) {
                let end = pages.min(start + BATCH);
                if sender.send((start, end)).is_err() {
                    break;
                }
                moves.go(memory.address(), start, end, pass)?;
            }
        }
        drop(sender);
        puncher
            .join()
            .map_err(|_| anyhow!("the puncher panicked"))?
    })?;
    punch_hole(file, 0, pages)?;

    println!(
        "pid={} moved={} failed={} busy={} gone={} pss_shmem_kib={}",
        process::id(),
        moves.moved,
        moves.failed,
        moves.busy,
        moves.gone,
        pss_shmem()?
    );
    Ok(())
}

impl Moves {
    /// Moves pages `from` up to `end`. Neighbours go to different nodes, so that the kernel
    /// moves each on its own.
    fn go(&mut self, base: usize, mut from: usize, end: usize, pass: usize) -> Result<()> {
        while from < end {
            let pages: Vec<_> = (from..end).map(|page| base + page * PAGE_SIZE).collect();
            let nodes: Vec<_> = (from..end)
                .map(|page| ((page + pass) % 2) as c_int)
                .collect();
            let mut status = vec![UNTOUCHED; pages.len()];
            move_pages(0, &pages, &nodes, &mut status, Whose::Own)?;
            // It stops behind the first one that could not be moved.
            let stop = status.iter().position(|&s| s == UNTOUCHED);
            self.count(&status[..stop.unwrap_or(status.len())])?;
            self.failed += usize::from(stop.is_some());
            from = stop.map_or(end, |failed| from + failed + 1);
        }
        Ok(())
    }

    fn count(&mut self, status: &[c_int]) -> Result<()> {
        for &status in status {
            match -status {
                ..=0 => self.moved += 1,
                libc::EBUSY => self.busy += 1,
                libc::ENOENT | libc::EFAULT => self.gone += 1,
                _ => bail!("move_pages: {}", Error::from_raw_os_error(-status)),
            }
        }
        Ok(())
    }
}

/// Punches holes into the pages that are being moved.
fn punch(file: &File, moving: Receiver<(usize, usize)>) -> Result<()> {
    let mut at = 0;
    for (start, end) in moving {
        for _ in 0..HOLES {
            // All over the place: a prime that divides no batch.
            at = (at + 211) % (end - start);
            punch_hole(file, start + at, HOLE.min(end - start - at))?;
        }
    }
    Ok(())
}

fn punch_hole(file: &File, start: usize, pages: usize) -> Result<()> {
    let how = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let (offset, len) = (start * PAGE_SIZE, pages * PAGE_SIZE);
    fallocate(file, how, offset as i64, len as i64).context("fallocate")
}

/// How much shared memory the kernel finds mapped here, in KiB.
fn pss_shmem() -> Result<usize> {
    fs::read_to_string("/proc/self/smaps_rollup")?
        .lines()
        .find_map(|line| line.strip_prefix("Pss_Shmem:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .context("no Pss_Shmem")
}
