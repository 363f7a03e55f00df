// SPDX-License-Identifier: GPL-2.0

//! Instances of the tracing system made and removed, with the module's events on in them.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;

use super::events::ALL_GONE;
use super::{Load, TRACEFS, Worker, patience, read_some, write};

pub(super) const LOAD: Load = Load {
    name: "instances",
    acts: &["make", "enable", "read", "remove"],
    run,
};

fn run(worker: &mut Worker) -> Result<()> {
    let path = format!("{TRACEFS}/instances/torture");
    while worker.go_if_loud(200) {
        if worker
            .tally
            .tried("make", fs::create_dir(&path), &[])
            .is_none()
        {
            continue;
        }
        write(format!("{path}/buffer_size_kb"), "64").context("buffer_size_kb")?;
        let on = write(format!("{path}/events/page_pin_owner/enable"), "1");
        worker.tally.tried("enable", on, ALL_GONE);
        worker.go(200);
        let text = read_some(format!("{path}/trace"));
        worker.tally.tried("read", text, &[]);
        // With the events on.
        worker.tally.tried("remove", remove(&path), &[]);
    }
    Ok(())
}

/// Removes an instance, once nobody has a file of it open: a child that was just forked has
/// all of ours until it runs a program.
pub(super) fn remove(path: &str) -> io::Result<()> {
    let began = Instant::now();
    loop {
        match fs::remove_dir(path) {
            Err(error)
                if error.raw_os_error() == Some(Errno::EBUSY as i32)
                    && began.elapsed() < patience(30) =>
            {
                thread::sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
}
