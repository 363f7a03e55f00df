// SPDX-License-Identifier: GPL-2.0

//! Blocks of movable memory taken offline and brought back.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;

use super::{Load, Shared, Worker, patience, write};

const MEMORY: &str = "/sys/devices/system/memory";
/// The kernel tries for ever, or until a signal comes. In seconds
const PATIENCE: u64 = 3;

pub(super) const LOAD: Load = Load {
    name: "blocks",
    acts: &["offline", "online"],
    run,
};

fn run(worker: &mut Worker) -> Result<()> {
    let mut blocks = Vec::new();
    for entry in fs::read_dir(MEMORY).context(MEMORY)? {
        let path = entry?.path();
        if fs::read_to_string(path.join("valid_zones")).is_ok_and(|zones| zones.trim() == "Movable")
        {
            blocks.push(path.join("state"));
        }
    }
    ensure!(!blocks.is_empty(), "no movable blocks");
    while worker.go(300) {
        let block = &blocks[worker.rng.usize(0..blocks.len())];
        // EINVAL: the last one of a node has a hole.
        let errors = [Errno::EBUSY, Errno::EINTR, Errno::EAGAIN, Errno::EINVAL];
        let offline = interruptible(worker.shared, block, "offline");
        if worker.tally.tried("offline", offline, &errors).is_some() {
            worker.go(100);
        }
        if fs::read_to_string(block)?.trim() == "offline" {
            worker
                .tally
                .tried("online", write(block, "online_movable"), &[]);
        }
    }
    Ok(())
}

/// Has a program of its own write that; its exit status is the error. It is killed if that
/// takes long.
fn interruptible(shared: &Shared, path: &Path, text: &str) -> Result<()> {
    let mut child = shared.start([OsStr::new("write"), path.as_os_str(), OsStr::new(text)])?;
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return match status.code() {
                Some(0) => Ok(()),
                Some(errno) => Err(Errno::from_raw(errno).into()),
                None => Err(Errno::EINTR.into()),
            };
        }
        if began.elapsed() > patience(PATIENCE) {
            child.kill()?;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
