// SPDX-License-Identifier: GPL-2.0

//! `mark`: marks folios by hand, and forgets them. One command to a write.

use crate::hooks::manual;
use crate::store::command::{Command, Malformed};
use crate::sys::debugfs::Commands;
use crate::sys::folio::end_pfn;
use core::ffi::CStr;
use kernel::error::{
    code::{EBUSY, EINVAL, EIO, ERANGE},
    Error, Result,
};
use kernel::prelude::*;

/// The file.
pub(super) struct Mark;

impl Commands for Mark {
    const NAME: &'static CStr = c"mark";

    fn run(text: &[u8]) -> Result {
        match Command::parse(text) {
            Ok(Command::Add { pfn, count }) => {
                manual::mark(pfn, count).inspect_err(|e| explain(e, "in use"))
            }
            Ok(Command::Remove { pfn, count }) => {
                manual::forget(pfn, count).inspect_err(|e| explain(e, "marked"))
            }
            Ok(Command::Clear) => manual::clear().inspect_err(|e| explain(e, "")),
            Err(Malformed::Range) => Err(ERANGE).inspect_err(|e| explain(e, "")),
            Err(Malformed::Form) => {
                pr_err!(
                    "mark: accepted is 'PFN [COUNT]', '-PFN [COUNT]' or 'clear', one to a write\n"
                );
                Err(EINVAL)
            }
        }
    }
}

/// Says in the log what the writer's errno means; EINVAL: no page there is `wanted`.
fn explain(e: &Error, wanted: &str) {
    match *e {
        e if e == ERANGE => pr_err!(
            "mark: accepted are at least 1 page and pfns below 0x{:x}\n",
            end_pfn()
        ),
        e if e == EBUSY => pr_err!("mark: marks live while an event is enabled, and none is\n"),
        e if e == EIO => pr_err!("mark: switched off after a bug of this module\n"),
        e if e == EINVAL => pr_err!("mark: no page there is {wanted}\n"),
        e => pr_err!("mark: error {}\n", e.to_errno()),
    }
}
