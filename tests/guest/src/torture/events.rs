// SPDX-License-Identifier: GPL-2.0

//! The module's events: switched on and off, filtered, with triggers, read.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use anyhow::Result;
use nix::errno::Errno;

use super::{EVENTS, Load, TRACEFS, Worker, read_some, write};
use crate::subject::event_file;

/// What a writer may be told while the module comes and goes.
/// EAGAIN is what it says itself before it is ready.
pub(super) const GONE: &[Errno] = &[Errno::ENOENT, Errno::ENODEV, Errno::EAGAIN];
/// The same of all events at once, which may be gone when it is looked for them.
pub(super) const ALL_GONE: &[Errno] = &[Errno::ENOENT, Errno::ENODEV, Errno::EAGAIN, Errno::EINVAL];

pub(super) const SWITCHES: Load = Load {
    name: "switches",
    acts: &["on", "off", "all_on", "all_off", "stacktrace"],
    run: switches,
};

pub(super) const FILTERS: Load = Load {
    name: "filters",
    acts: &["set", "clear", "bad"],
    run: filters,
};

pub(super) const TRIGGERS: Load = Load {
    name: "triggers",
    acts: &["set", "clear", "hist"],
    run: triggers,
};

pub(super) const PIPE: Load = Load {
    name: "pipe",
    acts: &["open", "read", "trace"],
    run: pipe,
};

const ALL: &str = "events/page_pin_owner/enable";

fn switches(worker: &mut Worker) -> Result<()> {
    let all = format!("{TRACEFS}/{ALL}");
    let errors = ALL_GONE;
    while worker.go(50) {
        if worker.is_quiet() {
            worker.tally.tried("all_off", write(&all, "0"), errors);
            continue;
        }
        let event = EVENTS[worker.rng.usize(0..EVENTS.len())];
        let act = worker.draw(&[
            "all_off",
            "all_on",
            "on",
            "on",
            "on",
            "off",
            "off",
            "stacktrace",
        ]);
        let _ = match act {
            "all_off" => worker.tally.tried(act, write(&all, "0"), errors),
            "all_on" => worker.tally.tried(act, write(&all, "1"), errors),
            "on" => worker
                .tally
                .tried(act, write(event_file(event, "enable"), "1"), GONE),
            "off" => worker
                .tally
                .tried(act, write(event_file(event, "enable"), "0"), GONE),
            _ => {
                let on = worker.rng.u32(0..2).to_string();
                let done = write(format!("{TRACEFS}/options/stacktrace"), &on);
                worker.tally.tried(act, done, &[])
            }
        };
    }
    worker.tally.tried("all_off", write(&all, "0"), errors);
    Ok(())
}

/// A filter for each event.
const GOOD: [&str; 3] = [
    "reason == \"contig_range\" || err < 0",
    "age_us > 1000 && last == 0",
    "cause != \"freed\"",
];

fn filters(worker: &mut Worker) -> Result<()> {
    while worker.go_if_loud(100) {
        let n = worker.rng.usize(0..EVENTS.len());
        let path = event_file(EVENTS[n], "filter");
        match worker.rng.u32(0..3) {
            0 => {
                worker.tally.tried("set", write(path, GOOD[n]), GONE);
            }
            1 => {
                worker.tally.tried("clear", write(path, "0"), GONE);
            }
            _ => {
                let done = write(path, "nonsense > 1");
                worker.tally.tried_in_vain("bad", done, Errno::EINVAL, GONE);
            }
        }
    }
    Ok(())
}

/// A trigger for each event.
const TRIGGER: [&str; 3] = [
    "hist:keys=reason,stage",
    "hist:keys=stack:vals=refs",
    "hist:keys=cause",
];

fn triggers(worker: &mut Worker) -> Result<()> {
    while worker.go_if_loud(200) {
        let n = worker.rng.usize(0..EVENTS.len());
        let path = event_file(EVENTS[n], "trigger");
        // For a hist trigger the kernel makes EPERM of what the module said.
        let errors = [GONE, &[Errno::EPERM]].concat();
        if worker
            .tally
            .tried("set", write(&path, TRIGGER[n]), &errors)
            .is_none()
        {
            continue;
        }
        worker.go(200);
        let text = read_some(event_file(EVENTS[n], "hist"));
        worker.tally.tried("hist", text, &[]);
        let gone = write(&path, &format!("!{}", TRIGGER[n]));
        worker.tally.tried("clear", gone, &[]);
    }
    Ok(())
}

/// Reads the kernel's own trace, in both ways there are.
fn pipe(worker: &mut Worker) -> Result<()> {
    let path = format!("{TRACEFS}/trace_pipe");
    while worker.go(50) {
        let pipe = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path);
        // A child that was just forked has it open still.
        let Some(mut pipe) = worker.tally.tried("open", pipe, &[Errno::EBUSY]) else {
            continue;
        };
        let mut buffer = [0; 16384];
        for _ in 0..worker.rng.u32(1..20) {
            let got = pipe.read(&mut buffer);
            worker.tally.tried("read", got, &[Errno::EAGAIN]);
            worker.go(10);
        }
        let trace =
            File::open(format!("{TRACEFS}/trace")).and_then(|mut file| file.read(&mut buffer));
        worker.tally.tried("trace", trace, &[]);
    }
    Ok(())
}
