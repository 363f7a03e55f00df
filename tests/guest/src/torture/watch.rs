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
    // Nothing is steady here: no put may be lost meanwhile.
    while worker.go(200) {
        let (act, text) = match worker.rng.u32(0..8) {
            0 | 1 => {
                let (first, count) = (worker.rng.u64(0..END), worker.rng.u64(1..20000));
                ("range", format!("{first} {count}"))
            }
            2 | 3 => {
                let (first, count) = (worker.rng.u64(0..END / 2), worker.rng.u64(1..END / 2));
                ("remove", format!("-{first} {count}"))
            }
            4 => ("clear", "clear".to_owned()),
            _ => {
                let memory = Kind::Shmem.map(1)?;
                let pin = Mechanism::Vmsplice.pin(&memory)?;
                if let Ok(pfn) = pfn_of(memory.address()) {
                    let own = write(&path, &format!("{pfn:#x} 4"));
                    worker.tally.tried("own", own, &errors);
                }
                pin.release()?;
                continue;
            }
        };
        worker.tally.tried(act, write(&path, &text), &errors);
    }
    Ok(())
}
