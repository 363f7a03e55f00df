// SPDX-License-Identifier: GPL-2.0

//! Has the kernel move the pages of a process to another NUMA node.

use std::io::Error;

use anyhow::{Result, ensure};
use clap::Parser;

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
    ensure!(
        arguments.from < u64::BITS && arguments.to < u64::BITS,
        "nodes are numbers below 64"
    );
    let (from, to) = (1u64 << arguments.from, 1u64 << arguments.to);
    // SAFETY: the masks are of 64 bits, and the kernel only reads them.
    let failed = unsafe {
        libc::syscall(
            libc::SYS_migrate_pages,
            arguments.pid,
            // One more than there are: the kernel takes one off.
            libc::c_ulong::from(u64::BITS + 1),
            &raw const from,
            &raw const to,
        )
    };
    ensure!(failed >= 0, "migrate_pages: {}", Error::last_os_error());
    println!("{failed}");
    Ok(())
}
