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
        let act = worker.draw(&[
            "any", "range", "forget", "clear", "own", "own", "own", "own",
        ]);
        let mut own = None;
        let text = match act {
            "any" => worker.rng.u64(0..USED).to_string(),
            "range" => {
                let (first, count) = (worker.rng.u64(0..END), worker.rng.u64(1..60000));
                format!("{first} {count}")
            }
            "forget" => format!("-{} {}", worker.rng.u64(0..END / 2), END / 2),
            "clear" => "clear".to_owned(),
            _ => {
                let kind = if worker.rng.bool() {
                    Kind::Anon
                } else {
                    Kind::Shmem
                };
                let memory = own.insert(kind.map(8)?);
                memory.look();
                // It may have been moved, or be on its way, meanwhile.
                match pfn_of(memory.address()) {
                    Ok(pfn) => format!("{pfn:#x}"),
                    Err(_) => continue,
                }
            }
        };
        worker.tally.tried(act, write(&path, &text), &errors);
    }
    Ok(())
}
