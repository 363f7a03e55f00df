// SPDX-License-Identifier: GPL-2.0

//! What a put costs: gup_test's loop over the pages of a mapping, timed by the
//! kernel. Under QEMU's -icount a nanosecond of the guest is an instruction.

use std::fs::File;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use ppo_guest::memory::{Kind, PAGE_SIZE};

const GUP_TEST: &str = "/sys/kernel/debug/gup_test";

/// Print the time of a put in nanoseconds per page, the least of some runs.
#[derive(Parser)]
struct Arguments {
    /// Which kind of reference is taken and put
    reference: Reference,
    /// Memory to go through, in MiB; gup_test tells whole microseconds only
    #[arg(long, default_value_t = 128)]
    mib: usize,
    /// How often
    #[arg(long, default_value_t = 5)]
    runs: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Reference {
    /// FOLL_GET, given back by put_page()
    Get,
    /// FOLL_PIN, given back by unpin_user_page()
    Pin,
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
    let memory = Kind::Anon.map(pages)?;
    let file = File::options()
        .read(true)
        .write(true)
        .open(GUP_TEST)
        .with_context(|| format!("cannot open {GUP_TEST}"))?;

    let mut least = u64::MAX;
    for _ in 0..arguments.runs {
        let mut test = GupTest {
            addr: memory.address() as u64,
            size: memory.len() as u64,
            nr_pages_per_call: pages.try_into()?,
            ..GupTest::default()
        };
        // SAFETY: the argument is of the type these ioctls read and write, and the
        // memory it names stays mapped.
        unsafe {
            match arguments.reference {
                Reference::Get => gup_fast_benchmark(file.as_raw_fd(), &mut test),
                Reference::Pin => pin_fast_benchmark(file.as_raw_fd(), &mut test),
            }
        }
        .context("gup_test")?;
        least = least.min(test.put_delta_usec);
    }
    println!("{:.1}", least as f64 * 1000.0 / pages as f64);
    Ok(())
}
