// SPDX-License-Identifier: GPL-2.0

//! `watch`: pages of which every reference is entered in `ledger`. Takes one command to a write;
//! reads as the ranges that are watched. Position: the first page of one.

use crate::hooks::watch;
use crate::store::command::{Command, Malformed};
use crate::sys::debugfs::{out, Commands, Out, Table};
use crate::sys::folio::end_pfn;
use core::ffi::CStr;
use kernel::error::{
    code::{EINTR, EINVAL, EIO, ERANGE},
    Error, Result,
};
use kernel::prelude::*;

/// The file.
pub(super) struct Watch;

impl Table for Watch {
    const NAME: &'static CStr = c"watch";

    type Open = ();

    fn open() -> Result {
        Ok(())
    }

    fn find((): &(), at: u64) -> Option<u64> {
        let range = watch::next(at)?;
        if range.start >= at {
            Some(range.start)
        } else {
            // Of this one the beginning was shown.
            watch::next(range.end).map(|range| range.start)
        }
    }

    fn show((): &mut (), at: u64, out: &mut Out) {
        if let Some(range) = watch::next(at) {
            out!(
                out,
                "pfn=0x{:x} pages={}\n\n",
                range.start,
                range.end - range.start
            );
        }
    }
}

impl Commands for Watch {
    const NAME: &'static CStr = c"watch";

    fn run(text: &[u8]) -> Result {
        match Command::parse(text) {
            Ok(Command::Add { pfn, count }) => watch::watch(pfn, count).inspect_err(explain),
            Ok(Command::Remove { pfn, count }) => watch::unwatch(pfn, count).inspect_err(explain),
            Ok(Command::Clear) => {
                watch::clear();
                Ok(())
            }
            Err(Malformed::Range) => Err(ERANGE).inspect_err(explain),
            Err(Malformed::Form) => {
                pr_err!(
                    "watch: accepted is 'PFN [COUNT]', '-PFN [COUNT]' or 'clear', one to a write\n"
                );
                Err(EINVAL)
            }
        }
    }
}

/// Says in the log what the writer's errno means, if that was not said before.
fn explain(e: &Error) {
    match *e {
        e if e == ERANGE => pr_err!(
            "watch: accepted are at least 1 page and pfns below 0x{:x}\n",
            end_pfn()
        ),
        e if e == EIO => pr_err!("watch: switched off after a bug of this module\n"),
        e if e == EINVAL => pr_err!("watch: no page there is watched\n"),
        e if e == EINTR => pr_err!("watch: a signal came in between\n"),
        _ => (),
    }
}
