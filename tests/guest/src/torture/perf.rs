// SPDX-License-Identifier: GPL-2.0

//! perf, sampling the module's events with their stacks, attached and detached.

use std::fs::{self, File};
use std::os::fd::FromRawFd;

use anyhow::{Context, Result};
use nix::errno::Errno;
use perf_event_open_sys::bindings::{
    PERF_FLAG_FD_CLOEXEC, PERF_SAMPLE_CALLCHAIN, PERF_SAMPLE_RAW, PERF_TYPE_TRACEPOINT,
    perf_event_attr,
};
use perf_event_open_sys::perf_event_open;

use super::{EVENTS, Load, TRACEFS, Worker};
use crate::memory::Mapping;

/// perf's control page, and its ring.
const PAGES: usize = 1 + 8;

pub(super) const LOAD: Load = Load {
    name: "perf",
    acts: &["attach", "detach"],
    run,
};

fn run(worker: &mut Worker) -> Result<()> {
    while worker.go_if_loud(100) {
        let event = EVENTS[worker.rng.usize(0..EVENTS.len())];
        let cpu = worker.rng.i32(0..4);
        // The processor may be offline, the module unloaded.
        let errors = [
            Errno::ENOENT,
            Errno::ENODEV,
            Errno::EINVAL,
            Errno::ENXIO,
            Errno::EAGAIN,
        ];
        if let Some(event) = worker.tally.tried("attach", attach(event, cpu), &errors) {
            let ring = Mapping::shared(event, PAGES)?;
            worker.go(200);
            drop(ring);
            worker.tally.did("detach", 1);
        }
    }
    Ok(())
}

/// Has perf sample this event in all that runs on a processor.
fn attach(event: &str, cpu: i32) -> Result<File> {
    let id = fs::read_to_string(format!("{TRACEFS}/events/page_pin_owner/{event}/id"))?;
    let mut attr = perf_event_attr {
        type_: PERF_TYPE_TRACEPOINT,
        size: size_of::<perf_event_attr>().try_into()?,
        config: id.trim().parse()?,
        sample_type: u64::from(PERF_SAMPLE_RAW | PERF_SAMPLE_CALLCHAIN),
        ..Default::default()
    };
    attr.__bindgen_anon_1.sample_period = 1;
    // SAFETY: the attributes are valid for as long as the call.
    let fd = unsafe { perf_event_open(&mut attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC.into()) };
    Errno::result(fd).context("perf_event_open")?;
    // SAFETY: just opened, and nobody else's.
    Ok(unsafe { File::from_raw_fd(fd) })
}
