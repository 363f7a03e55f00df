// SPDX-License-Identifier: GPL-2.0

//! Has the kernel move the pages of a process to another NUMA node.

use anyhow::Result;
use clap::Parser;
use ppo_guest::numa::migrate_pages;

/// Call migrate_pages(2), print how many pages did not move
#[derive(Parser)]
struct Arguments {
    /// Whose pages
    pid: libc::pid_t,
    /// The node they are on
    from: u32,
    /// The node they should be on
    to: u32,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    println!(
        "{}",
        migrate_pages(arguments.pid, arguments.from, arguments.to)?
    );
    Ok(())
}
