// SPDX-License-Identifier: GPL-2.0

//! Memory that is swapped out and in again, and the device for that taken away.

use std::ffi::CStr;

use anyhow::Result;
use nix::errno::Errno;

use super::{Load, Worker};
use crate::acts::act;
use crate::memory::Kind;

/// A link the scenario makes.
const DEVICE: &CStr = c"/tmp/swap-device";

pub(super) const LOAD: Load = Load {
    name: "swap",
    acts: &["on", "out", "in", "off"],
    run,
};

fn run(worker: &mut Worker) -> Result<()> {
    while worker.go(50) {
        // SAFETY: a string that ends in 0.
        let on = Errno::result(unsafe { libc::swapon(DEVICE.as_ptr(), 0) });
        if worker.tally.tried("on", on, &[]).is_none() {
            continue;
        }
        for _ in 0..worker.rng.u32(1..4) {
            let kind = if worker.rng.bool() {
                Kind::Anon
            } else {
                Kind::Shmem
            };
            let memory = kind.map(worker.rng.usize(1..512))?;
            worker
                .tally
                .tried("out", act("madvise pageout", &memory), &[]);
            memory.look();
            worker.tally.did("in", 1);
            worker.go(20);
        }
        // SAFETY: as above.
        let off = Errno::result(unsafe { libc::swapoff(DEVICE.as_ptr()) });
        worker.tally.tried("off", off, &[]);
    }
    Ok(())
}
