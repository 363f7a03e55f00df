// SPDX-License-Identifier: GPL-2.0

//! Memory that moves between the nodes: because we say so, and because the kernel finds that
//! it is used from the other one.

use std::fs;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use super::{Load, Worker, set};
use crate::memory::{Kind, PAGE_SIZE};
use crate::numa::{Whose, bind, migrate_pages, move_pages};

pub(super) const LOAD: Load = Load {
    name: "numa",
    acts: &["mbind", "move_pages", "migrate_pages", "balanced"],
    run,
};

fn run(worker: &mut Worker) -> Result<()> {
    set("/proc/sys/kernel/numa_balancing", "1")?;
    let memory = Kind::Anon.map(128)?;
    let mut faults = hints()?;
    while worker.go(20) {
        let node = worker.rng.u32(0..2);
        let bound = bind(&memory, node);
        // Others may have isolated a page just now.
        worker
            .tally
            .tried("mbind", bound, &[Errno::EIO, Errno::ENOMEM]);
        let pages: Vec<_> = (0..memory.len())
            .step_by(PAGE_SIZE)
            .map(|offset| memory.address() + offset)
            .collect();
        let nodes = vec![1 - node as i32; pages.len()];
        let mut status = vec![0; pages.len()];
        let moved = move_pages(0, &pages, &nodes, &mut status, Whose::Own);
        worker.tally.tried("move_pages", moved, &[Errno::ENOMEM]);
        if worker.rng.u32(0..4) == 0 {
            let moved = migrate_pages(0, node, 1 - node);
            worker
                .tally
                .tried("migrate_pages", moved, &[Errno::ENOMEM, Errno::EBUSY]);
        }
        // On whichever processor: the kernel looks at its node.
        let mut cpus = CpuSet::new();
        cpus.set(worker.rng.usize(0..4))?;
        // It may be offline.
        let _ = sched_setaffinity(Pid::from_raw(0), &cpus);
        let unbound = Kind::Anon.map(512)?;
        for _ in 0..20 {
            unbound.look();
        }
        let now = hints()?;
        worker.tally.did("balanced", now - faults);
        faults = now;
    }
    Ok(())
}

/// Faults by which the kernel learned who uses a page.
fn hints() -> Result<u64> {
    fs::read_to_string("/proc/vmstat")?
        .lines()
        .find_map(|line| line.strip_prefix("numa_hint_faults "))
        .context("no numa_hint_faults in /proc/vmstat")?
        .parse()
        .context("no number")
}
