// SPDX-License-Identifier: GPL-2.0

//! `stats`: every counter, what was lost, memory in use and the caps. One paragraph.

use crate::hooks::stats::{Loss, ENDED, MARKED, PUTS, REPEATED};
use crate::hooks::{is_attached, missed, reading, DEPOT, MARKS};
use crate::sys::debugfs::{out, Out, Table};
use crate::sys::params;
use core::ffi::CStr;

/// The file.
pub(super) struct Stats;

impl Table for Stats {
    const NAME: &'static CStr = c"stats";

    fn find(at: u64) -> Option<u64> {
        (at == 0).then_some(0)
    }

    fn show(_at: u64, out: &mut Out) {
        let (live, mark_bytes, depot) =
            reading(|| (MARKS.records().live(), MARKS.bytes(), DEPOT.figures()));
        out!(out, "attached={}\n", u8::from(is_attached()));
        out!(out, "marks={live}\nmax_marks={}\n", params::max_marks());
        out!(
            out,
            "marked={}\nrepeated={}\n",
            MARKED.get(),
            REPEATED.get()
        );
        out!(out, "puts={}\nended={}\n", PUTS.get(), ENDED.get());
        out!(out, "stacks={}\n", depot.stacks);
        for (loss, name) in Loss::ALL {
            out!(out, "{name}={}\n", loss.get());
        }
        out!(out, "lost_stacks={}\nlost_calls={}\n", depot.lost, missed());
        out!(out, "mark_bytes={mark_bytes}\n");
        out!(
            out,
            "depot_bytes={}\ndepot_wasted_bytes={}\ndepot_cap_bytes={}\n",
            depot.bytes,
            u64::from(depot.wasted) * 8,
            depot.cap,
        );
    }
}
