// SPDX-License-Identifier: GPL-2.0

//! Children that share memory, write to some of it and end, by the hundred. In a program of
//! its own: of a process with threads a child may do little.

use std::ffi::OsStr;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{ForkResult, fork};

use super::{Load, Worker};
use crate::acts::act;
use crate::memory::Kind;

/// Children at a time.
const CHILDREN: usize = 16;
/// Pages they share.
const PAGES: usize = 512;

pub(super) const LOAD: Load = Load {
    name: "forks",
    acts: &["storm", "child"],
    run,
};

fn run(worker: &mut Worker) -> Result<()> {
    while worker.go(50) {
        let status = worker.shared.start([OsStr::new("storm")])?.wait()?;
        anyhow::ensure!(status.success(), "a storm ended with {status}");
        worker.tally.did("storm", 1);
        worker.tally.did("child", CHILDREN as u64);
    }
    Ok(())
}

/// What that program does.
pub fn storm() -> Result<()> {
    let memory = Kind::Anon.map(PAGES)?;
    let shared = Kind::Shmem.map(PAGES)?;
    for n in 0..CHILDREN {
        // SAFETY: there is only this one thread.
        if let ForkResult::Child = unsafe { fork() }.context("fork")? {
            shared.look();
            memory.touch_every(1 + n % 4);
            // SAFETY: does nothing but end the process.
            unsafe { libc::_exit(0) }
        }
    }
    act("madvise pageout", &shared)?;
    loop {
        match wait() {
            Ok(WaitStatus::Exited(_, 0)) => (),
            Ok(status) => anyhow::bail!("a child ended so: {status:?}"),
            Err(Errno::ECHILD) => return Ok(()),
            Err(error) => return Err(error).context("wait"),
        }
    }
}
