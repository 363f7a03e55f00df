// SPDX-License-Identifier: GPL-2.0

//! Holds references to pages for as long as a script wants.
//!
//! The script talks to it line by line: it prints `pinned pfn=...` once the
//! references are held, and does what the lines of its input say:
//!
//! - `release`: gives the references back and prints `released`
//! - `write FILE TEXT`: writes a word to a file, and prints `ok`, or `failed: ` and why
//! - anything else of [`acts`](ppo_guest::acts): does that, and prints the same
//! - the end: unmaps the memory and ends

use std::fmt::Write;
use std::io::{self, BufRead};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use clap::builder::RangedU64ValueParser;
use nix::errno::Errno;
use ppo_guest::acts::act;
use ppo_guest::files::set;
use ppo_guest::memory::{Kind, Mapping};
use ppo_guest::numa::allocate_on;
use ppo_guest::pins::Mechanism;

/// Pin pages, in CMA if the kernel has a CMA area, until told to release them
#[derive(Parser)]
struct Args {
    /// What the pages are
    #[arg(long, value_enum)]
    memory: Kind,
    /// What holds them
    #[arg(long = "by", value_enum)]
    mechanism: Mechanism,
    /// How many
    #[arg(long, default_value_t = 1, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1 << 20))]
    pages: usize,
    /// Pin only those from this one on; the rest of the memory is just there
    #[arg(long, default_value_t = 0)]
    first: usize,
    /// Pin only so many
    #[arg(long)]
    count: Option<usize>,
    /// On which NUMA node they are when they are pinned
    #[arg(long)]
    node: Option<u32>,
    /// Wherever they are: they need not be in CMA areas
    #[arg(long)]
    anywhere: bool,
    /// Do not say which
    #[arg(long)]
    quiet: bool,
    /// Be more urgent than the kernel's own tasks (SCHED_FIFO)
    #[arg(long)]
    urgent: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ppo-pin: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    if args.urgent {
        let param = libc::sched_param { sched_priority: 50 };
        // SAFETY: `param` is read during the call alone.
        let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &param) };
        Errno::result(result).context("sched_setscheduler")?;
    }
    if args.node.is_some() {
        allocate_on(args.node)?;
    }
    let mut memory = match args.anywhere {
        true => args.memory.map(args.pages),
        false => args.memory.map_in_cma(args.pages),
    }?;
    if args.node.is_some() {
        // A page may leave its node then, and pinning takes memory from anywhere.
        allocate_on(None)?;
    }
    let end = args.count.map_or(args.pages, |count| args.first + count);
    memory.narrow(args.first..end)?;
    let pin = args.mechanism.pin(&memory)?;
    let mut line = "pinned".to_owned();
    if !args.quiet {
        // Asked for now: taking the references may have moved the pages.
        for pfn in pin.memory().unwrap_or(&memory).pfns()? {
            write!(line, " pfn={pfn:#x}")?;
        }
    }
    println!("{line}");

    // Standard output is line buffered, so what was printed is already out.
    let mut pin = Some(pin);
    for line in io::stdin().lock().lines() {
        match line.context("cannot read standard input")?.trim() {
            "release" => {
                pin.take().context("released before")?.release()?;
                println!("released");
            }
            line => match write_or_act(line, &memory) {
                Ok(()) => println!("ok"),
                Err(error) => println!("failed: {error:#}"),
            },
        }
    }
    Ok(())
}

fn write_or_act(line: &str, memory: &Mapping) -> Result<()> {
    match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["write", file, text] => set(file, text),
        _ => act(line, memory),
    }
}
