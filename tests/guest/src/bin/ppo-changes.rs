// SPDX-License-Identifier: GPL-2.0

//! Prints what ppo_refs has recorded of some pages: all that ppo-history names in the file
//! TRUTH, and one of so many others. A line each, as rust/store reads it:
//!
//! - `stack HANDLE FUNCTION+OFFSET/SIZE...`: from the inside out
//! - `change TIME PFN OP V RET COUNT EXPECTED MAPCOUNT FLAGS PID CPU ORDER KIND CONTEXT STACK`
//!
//! with the lines of TRUTH before.

use std::collections::HashSet;
use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;

const DIR: &str = "/sys/kernel/debug/ppo_refs";
/// Bytes in a `struct change`.
const CHANGE: usize = 56;

/// Print the references that were recorded
#[derive(Parser)]
struct Args {
    /// What ppo-history has printed
    truth: PathBuf,
    /// Of the pages that it does not name, one of so many
    #[arg(long, default_value_t = 1000)]
    others: u32,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ppo-changes: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A number of `N` bytes of a change.
fn field<const N: usize>(change: &[u8], at: usize) -> [u8; N] {
    change[at..at + N].try_into().expect("within the change")
}

fn run(args: &Args) -> Result<()> {
    let truth = fs::read_to_string(&args.truth).context("cannot read the truth")?;
    let named: HashSet<u32> = truth
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("pfn=0x"))
        .map(|pfn| u32::from_str_radix(pfn, 16))
        .collect::<Result<_, _>>()?;
    let figure = |name: &str| -> Result<usize> {
        Ok(fs::read_to_string(format!("{DIR}/{name}"))?
            .trim()
            .parse()?)
    };
    let out = &mut BufWriter::new(io::stdout().lock());
    out.write_all(truth.as_bytes())?;
    let mut stacks = HashSet::new();
    let mut changes =
        fs::File::open(format!("{DIR}/changes"))?.take((figure("used")? * CHANGE) as u64);
    let mut buffer = vec![0; CHANGE << 14];
    loop {
        let mut len = 0;
        while len < buffer.len() {
            match changes.read(&mut buffer[len..])? {
                0 => break,
                n => len += n,
            }
        }
        ensure!(len % CHANGE == 0, "half a change");
        if len == 0 {
            break;
        }
        for change in buffer[..len].chunks_exact(CHANGE) {
            let u32_at = |at| u32::from_ne_bytes(field(change, at));
            let i32_at = |at| i32::from_ne_bytes(field(change, at));
            let (pfn, stack) = (u32_at(8), u32_at(12));
            if !named.contains(&pfn) && pfn.wrapping_mul(0x9e37_79b9) % args.others != 0 {
                continue;
            }
            stacks.insert(stack);
            writeln!(
                out,
                "change {} {pfn} {} {} {} {} {} {} {:x} {} {} {} {} {} {stack}",
                u64::from_ne_bytes(field(change, 0)),
                change[46],
                i32_at(16),
                i32_at(20),
                i32_at(24),
                i32_at(28),
                i32_at(32),
                u32_at(36),
                i32_at(40),
                u16::from_ne_bytes(field(change, 44)),
                change[47],
                change[48],
                change[49],
            )?;
        }
    }
    for line in fs::read_to_string(format!("{DIR}/stacks"))?.lines() {
        let handle = line.split(' ').next().unwrap_or_default();
        if stacks.contains(&handle.parse()?) {
            writeln!(out, "stack {line}")?;
        }
    }
    for name in ["lost_changes", "lost_stacks"] {
        writeln!(out, "{name} {}", figure(name)?)?;
    }
    Ok(out.flush()?)
}
