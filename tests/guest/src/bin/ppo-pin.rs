// SPDX-License-Identifier: GPL-2.0

//! Holds references to pages for as long as a script wants.
//!
//! The script talks to it line by line: it prints `pinned pfn=...` once the
//! references are held, waits for a line (or the end) of its input, gives them
//! back, prints `released`, waits again, unmaps the memory and ends.

use std::fmt::Write;
use std::io;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use clap::builder::RangedU64ValueParser;
use ppo_guest::memory::Kind;
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
    /// Do not say which
    #[arg(long)]
    quiet: bool,
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
    let memory = args.memory.map_in_cma(args.pages)?;
    let pin = args.mechanism.pin(&memory)?;
    let mut line = "pinned".to_owned();
    if !args.quiet {
        // Asked for now: taking the references may have moved the pages.
        for pfn in memory.pfns()? {
            write!(line, " pfn={pfn:#x}")?;
        }
    }
    println!("{line}");

    wait_for_line()?;
    pin.release()?;
    println!("released");

    wait_for_line()
}

/// Standard output is line buffered, so what was printed is already out.
fn wait_for_line() -> Result<()> {
    io::stdin()
        .read_line(&mut String::new())
        .context("cannot read standard input")?;
    Ok(())
}
