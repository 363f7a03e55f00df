// SPDX-License-Identifier: GPL-2.0

//! `stacks`: every stack of the depot. Position: its bucket.

use super::text::frames;
use crate::hooks::{reading, DEPOT};
use crate::sys::debugfs::{out, Out, Table};
use core::ffi::CStr;
use kernel::error::Result;

/// The file.
pub(super) struct Stacks;

impl Table for Stacks {
    const NAME: &'static CStr = c"stacks";

    type Open = ();

    fn open() -> Result {
        Ok(())
    }

    fn find((): &(), at: u64) -> Option<u64> {
        let first = usize::try_from(at).ok()?;
        reading(|| {
            (first..)
                .map_while(|i| Some((i, DEPOT.bucket(i)?.next().is_some())))
                .find(|&(_, holds_stacks)| holds_stacks)
                .map(|(i, _)| i as u64)
        })
    }

    fn show((): &mut (), at: u64, out: &mut Out) {
        reading(|| {
            for stack in DEPOT.bucket(at as usize).into_iter().flatten() {
                out!(out, "stack={} hits={}\n", stack.handle.0, stack.hits());
                frames(out, stack.frames());
            }
        });
    }
}
