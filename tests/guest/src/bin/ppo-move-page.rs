// SPDX-License-Identifier: GPL-2.0

//! Has the kernel move one page of a process to another NUMA node.

use anyhow::Result;
use clap::Parser;
use ppo_guest::numa::move_page;

/// Call move_pages(2), print the node the page is on; fail if it did not move
#[derive(Parser)]
struct Arguments {
    /// Whose page
    pid: libc::pid_t,
    /// Where it is mapped
    address: usize,
    /// The node it should be on
    to: u32,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    println!(
        "{}",
        move_page(arguments.pid, arguments.address, arguments.to)?
    );
    Ok(())
}
