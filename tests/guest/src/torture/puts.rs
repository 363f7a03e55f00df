// SPDX-License-Identifier: GPL-2.0

//! Puts of a marked page in every context, that of an NMI too: tests/module/ppo_puts.

use anyhow::{Result, bail};
use nix::errno::Errno;

use super::{DEBUGFS, Load, Worker, write};
use crate::memory::Kind;
use crate::physical::pfn_of;
use crate::pins::Mechanism;
use crate::subject::insmod;

pub(super) const LOAD: Load = Load {
    name: "puts",
    acts: &["mark", "task", "softirq", "hardirq", "nmi"],
    run,
};

fn run(worker: &mut Worker) -> Result<()> {
    while worker.go(200) {
        let memory = Kind::Shmem.map(1)?;
        // Where it is now it stays.
        let pin = Mechanism::Vmsplice.pin(&memory)?;
        if let Ok(pfn) = pfn_of(memory.address()) {
            let _changing = worker.shared.steady.read().unwrap();
            let marked = write(format!("{DEBUGFS}/mark"), &pfn.to_string());
            // Each refusal is a line in the log, and there are enough of these.
            let errors = [
                Errno::ENOENT,
                Errno::ENXIO,
                Errno::ENODEV,
                Errno::EIO,
                Errno::EBUSY,
                Errno::ENOSPC,
            ];
            worker.tally.tried("mark", marked, &errors);
            for context in ["task", "softirq", "hardirq", "nmi"] {
                let places = worker.rng.u32(1..64);
                match insmod(
                    "/ppo_puts.ko",
                    &format!("pfn={pfn} places={places} context={context}"),
                ) {
                    // It does not stay.
                    Err(error) if error.downcast_ref() == Some(&Errno::EAGAIN) => {
                        worker.tally.did(context, 1);
                    }
                    Err(error) => return Err(error.context(context)),
                    Ok(()) => bail!("ppo_puts is still loaded"),
                }
            }
        }
        pin.release()?;
    }
    Ok(())
}
