// SPDX-License-Identifier: GPL-2.0

//! What it costs to let go of a page, and to have it marked, in nanoseconds per page.
//! Under QEMU's -icount a nanosecond of the guest is an instruction.

use std::fs;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use ppo_guest::memory::{Kind, Mapping, PAGE_SIZE};
use ppo_guest::numa::{Whose, move_pages};
use ppo_guest::pins::{Mechanism, gup_test};
use ppo_guest::subject::DEBUGFS;

/// Print the time that something takes, in nanoseconds per page, the least of some runs
#[derive(Parser)]
struct Arguments {
    /// What is done, one line of output for each
    #[arg(required = true)]
    what: Vec<What>,
    /// Memory to do it with, in MiB; gup_test tells whole microseconds only
    #[arg(long, default_value_t = 128)]
    mib: usize,
    /// How often
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// The average of the runs: where processors have to share the host's, the least would be what
    /// one took that had it alone
    #[arg(long)]
    mean: bool,
    /// Have the module mark the pages first
    #[arg(long)]
    marked: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// put_page() of a reference by FOLL_GET, in gup_test's loop
    Get,
    /// unpin_user_page() of one by FOLL_PIN, there too
    Pin,
    /// The taking of what `get` puts
    Take,
    /// fork() of a process with that memory, and the exit of the child
    Fork,
    /// The first access to a page
    Touch,
    /// munmap()
    Unmap,
    /// A write to the module's file `mark`
    Mark,
    /// A migration to node 1 that fails, of all pages in one call of move_pages()
    Fail,
    /// As fail, once more
    FailAgain,
    /// As fail, with a call for each page
    FailEach,
}

/// `struct gup_test` of mm/gup_test.h.
#[derive(Default)]
#[repr(C)]
struct GupTest {
    get_delta_usec: u64,
    put_delta_usec: u64,
    addr: u64,
    size: u64,
    nr_pages_per_call: u32,
    gup_flags: u32,
    test_flags: u32,
    which_pages: [u32; 8],
}

nix::ioctl_readwrite!(
    /// Takes references and puts them.
    gup_fast_benchmark, b'g', 1, GupTest);
nix::ioctl_readwrite!(
    /// Pins and unpins.
    pin_fast_benchmark, b'g', 2, GupTest);

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let pages = (arguments.mib << 20) / PAGE_SIZE;
    ensure!(pages > 0 && arguments.runs > 0, "nothing to measure");

    for &what in &arguments.what {
        let runs = (0..arguments.runs).map(|_| what.nanoseconds(pages, arguments.marked));
        let times: Vec<u64> = runs.collect::<Result<_>>()?;
        let time = match arguments.mean {
            true => times.iter().sum::<u64>() as f64 / times.len() as f64,
            false => times.into_iter().min().context("no run")? as f64,
        };
        println!("{:.1}", time / pages as f64);
    }
    Ok(())
}

impl What {
    /// How long it takes with so many pages.
    fn nanoseconds(self, pages: usize, marked: bool) -> Result<u64> {
        let began = Instant::now();
        let memory = Kind::Anon.map(pages)?;
        let touched = began.elapsed();
        if marked {
            mark(&memory)?;
        }
        let took = match self {
            Self::Get | Self::Pin | Self::Take => return self.gup_test(&memory),
            Self::Touch => touched,
            Self::Fork => {
                let began = Instant::now();
                // SAFETY: there is only this one thread.
                match unsafe { fork() }.context("fork")? {
                    // SAFETY: does nothing but end the process.
                    ForkResult::Child => unsafe { libc::_exit(0) },
                    ForkResult::Parent { child } => {
                        let status = waitpid(child, None).context("waitpid")?;
                        ensure!(status == WaitStatus::Exited(child, 0), "{status:?}");
                    }
                }
                began.elapsed()
            }
            Self::Unmap => {
                let began = Instant::now();
                drop(memory);
                began.elapsed()
            }
            Self::Mark => mark(&memory)?,
            Self::Fail | Self::FailAgain | Self::FailEach => self.fail(&memory)?,
        };
        Ok(took.as_nanos().try_into()?)
    }

    /// How long it takes to have pages fail to move which somebody holds.
    fn fail(self, memory: &Mapping) -> Result<Duration> {
        const NODE: i32 = 1;

        let pin = Mechanism::Vmsplice.pin(memory)?;
        let pages: Vec<_> = (memory.address()..)
            .step_by(PAGE_SIZE)
            .take(memory.len() / PAGE_SIZE)
            .collect();
        let move_all = || -> Result<()> {
            let (nodes, mut status) = (vec![NODE; pages.len()], vec![0; pages.len()]);
            let left = move_pages(0, &pages, &nodes, &mut status, Whose::Own)?;
            ensure!(left.try_into() == Ok(pages.len()), "{left} did not move");
            Ok(())
        };
        if matches!(self, Self::FailAgain) {
            move_all()?;
        }
        let began = Instant::now();
        if matches!(self, Self::FailEach) {
            for &page in &pages {
                let left = move_pages(0, &[page], &[NODE], &mut [0], Whose::Own)?;
                ensure!(left == 1, "a page did move");
            }
        } else {
            move_all()?;
        }
        let took = began.elapsed();
        pin.release()?;
        Ok(took)
    }

    /// How long gup_test says it took to take references, or to put them.
    fn gup_test(self, memory: &Mapping) -> Result<u64> {
        let file = gup_test()?;
        let mut test = GupTest {
            addr: memory.address() as u64,
            size: memory.len() as u64,
            nr_pages_per_call: (memory.len() / PAGE_SIZE).try_into()?,
            ..GupTest::default()
        };
        // SAFETY: the argument is of the type these ioctls read and write, and the
        // memory it names stays mapped.
        unsafe {
            match self {
                Self::Pin => pin_fast_benchmark(file.as_raw_fd(), &mut test),
                _ => gup_fast_benchmark(file.as_raw_fd(), &mut test),
            }
        }
        .context("gup_test")?;
        Ok(1000
            * match self {
                Self::Take => test.get_delta_usec,
                _ => test.put_delta_usec,
            })
    }
}

/// Has the module mark the pages; how long that takes.
fn mark(memory: &Mapping) -> Result<Duration> {
    let file = format!("{DEBUGFS}/mark");
    let pfns = memory.pfns()?;
    let began = Instant::now();
    for pfn in pfns {
        fs::write(&file, pfn.to_string()).with_context(|| file.clone())?;
    }
    Ok(began.elapsed())
}
