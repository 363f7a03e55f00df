// SPDX-License-Identifier: GPL-2.0

//! Allocations from the CMA area, which the pages in it have to leave.

use std::fs;

use anyhow::{Context, Result};
use nix::errno::Errno;

use super::{Load, Worker, write};

const AREAS: &str = "/sys/kernel/debug/cma";

pub(super) const LOAD: Load = Load {
    name: "cma",
    acts: &["alloc", "free"],
    run,
};

fn run(worker: &mut Worker) -> Result<()> {
    let mut areas = fs::read_dir(AREAS).context(AREAS)?;
    let area = areas.next().context("no CMA area")??.path();
    while worker.go(100) {
        let pages = worker.rng.u32(1..4096).to_string();
        let got = write(area.join("alloc"), &pages);
        // What is pinned does not leave.
        let got = worker
            .tally
            .tried("alloc", got, &[Errno::ENOMEM, Errno::EBUSY]);
        if got.is_some() {
            worker.go(50);
            worker
                .tally
                .tried("free", write(area.join("free"), &pages), &[]);
        }
    }
    Ok(())
}
