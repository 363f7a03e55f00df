// SPDX-License-Identifier: GPL-2.0

//! Pins that are taken, kept a moment, and given up.

use std::collections::VecDeque;

use anyhow::{Context, Result};
use nix::errno::Errno;

use super::{Load, Worker};
use crate::memory::{Kind, Mapping};
use crate::pins::{Mechanism, Pin};

pub(super) const LOAD: Load = Load {
    name: "pins",
    acts: &[
        "vmsplice",
        "gup_test",
        "io_uring",
        "splice",
        "tee",
        "zerocopy",
        "packet_ring",
    ],
    run,
};

const WAYS: [(&str, Mechanism, &[Kind]); 7] = [
    (
        "vmsplice",
        Mechanism::Vmsplice,
        &[Kind::Anon, Kind::Shmem, Kind::File],
    ),
    ("gup_test", Mechanism::Longterm, &[Kind::Anon, Kind::Shmem]),
    ("io_uring", Mechanism::IoUring, &[Kind::Anon, Kind::Shmem]),
    ("splice", Mechanism::Splice, &[Kind::Shmem, Kind::File]),
    ("tee", Mechanism::Tee, &[Kind::Shmem]),
    ("zerocopy", Mechanism::Zerocopy, &[Kind::Anon, Kind::Shmem]),
    ("packet_ring", Mechanism::PacketRing, &[Kind::Anon]),
];

fn run(worker: &mut Worker) -> Result<()> {
    let mut held: VecDeque<(&str, Box<dyn Pin>, Mapping)> = VecDeque::new();
    while worker.go(50) {
        if held.len() > 4 {
            release(&mut held)?;
        }
        let act = worker.draw(&WAYS.map(|(act, ..)| act));
        let (_, mechanism, kinds) = WAYS.iter().find(|way| way.0 == act).context(act)?;
        // gup_test has one pin at a time.
        while act == "gup_test" && held.iter().any(|(name, ..)| *name == act) {
            release(&mut held)?;
        }
        let kind = kinds[worker.rng.usize(0..kinds.len())];
        let memory = kind.map(worker.rng.usize(1..16))?;
        // A page that cannot leave CMA cannot be pinned for long.
        let pin = mechanism.pin(&memory).with_context(|| format!("{kind:?}"));
        if let Some(pin) = worker
            .tally
            .tried(act, pin, &[Errno::ENOMEM, Errno::EAGAIN])
        {
            held.push_back((act, pin, memory));
        }
    }
    while !held.is_empty() {
        release(&mut held)?;
    }
    Ok(())
}

/// Gives up the oldest pin.
fn release(held: &mut VecDeque<(&str, Box<dyn Pin>, Mapping)>) -> Result<()> {
    if let Some((act, pin, _memory)) = held.pop_front() {
        pin.release()
            .with_context(|| format!("cannot release {act}"))?;
    }
    Ok(())
}
