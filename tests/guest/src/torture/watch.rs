// SPDX-License-Identifier: GPL-2.0

//! Pages watched, and not any more, whatever happens to them and whoever reads of them: pages of
//! ours, and any.

use anyhow::Result;
use nix::errno::Errno;

use super::{DEBUGFS, Load, Worker, write};
use crate::memory::Kind;
use crate::physical::pfn_of;
use crate::pins::Mechanism;

pub(super) const LOAD: Load = Load {
    name: "watch",
    acts: &["own", "range", "remove", "clear"],
    run,
};

/// The lab's memory in pages.
const END: u64 = (2 << 30) / 4096;

fn run(worker: &mut Worker) -> Result<()> {
    let path = format!("{DEBUGFS}/watch");
    // Gone; no page there is watched; too many ranges, or pages.
    let errors = [
        Errno::ENOENT,
        Errno::ENXIO,
        Errno::ENODEV,
        Errno::EIO,
        Errno::EINVAL,
        Errno::ERANGE,
        Errno::ENOSPC,
        Errno::ENOMEM,
    ];
    // The latest page of ours, until the next one
    let mut held = None;
    // Nothing is steady here: no put may be lost meanwhile.
    while worker.go(200) {
        let act = worker.draw(&[
            "range", "range", "remove", "remove", "clear", "own", "own", "own",
        ]);
        let text = match act {
            "range" => {
                let (first, count) = (worker.rng.u64(0..END), worker.rng.u64(1..20000));
                format!("{first} {count}")
            }
            "remove" => {
                let (first, count) = (worker.rng.u64(0..END / 2), worker.rng.u64(1..END / 2));
                format!("-{first} {count}")
            }
            "clear" => "clear".to_owned(),
            _ => {
                let memory = Kind::Shmem.map(1)?;
                let older = Mechanism::Vmsplice.pin(&memory)?;
                if let Ok(pfn) = pfn_of(memory.address()) {
                    let own = write(&path, &format!("{pfn:#x} 4"));
                    worker.tally.tried(act, own, &errors);
                }
                // Of this one the ledger knows.
                let pin = Mechanism::Vmsplice.pin(&memory)?;
                older.release()?;
                held.replace((pin, memory));
                continue;
            }
        };
        worker.tally.tried(act, write(&path, &text), &errors);
    }
    Ok(())
}
