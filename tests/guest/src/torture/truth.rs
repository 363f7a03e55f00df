// SPDX-License-Identifier: GPL-2.0

//! In the midst of all that: a page that we hold fails to move, and is reported, and so is
//! the put by which we let go of it.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::gettid;

use super::instances::remove;
use super::tables::stats;
use super::{DEBUGFS, EVENTS, Load, TRACEFS, Worker, set, write};
use crate::memory::Kind;
use crate::numa::{Whose, move_pages};
use crate::physical::pfn_of;
use crate::pins::Mechanism;
use crate::subject::parameter;

pub(super) const LOAD: Load = Load {
    name: "truth",
    acts: &["reported", "put"],
    run,
};

/// Others may have isolated the page when we want to have it moved.
const TRIES: usize = 100;

fn run(worker: &mut Worker) -> Result<()> {
    let instance = format!("{TRACEFS}/instances/truth");
    while worker.go_if_loud(3000) {
        // Nobody unloads the module meanwhile.
        let _ours = worker.shared.module.lock().unwrap();
        if !Path::new("/sys/module/page_pin_owner").exists() {
            continue;
        }
        fs::create_dir(&instance).context("cannot make an instance")?;
        let result = one(worker, &instance);
        remove(&instance).context("cannot remove an instance")?;
        result?;
    }
    Ok(())
}

fn one(worker: &mut Worker, instance: &str) -> Result<()> {
    set(&format!("{instance}/buffer_size_kb"), "64")?;
    let memory = Kind::Shmem.map(1)?;
    let (pin, pfn) = loop {
        let pin = Mechanism::Vmsplice.pin(&memory)?;
        memory.look();
        // Not if it was just being moved.
        if let Ok(pfn) = pfn_of(memory.address()) {
            break (pin, pfn);
        }
        pin.release()?;
    };
    let events = format!("{instance}/events/page_pin_owner");
    for event in EVENTS {
        set(
            &format!("{events}/{event}/filter"),
            &format!("pfn == {pfn}"),
        )?;
    }
    set(&format!("{events}/enable"), "1")?;
    // Nobody changes what is recorded from here on.
    let _steady = worker.shared.steady.write().unwrap();
    for (name, value) in [
        ("reasons", "all"),
        ("until", "free"),
        ("arming", "always"),
        ("max_age", "0"),
        ("report_rate", "0"),
    ] {
        set(&parameter(name), value)?;
    }
    // What was reported before would not be told again, if it is marked already. It may not be.
    let _ = write(format!("{DEBUGFS}/mark"), &format!("-{pfn}"));
    let trace = || fs::read_to_string(format!("{instance}/trace")).context("trace");
    let report = format!("report_page_pinners: pfn={pfn:#x} ");
    let mut tries = 0;
    // The story that is not over has one. Another task may have tried to move the page just
    // before us, and failed.
    loop {
        let text = trace()?;
        let begin = text.rfind("page_pin_owner_free: ").unwrap_or(0);
        if text[begin..].contains(&report) {
            break;
        }
        ensure!(tries < TRIES, "no report of page {pfn:#x}:\n{text}");
        tries += 1;
        for node in 0..2 {
            let mut status = [0];
            move_pages(0, &[memory.address()], &[node], &mut status, Whose::All)?;
        }
        // Not if it is just being tried.
        if let Ok(now) = pfn_of(memory.address()) {
            ensure!(now == pfn, "a pinned page has moved");
        }
        thread::sleep(Duration::from_millis(1));
    }
    worker.tally.did("reported", 1);
    // Of a pipe that another process has open, too, the put would be that one's, and later.
    let starting = worker.shared.starting.write().unwrap();
    let before = trace()?;
    pin.release()?;
    drop(starting);
    let after = trace()?;
    // While others take over what records puts, one may be recorded twice.
    if our_puts(&after, pfn) <= our_puts(&before, pfn) {
        // What comes later tells whether it was lost, or was not made yet, or by another task.
        thread::sleep(Duration::from_secs(5));
        let evidence = evidence(&after, &trace()?, pfn)?;
        bail!("no put of page {pfn:#x} by {}: {evidence}", gettid());
    }
    worker.tally.did("put", 1);
    Ok(())
}

/// How often this thread has put one reference to that page. By its number, as the trace does
/// not keep all names.
fn our_puts(trace: &str, pfn: u64) -> usize {
    let us = format!("-{} ", gettid());
    let put = format!("page_pin_owner_put: pfn={pfn:#x} ");
    events(trace)
        .filter(|line| line.contains(&us) && line.contains(&put) && line.contains(" refs=1 "))
        .count()
}

/// The events in a trace, without their stacks.
fn events(trace: &str) -> impl Iterator<Item = &str> {
    let lines = trace.lines().filter(|line| line.contains(": pfn="));
    lines.map(str::trim)
}

/// What there is to tell where a put of that page has gone, in few lines.
fn evidence(then: &str, now: &str, pfn: u64) -> Result<String> {
    let stats = stats()?;
    let told = stats.0.iter().filter(|(name, value)| {
        matches!(name.as_str(), "armed" | "watched_pages")
            || name.starts_with("lost_") && **value > 0
    });
    let told: Vec<_> = told
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let marked = fs::read_to_string(format!("{DEBUGFS}/marked"))?;
    let later: Vec<_> = events(now).skip(events(then).count()).collect();
    let of_it = |line: &&str| line.starts_with(&format!("pfn={pfn:#x} "));
    Ok(format!(
        "{}\n{:?}\n{}\n5 s later: {}",
        told.join(" "),
        marked.lines().find(of_it),
        events(then).collect::<Vec<_>>().join("\n"),
        later.join("\n"),
    ))
}
