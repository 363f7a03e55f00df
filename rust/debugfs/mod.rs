// SPDX-License-Identifier: GPL-2.0

//! The files in `/sys/kernel/debug/page_pin_owner/`, one source file each.

mod holders;
mod ledger;
mod mark;
mod marked;
mod stacks;
mod stats;
mod text;
mod watch;

use crate::sys::debugfs::Dir;
use kernel::error::Result;

/// Makes the directory and its files. May sleep.
///
/// # Errors
///
/// What debugfs says.
pub(crate) fn create() -> Result<Dir> {
    let dir = Dir::new(c"page_pin_owner")?;
    dir.add::<marked::Marked>();
    dir.add::<holders::Holders>();
    dir.add::<stacks::Stacks>();
    dir.add::<stats::Stats>();
    dir.add::<ledger::References>();
    dir.add_commands::<mark::Mark>();
    dir.add_both::<watch::Watch>();
    Ok(dir)
}
