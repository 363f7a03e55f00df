// SPDX-License-Identifier: GPL-2.0

//! The module itself loaded and unloaded, and what it has left behind.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::errno::Errno;

use super::tables::{Stats, stats};
use super::{EVENTS, Load, TRACEFS, Worker, has_kmemleak, patience, write};
use crate::subject::{FILE, absent, insmod, rmmod};

/// How long whatever holds the module may take to let go, in seconds.
const PATIENCE: u64 = 60;

/// With what it is loaded, in turn.
const PARAMETERS: &[&str] = &[
    "",
    "max_marks=20000 depot_kib=64",
    "stack_depth=4",
    "reasons=contig_range,manual until=unpinned",
    "max_age=1 report_rate=0 stack_depth=64 arming=on_demand",
    "entries=2 watch_kib=1024 longterm_ms=0",
];

/// Figures of the kernel's memory, with what more of them is no leak yet, in KiB. The
/// kernel keeps what it freed for itself.
const ROOM: &[(&str, u64)] = &[
    ("SUnreclaim", 24 << 10),
    ("VmallocUsed", 4 << 10),
    ("Percpu", 1 << 10),
];

pub(super) const LOAD: Load = Load {
    name: "module",
    acts: &["insmod", "rmmod", "marked", "puts"],
    run,
};

fn run(worker: &mut Worker) -> Result<()> {
    let mut away = Duration::ZERO;
    for n in 0.. {
        // It stays for as long as it was away, which is long where the machine is slow, or
        // the others would have next to nothing of it.
        let mut began = Instant::now();
        while began.elapsed() < away && worker.go(200) {}
        // Whoever it is that uses the module, it says so.
        began = Instant::now();
        let mut leaving = began;
        let (mut gone, mut ours) = (false, None);
        while !gone && began.elapsed() < Duration::from_secs(4) && worker.go(200) {
            ours = worker.shared.module.try_lock().ok();
            leaving = Instant::now();
            gone = ours.is_some() && try_rmmod(worker);
        }
        if !gone {
            if worker.is_over() {
                break;
            }
            // Nobody that needs it where it is.
            drop(ours.take());
            ours = worker.shared.module.lock().ok();
            worker.shared.quiet.store(true, Ordering::SeqCst);
            let (stats, result) = detached();
            worker.tally.did("marked", stats.get("marked"));
            worker.tally.did("puts", stats.get("puts"));
            result?;
            // Readers of the tables go on.
            let began = Instant::now();
            leaving = began;
            while !try_rmmod(worker) {
                ensure!(
                    began.elapsed() < patience(PATIENCE),
                    "it cannot be unloaded"
                );
                thread::sleep(Duration::from_millis(1));
            }
        }
        absent()?;
        let parameters = PARAMETERS[n % PARAMETERS.len()];
        worker.tally.tried("insmod", insmod(FILE, parameters), &[]);
        away = leaving.elapsed();
        drop(ours);
        worker.shared.quiet.store(false, Ordering::SeqCst);
    }
    Ok(())
}

fn try_rmmod(worker: &Worker) -> bool {
    let done = rmmod();
    worker
        .tally
        .tried("rmmod", done, &[Errno::EAGAIN, Errno::EBUSY])
        .is_some()
}

