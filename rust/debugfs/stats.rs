// SPDX-License-Identifier: GPL-2.0

//! `stats`: every counter, what was lost, memory in use and the caps. One paragraph.

use crate::hooks::stats::{ended, Loss, MARKED, PUTS, REPEATED, REPORTS};
use crate::hooks::{is_attached, missed, reading, DEPOT, MARKS};
use crate::store::invariant::{broken, Invariant};
use crate::store::reason::Cause;
use crate::sys::debugfs::{out, Out, Table};
use crate::sys::{memory, params};
use core::ffi::CStr;
use kernel::error::Result;

/// The file.
pub(super) struct Stats;

impl Table for Stats {
    const NAME: &'static CStr = c"stats";

    type Open = ();

    fn open() -> Result {
        Ok(())
    }

    fn find((): &(), at: u64) -> Option<u64> {
        (at == 0).then_some(0)
    }

    fn show((): &(), _at: u64, out: &mut Out) {
        let (live, mark_bytes, reserve_bytes, depot) = reading(|| {
            (
                MARKS.records().live(),
                MARKS.bytes(),
                memory::Marks::bytes(),
                DEPOT.figures(),
            )
        });
        out!(out, "attached={}\n", u8::from(is_attached()));
        out!(out, "broken={}\n", broken().map_or("none", Invariant::name));
        out!(out, "marks={live}\nmax_marks={}\n", params::max_marks());
        out!(
            out,
            "marked={}\nrepeated={}\nreports={}\n",
            MARKED.get(),
            REPEATED.get(),
            REPORTS.get()
        );
        for cause in Cause::ALL {
            out!(out, "{}={}\n", cause.name(), ended(cause).get());
        }
        out!(out, "puts={}\n", PUTS.get());
        out!(out, "stacks={}\n", depot.stacks);
        for (loss, name) in Loss::ALL {
            out!(out, "{name}={}\n", loss.get());
        }
        out!(out, "lost_stacks={}\nlost_calls={}\n", depot.lost, missed());
        out!(
            out,
            "mark_bytes={mark_bytes}\nreserve_bytes={reserve_bytes}\n"
        );
        out!(
            out,
            "depot_bytes={}\ndepot_wasted_bytes={}\ndepot_cap_bytes={}\n",
            depot.bytes,
            u64::from(depot.wasted) * 8,
            depot.cap,
        );
    }
}
