// SPDX-License-Identifier: GPL-2.0

//! `marked`: each folio that is marked now. Position: the record's index.

use super::text::{Comm, Handle, Whole};
use crate::hooks::{reading, MARKS};
use crate::sys::debugfs::{out, Out, Table};
use crate::sys::{now, params};
use core::ffi::CStr;
use kernel::error::Result;

/// The file.
pub(super) struct Marked;

impl Table for Marked {
    const NAME: &'static CStr = c"marked";

    type Open = ();

    fn open() -> Result {
        Ok(())
    }

    fn find((): &(), at: u64) -> Option<u64> {
        let index = u32::try_from(at).ok()?;
        reading(|| MARKS.records().next(index).map(|user| user.index().into()))
    }

    fn show((): &mut (), at: u64, out: &mut Out) {
        let index = u32::try_from(at).unwrap_or(u32::MAX);
        let Some(r) = reading(|| MARKS.records().get(index).map(|user| user.snapshot())) else {
            return;
        };
        let f = &r.failure;
        let since = |then: u64| now().saturating_sub(then) / 1000;
        out!(
            out,
            "pfn=0x{:x} order={} reason={} stage={} err={} attempts={} count={} expected={} \
             puts={} refs={} age_us={} last_us={} pid={} comm={} stack={}",
            f.pfn,
            f.order,
            params::reason_name(f.reason),
            f.stage.name(),
            f.err,
            r.attempts,
            f.count,
            f.expected,
            r.puts,
            r.dropped,
            since(r.first),
            since(f.now),
            f.task.pid,
            Comm(&f.task),
            Handle(f.stack),
        );
        if let Some(recovery) = f.recovery {
            out!(out, " result={}", recovery.name());
        }
        if r.puts != 0 {
            out!(
                out,
                " put_pid={} put_comm={} put_stack={}",
                r.put_task.pid,
                Comm(&r.put_task),
                Handle(r.put_stack),
            );
        }
        out!(out, "{}\n\n", Whole(r.whole));
    }
}
