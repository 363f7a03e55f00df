// SPDX-License-Identifier: GPL-2.0

//! The module's parameters, changed while it is at work.

use anyhow::Result;
use nix::errno::Errno;

use super::{Load, Worker, write};
use crate::subject::parameter;

const VALUES: &[(&str, &str)] = &[
    ("reasons", "all"),
    ("reasons", "contig_range,compaction,manual"),
    ("reasons", "memory_hotplug,syscall_or_cpuset"),
    ("until", "free"),
    ("until", "unpinned"),
    ("arming", "always"),
    ("arming", "on_demand"),
    ("max_age", "0"),
    ("max_age", "1"),
    ("max_age", "1000"),
    ("report_rate", "0"),
    ("report_rate", "10"),
    ("report_rate", "1000"),
    ("longterm_ms", "0"),
    ("longterm_ms", "1000"),
];
const BAD: &[(&str, &str)] = &[
    ("reasons", "none"),
    ("until", ""),
    ("arming", "never"),
    ("max_age", "-1"),
    ("report_rate", "x"),
    ("longterm_ms", ""),
];
const GONE: &[Errno] = &[Errno::ENOENT, Errno::ENODEV];

pub(super) const LOAD: Load = Load {
    name: "parameters",
    acts: &["set", "bad"],
    run,
};

fn run(worker: &mut Worker) -> Result<()> {
    while worker.go(100) {
        let _changing = worker.shared.steady.read().unwrap();
        // Each of these is a line in the log.
        if worker.rng.u32(0..16) == 0 {
            let (name, value) = BAD[worker.rng.usize(0..BAD.len())];
            let done = write(parameter(name), &format!("{value}\n"));
            worker.tally.tried_in_vain("bad", done, Errno::EINVAL, GONE);
        } else {
            let (name, value) = VALUES[worker.rng.usize(0..VALUES.len())];
            worker
                .tally
                .tried("set", write(parameter(name), value), GONE);
        }
    }
    Ok(())
}
