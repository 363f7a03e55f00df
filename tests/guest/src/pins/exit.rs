// SPDX-License-Identifier: GPL-2.0

//! References held by a process that is killed.

use std::convert::Infallible;
use std::fs::File;
use std::io::{Read, Write};

use anyhow::{Context, Result};
use nix::fcntl::OFlag;
use nix::sys::prctl::{set_name, set_pdeathsig};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pause, pipe2};

use super::Pin;
use super::vmsplice::Pipes;
use crate::memory::Mapping;

/// A child that has the pages in pipes of its own.
pub struct Child {
    pid: Pid,
}

impl Child {
    /// Forks a child that shares the memory, and waits until it has the pages.
    pub fn pin(memory: &Mapping) -> Result<Self> {
        let (ready, say) = pipe2(OFlag::O_CLOEXEC).context("pipe")?;
        // SAFETY: there is only this one thread.
        match unsafe { fork() }.context("fork")? {
            ForkResult::Child => {
                drop(ready);
                let Err(error) = hold(memory, say.into());
                eprintln!("ppo-dying: {error:#}");
                // SAFETY: does nothing but end the process.
                unsafe { libc::_exit(1) }
            }
            ForkResult::Parent { child } => {
                drop(say);
                let child = Self { pid: child };
                File::from(ready)
                    .read_exact(&mut [0])
                    .context("the child could not pin the pages")?;
                Ok(child)
            }
        }
    }
}

/// What the child does until it is killed.
fn hold(memory: &Mapping, mut say: File) -> Result<Infallible> {
    set_pdeathsig(Signal::SIGKILL).context("PR_SET_PDEATHSIG")?;
    set_name(c"ppo-dying").context("PR_SET_NAME")?;
    let _pipes = Pipes::pin(memory)?;
    say.write_all(&[0]).context("cannot write to the parent")?;
    loop {
        pause();
    }
}

impl Pin for Child {
    fn release(self: Box<Self>) -> Result<()> {
        kill(self.pid, Signal::SIGKILL).context("kill")?;
        waitpid(self.pid, None).context("waitpid")?;
        Ok(())
    }
}
