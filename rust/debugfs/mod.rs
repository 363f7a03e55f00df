// SPDX-License-Identifier: GPL-2.0

//! The files in `/sys/kernel/debug/page_pin_owner/`, one source file each.

mod marked;
mod stacks;
mod stats;

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
    dir.add::<stacks::Stacks>();
    dir.add::<stats::Stats>();
    Ok(dir)
}
