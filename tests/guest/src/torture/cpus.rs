// SPDX-License-Identifier: GPL-2.0

//! Processors taken offline and brought back.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nix::errno::Errno;

use super::{Load, Worker, write};

pub(super) const LOAD: Load = Load {
    name: "cpus",
    acts: &["offline", "online"],
    run,
};

fn run(worker: &mut Worker) -> Result<()> {
    let cpus: Vec<_> = (1..8)
        .map(|n| format!("/sys/devices/system/cpu/cpu{n}/online"))
        .filter(|path| Path::new(path).exists())
        .collect();
    while worker.go(400) {
        let cpu = worker.rng.choice(&cpus).context("a single processor")?;
        let off = write(cpu, "0");
        worker
            .tally
            .tried("offline", off, &[Errno::EBUSY, Errno::ENOMEM]);
        worker.go(200);
        if fs::read_to_string(cpu)?.trim() == "0" {
            worker.tally.tried("online", write(cpu, "1"), &[]);
        }
    }
    Ok(())
}
