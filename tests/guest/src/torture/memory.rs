// SPDX-License-Identifier: GPL-2.0

//! Memory that comes and goes.

use std::collections::VecDeque;

use anyhow::Result;
use nix::errno::Errno;

use super::{Load, Worker, write};
use crate::memory::Kind;

const POOL: &str = "/proc/sys/vm/nr_hugepages";

pub(super) const ANON: Load = Load {
    name: "anon",
    acts: &["map"],
    run: |worker| churn(worker, Kind::Anon, 1, 512),
};

pub(super) const SHMEM: Load = Load {
    name: "shmem",
    acts: &["map"],
    run: |worker| churn(worker, Kind::Shmem, 1, 512),
};

pub(super) const THP: Load = Load {
    name: "thp",
    acts: &["map"],
    run: |worker| churn(worker, Kind::Thp, 512, 2),
};

pub(super) const HUGETLB: Load = Load {
    name: "hugetlb",
    acts: &["grow", "map", "shrink"],
    run: |worker| {
        while worker.go(30) {
            let pool = 4 + worker.rng.u32(0..8);
            worker
                .tally
                .tried("grow", write(POOL, &pool.to_string()), &[]);
            for _ in 0..worker.rng.u32(1..4) {
                let memory = Kind::Hugetlb.map(512 * worker.rng.usize(1..3));
                // Nothing says how much of the pool could be had.
                let memory = worker.tally.tried("map", memory, &[Errno::ENOMEM]);
                worker.go(20);
                drop(memory);
            }
            worker.tally.tried("shrink", write(POOL, "0"), &[]);
        }
        Ok(())
    },
};

/// Maps up to `units` of `unit` pages at a time, reads them, and unmaps the oldest.
fn churn(worker: &mut Worker, kind: Kind, unit: usize, units: usize) -> Result<()> {
    let mut kept = VecDeque::new();
    while worker.go(20) {
        let memory = kind.map(unit * worker.rng.usize(1..=units))?;
        memory.look();
        worker.tally.did("map", 1);
        kept.push_back(memory);
        if kept.len() > 3 {
            kept.pop_front();
        }
    }
    Ok(())
}
