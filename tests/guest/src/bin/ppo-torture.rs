// SPDX-License-Identifier: GPL-2.0

//! Does everything at once that a kernel can do with pages, and everything that can be done
//! with the module, for as long as asked for; and judges itself, in one line:
//!
//! `torture: SUCCESS load.act=TIMES,ERRNO:TIMES ...`, or FAILURE, with the reasons above it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use clap::{Parser, Subcommand};
use ppo_guest::{files, torture};

/// Torture the module for some time
#[derive(Parser)]
struct Args {
    /// For how long, in seconds
    #[arg(long, default_value_t = 25)]
    seconds: u64,
    /// To have the loads draw the same numbers as in a run before
    #[arg(long)]
    seed: Option<u64>,
    /// Only these loads
    loads: Vec<String>,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What the program runs of itself
#[derive(Subcommand)]
enum Part {
    /// Children that share memory
    #[command(hide = true)]
    Storm,
    /// Write to a file; the status is the error
    #[command(hide = true)]
    Write { path: PathBuf, text: String },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match &args.part {
        Some(Part::Storm) => torture::storm().map(|()| true),
        Some(Part::Write { path, text }) => match files::write(path, text) {
            Ok(()) => Ok(true),
            Err(error) => return ExitCode::from(error.raw_os_error().unwrap_or(255) as u8),
        },
        None => run(&args),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ppo-torture: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// True for success.
fn run(args: &Args) -> Result<bool> {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let seed = args.seed.unwrap_or(since_epoch.as_nanos() as u64);
    println!("torture: {} seconds, seed {seed}", args.seconds);
    let before = torture::begin()?;
    let mut outcome = torture::run(Duration::from_secs(args.seconds), seed, &args.loads);
    let (complaints, memory) = torture::end(&before);
    outcome.complaints.extend(complaints);
    Ok(outcome.tell("torture", &memory))
}