/// The module's figures once it is detached from the kernel, as they have to be then.
fn detached() -> (Stats, Result<()>) {
    let began = Instant::now();
    let mut figures;
    loop {
        figures = stats().unwrap_or_default();
        if figures.0.get("attached") == Some(&0) {
            let result = add_up(&figures);
            return (figures, result);
        }
        if began.elapsed() > patience(PATIENCE) {
            let result = Err(anyhow!("still attached with all events off: {}", users()));
            return (figures, result);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Who has the events on, as far as the kernel tells.
fn users() -> String {
    let read = |path: String| fs::read_to_string(path).unwrap_or_default();
    let mut text = read("/sys/module/page_pin_owner/refcnt".to_owned());
    for event in EVENTS {
        let dir = format!("{TRACEFS}/events/page_pin_owner/{event}");
        text += &read(format!("{dir}/enable"));
        text += &read(format!("{dir}/trigger"));
    }
    if let Ok(instances) = fs::read_dir(format!("{TRACEFS}/instances")) {
        text.extend(
            instances
                .flatten()
                .map(|entry| format!("{:?} ", entry.file_name())),
        );
    }
    text
}

/// Whether nothing is marked and every mark has had its end.
fn add_up(stats: &Stats) -> Result<()> {
    for name in ["marks", "mark_bytes", "reserve_bytes"] {
        ensure!(
            stats.get(name) == 0,
            "detached, with {name}={}",
            stats.get(name)
        );
    }
    let ends = ["freed", "unpinned", "expired", "evicted", "forgotten"];
    let sum: u64 = ends.iter().map(|name| stats.get(name)).sum();
    ensure!(
        stats.get("marked") == sum,
        "marked={} but {sum} ends",
        stats.get("marked")
    );
    Ok(())
}

/// The kernel's memory before the torture, with the module loaded and attached once, so that
/// what the kernel makes on first use is there.
pub fn begin() -> Result<BTreeMap<String, u64>> {
    insmod(FILE, "")?;
    let enable = format!("{TRACEFS}/events/page_pin_owner/enable");
    write(&enable, "1").context("cannot enable the events")?;
    write(&enable, "0").context("cannot disable the events")?;
    rmmod().context("cannot unload")?;
    let memory = memory()?;
    insmod(FILE, "")?;
    Ok(memory)
}

/// What is wrong after the torture, and what the kernel's memory has become.
pub fn end(before: &BTreeMap<String, u64>) -> (Vec<String>, String) {
    let mut complaints = Vec::new();
    let mut keep = |result: Result<()>| {
        if let Err(error) = result {
            complaints.push(format!("in the end: {error:#}"));
        }
    };
    keep(off());
    let (_, result) = detached();
    keep(result);
    keep(rmmod().context("cannot unload"));
    keep(absent());
    let (text, result) = grown(before);
    keep(result);
    (complaints, text)
}

/// Whether the loads have left all events off.
fn off() -> Result<()> {
    for event in EVENTS {
        let dir = format!("{TRACEFS}/events/page_pin_owner/{event}");
        let enable = fs::read_to_string(format!("{dir}/enable"))?;
        ensure!(enable.trim() == "0", "{event} is {enable}");
        let trigger = fs::read_to_string(format!("{dir}/trigger"))?;
        let left = trigger.lines().find(|line| !line.starts_with('#'));
        ensure!(left.is_none(), "{event} has a trigger: {trigger}");
    }
    Ok(())
}

fn memory() -> Result<BTreeMap<String, u64>> {
    let text = fs::read_to_string("/proc/meminfo")?;
    ROOM.iter()
        .map(|&(name, _)| {
            let kib = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .and_then(|rest| rest.split_whitespace().next())
                .with_context(|| format!("no {name} in /proc/meminfo"))?;
            Ok((name.to_owned(), kib.parse()?))
        })
        .collect()
}

/// How much memory the kernel has more than before, and whether that is too much. It frees
/// some of it only when there is time.
fn grown(before: &BTreeMap<String, u64>) -> (String, Result<()>) {
    let began = Instant::now();
    // It keeps more of what others freed, and knows better itself what is lost.
    let has_kmemleak = has_kmemleak();
    loop {
        let _ = write("/proc/sys/vm/drop_caches", "3");
        let now = match memory() {
            Ok(now) => now,
            Err(error) => return (String::new(), Err(error)),
        };
        let text = before
            .iter()
            .map(|(name, kib)| format!(" {name}_kib={kib}..{}", now[name]))
            .collect();
        let leaks = ROOM
            .iter()
            .find(|(name, room)| now[*name] > before[*name] + room);
        match leaks.filter(|_| !has_kmemleak) {
            None => return (text, Ok(())),
            Some((name, _)) if began.elapsed() > Duration::from_secs(20) => {
                return (text, too_much(name));
            }
            _ => thread::sleep(Duration::from_secs(1)),
        }
    }
}

fn too_much(name: &str) -> Result<()> {
    bail!("{name} has grown")
}
