// SPDX-License-Identifier: GPL-2.0

//! Pages taken out of use softly, and brought back.

use anyhow::Result;
use nix::errno::Errno;

use super::{Load, Worker, write};
use crate::memory::{Kind, PAGE_SIZE};
use crate::physical::pfn_of;
use crate::pins::Mechanism;

pub(super) const LOAD: Load = Load {
    name: "soft",
    acts: &["offline", "unpoison"],
    run,
};

fn run(worker: &mut Worker) -> Result<()> {
    while worker.go(200) {
        let kind = if worker.rng.bool() {
            Kind::Anon
        } else {
            Kind::Shmem
        };
        let memory = kind.map(1)?;
        let pin = match worker.rng.u32(0..4) {
            0 => Some(Mechanism::Vmsplice.pin(&memory)?),
            _ => None,
        };
        // Swapped out or moved meanwhile, by others.
        let Ok(pfn) = pfn_of(memory.address()) else {
            continue;
        };
        let done = write(
            "/sys/devices/system/memory/soft_offline_page",
            &format!("{:#x}", pfn * PAGE_SIZE as u64),
        );
        let errors = [
            Errno::EBUSY,
            Errno::EIO,
            Errno::ENXIO,
            Errno::ENOMEM,
            Errno::EOPNOTSUPP,
        ];
        worker.tally.tried("offline", done, &errors);
        if let Some(pin) = pin {
            pin.release()?;
        }
        drop(memory);
        // Also if it was refused: then it was not poisoned, which is no error.
        let back = write("/sys/kernel/debug/hwpoison/unpoison-pfn", &pfn.to_string());
        worker
            .tally
            .tried("unpoison", back, &[Errno::EBUSY, Errno::ENXIO]);
    }
    Ok(())
}
