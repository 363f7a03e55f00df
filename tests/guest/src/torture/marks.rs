// SPDX-License-Identifier: GPL-2.0

//! Marks made and forgotten by hand: of pages of ours that are freed meanwhile, and of any.

use anyhow::Result;
use nix::errno::Errno;

use super::{DEBUGFS, Load, Worker, write};
use crate::memory::Kind;
use crate::physical::pfn_of;

pub(super) const LOAD: Load = Load {
    name: "marks",
    acts: &["own", "any", "range", "forget", "clear"],
    run,
};

/// The lab's memory in pages.
const END: u64 = (2 << 30) / 4096;

/// Most of these are the kernel's own, and in use.
const USED: u64 = (64 << 20) / 4096;

fn run(worker: &mut Worker) -> Result<()> {
    let path = format!("{DEBUGFS}/mark");
    // Gone; no event on (each is a line in the log); no page there; a hole.
    let errors = [
        Errno::ENOENT,
        Errno::ENXIO,
        Errno::ENODEV,
        Errno::EIO,
        Errno::EBUSY,
        Errno::EINVAL,
        Errno::ERANGE,
        Errno::ENOSPC,
        Errno::EAGAIN,
    ];
    while worker.go(200) {
        let _changing = worker.shared.steady.read().unwrap();
        match worker.rng.u32(0..8) {
            0 => {
                let any = worker.rng.u64(0..USED);
                worker
                    .tally
                    .tried("any", write(&path, &any.to_string()), &errors);
            }
            1 => {
                let (first, count) = (worker.rng.u64(0..END), worker.rng.u64(1..60000));
                worker
                    .tally
                    .tried("range", write(&path, &format!("{first} {count}")), &errors);
            }
            2 => {
                let first = worker.rng.u64(0..END / 2);
                let text = format!("-{first} {}", END / 2);
                worker.tally.tried("forget", write(&path, &text), &errors);
            }
            3 => {
                worker.tally.tried("clear", write(&path, "clear"), &errors);
            }
            _ => {
                let kind = if worker.rng.bool() {
                    Kind::Anon
                } else {
                    Kind::Shmem
                };
                let memory = kind.map(8)?;
                memory.look();
                // It may have been moved, or be on its way, meanwhile.
                if let Ok(pfn) = pfn_of(memory.address()) {
                    worker
                        .tally
                        .tried("own", write(&path, &format!("{pfn:#x}")), &errors);
                }
            }
        }
    }
    Ok(())
}
