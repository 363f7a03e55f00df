// SPDX-License-Identifier: GPL-2.0

//! What it costs to read a file of the kernel's, or to write to it. Under QEMU's -icount
//! a nanosecond of processor time is an instruction.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use nix::time::{ClockId, clock_gettime};

/// Print the microseconds that it takes, and how many of them on a processor
#[derive(Parser)]
struct Arguments {
    /// Which file
    file: PathBuf,
    /// Write that to it; else it is read to its end
    #[arg(long, value_name = "TEXT")]
    write: Option<String>,
}

/// What this process has had of a processor.
fn used() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .context("clock_gettime")?
        .into())
}

fn main() -> Result<()> {
    let Arguments { file, write } = Arguments::parse();
    let name = || file.display().to_string();

    let mut open = File::options()
        .read(write.is_none())
        .write(write.is_some())
        .open(&file)
        .with_context(name)?;
    let (began, before) = (Instant::now(), used()?);
    match write {
        Some(text) => open.write_all(text.as_bytes()).with_context(name)?,
        None => {
            io::copy(&mut open, &mut io::sink()).with_context(name)?;
        }
    }
    let (took, used) = (began.elapsed(), used()? - before);
    println!("{} {}", took.as_micros(), used.as_micros());
    Ok(())
}
