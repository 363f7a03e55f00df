// SPDX-License-Identifier: GPL-2.0

//! What a process can have the kernel do with memory of its own only.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use libc::c_int;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::memory::{Mapping, PAGE_SIZE};
use crate::numa;
use crate::physical::pfn_of;
use crate::pins::Mechanism;

/// Much longer than NUMA balancing needs to see that memory is on the wrong node.
const PATIENCE: Duration = Duration::from_secs(18);

/// Does what the line says to the memory, as in `madvise soft_offline`.
pub fn act(line: &str, memory: &Mapping) -> Result<()> {
    let words: Vec<_> = line.split_whitespace().collect();
    match words[..] {
        ["madvise", advice] => madvise(memory, advice),
        ["mbind", node] => numa::bind(memory, node.parse()?),
        ["touch", cpu] => touch(memory, cpu.parse()?),
        ["thin", keep] => thin(memory, keep.parse()?),
        ["longterm"] => Mechanism::Longterm.pin(memory)?.release(),
        _ => bail!("unknown: {line}"),
    }
}

/// madvise(2) of the whole mapping.
fn madvise(memory: &Mapping, advice: &str) -> Result<()> {
    let advice: c_int = match advice {
        "hwpoison" => libc::MADV_HWPOISON,
        "pageout" => libc::MADV_PAGEOUT,
        "soft_offline" => libc::MADV_SOFT_OFFLINE,
        _ => bail!("unknown advice {advice}"),
    };
    // SAFETY: nobody refers to the contents; what is poisoned is never read again.
    let result = unsafe { libc::madvise(memory.address() as *mut _, memory.len(), advice) };
    nix::errno::Errno::result(result).context("madvise")?;
    Ok(())
}

/// Keeps one page of `keep` and gives the others back to the kernel. Of shared memory, as
/// private memory may be in huge pages.
fn thin(memory: &Mapping, keep: usize) -> Result<()> {
    ensure!(keep > 1, "nothing to give back");
    for pages in memory.bytes().chunks(keep * PAGE_SIZE) {
        let (_, rest) = pages.split_at(PAGE_SIZE);
        // SAFETY: nobody refers to the contents.
        let result =
            unsafe { libc::madvise(rest.as_ptr() as *mut _, rest.len(), libc::MADV_REMOVE) };
        nix::errno::Errno::result(result).context("madvise")?;
    }
    Ok(())
}

/// Reads all of it from that CPU over and over until NUMA balancing has moved the first
/// page, or could not move one, which the kernel says in its statistics alone.
fn touch(memory: &Mapping, cpu: usize) -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &cpus).context("sched_setaffinity")?;

    let began = Instant::now();
    let before = pfn_of(memory.address())?;
    let failures = migrations_failed()?;
    while pfn_of(memory.address())? == before && migrations_failed()? == failures {
        ensure!(began.elapsed() < PATIENCE, "NUMA balancing did nothing");
        for _ in 0..1000 {
            for page in memory.bytes().chunks(PAGE_SIZE) {
                // SAFETY: readable; each read has to be made, whatever was read before.
                unsafe { page.as_ptr().read_volatile() };
            }
        }
    }
    Ok(())
}

/// Pages of the machine that could not be migrated, since boot.
fn migrations_failed() -> Result<u64> {
    fs::read_to_string("/proc/vmstat")
        .context("cannot read /proc/vmstat")?
        .lines()
        .find_map(|line| line.strip_prefix("pgmigrate_fail "))
        .context("no pgmigrate_fail in /proc/vmstat")?
        .parse()
        .context("no number")
}
