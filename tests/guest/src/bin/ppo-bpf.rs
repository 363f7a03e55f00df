// SPDX-License-Identifier: GPL-2.0

//! Has a BPF program look at every put, until standard input ends.

use std::io;

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::programs::RawTracePoint;
use clap::Parser;

/// The tracepoints that see every put.
const TRACEPOINTS: [&str; 3] = [
    "page_ref_mod",
    "page_ref_mod_and_test",
    "page_ref_mod_and_return",
];

/// Attach the program `put` of an object file to what sees every put.
#[derive(Parser)]
struct Arguments {
    /// The object file
    file: String,
}

fn main() -> Result<()> {
    let mut object = Ebpf::load_file(Arguments::parse().file)?;
    let program: &mut RawTracePoint = object.program_mut("put").context("no put")?.try_into()?;
    program.load()?;
    for name in TRACEPOINTS {
        program.attach(name).with_context(|| name.to_owned())?;
    }
    println!("attached");
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
