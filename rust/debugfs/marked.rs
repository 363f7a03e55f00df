// SPDX-License-Identifier: GPL-2.0

//! `marked`: each folio that is marked now. Position: the record's index.

use crate::hooks::{reading, MARKS};
use crate::store::record::Task;
use crate::sys::debugfs::{out, Out, Table};
use crate::sys::{now, params};
use core::ffi::CStr;
use core::fmt;

/// The file.
pub(super) struct Marked;

impl Table for Marked {
    const NAME: &'static CStr = c"marked";

    fn find(at: u64) -> Option<u64> {
        let index = u32::try_from(at).ok()?;
        reading(|| MARKS.records().next(index).map(|user| user.index().into()))
    }

    fn show(at: u64, out: &mut Out) {
        let index = u32::try_from(at).unwrap_or(u32::MAX);
        let Some(r) = reading(|| MARKS.records().get(index).map(|user| user.snapshot())) else {
            return;
        };
        let f = &r.failure;
        out!(
            out,
            "pfn=0x{:x} order={} reason={} stage={} err={} attempts={} count={} expected={} \
             puts={} refs={} age_us={} pid={} comm={} stack={} put_pid={} put_comm={} put_stack={}\n\n",
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
            now().saturating_sub(r.first) / 1000,
            f.task.pid,
            Comm(&f.task),
            f.stack,
            r.put_task.pid,
            Comm(&r.put_task),
            r.put_stack,
        );
    }
}

/// A task's name on one line, whatever it calls itself; `-` if it has none.
struct Comm<'a>(&'a Task);

impl fmt::Display for Comm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.comm.iter().flat_map(|word| word.to_ne_bytes());
        let mut empty = true;
        for byte in bytes.take_while(|&byte| byte != 0) {
            empty = false;
            let plain = byte.is_ascii_graphic();
            fmt::Write::write_char(f, if plain { char::from(byte) } else { '_' })?;
        }
        if empty {
            f.write_str("-")?;
        }
        Ok(())
    }
}
