// SPDX-License-Identifier: GPL-2.0

//! Gives the module input that it has to refuse, and some that it has to take, in all its files;
//! and judges what came of it, in one line:
//!
//! `fuzz: SUCCESS file.act=TIMES,ERRNO:TIMES ...`, or FAILURE, with the reasons above it.

use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Result;
use clap::Parser;
use ppo_guest::fuzz;

/// Write what comes to mind to all files of the module
#[derive(Parser)]
struct Args {
    /// How many times
    #[arg(long, default_value_t = 2000)]
    rounds: u64,
    /// To have the same input as in a run before
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("fuzz: FAILURE {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// True for success.
fn run(args: &Args) -> Result<bool> {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let seed = args.seed.unwrap_or(since_epoch.as_nanos() as u64);
    println!("fuzz: {} rounds, seed {seed}", args.rounds);
    Ok(fuzz::run(args.rounds, seed)?.tell("fuzz", ""))
}
