// SPDX-License-Identifier: GPL-2.0

//! `stats`: every counter, what was lost, memory in use and the caps. One paragraph.

use crate::hooks::stats::{ended, Loss, KNOWN, MARKED, PUTS, REPEATED, REPORTS};
use crate::hooks::{reading_all, Hooked, DEPOT, LEDGER, MARKS};
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

    fn show((): &mut (), _at: u64, out: &mut Out) {
        reading_all(|hooked| show(&hooked, out));
    }
}

/// All of one moment, as far as the hooks are concerned: detached, nothing is marked.
fn show(hooked: &Hooked, out: &mut Out) {
    out!(
        out,
        "attached={}\narmed={}\n",
        u8::from(hooked.is_on),
        u8::from(hooked.is_armed)
    );
    out!(out, "broken={}\n", broken().map_or("none", Invariant::name));
    out!(
        out,
        "marks={}\nmax_marks={}\n",
        MARKS.records().live(),
        params::max_marks()
    );
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
    let depot = DEPOT.figures();
    out!(
        out,
        "puts={}\nknown_stacks={}\nstacks={}\n",
        PUTS.get(),
        KNOWN.get(),
        depot.stacks
    );
    for (loss, name) in Loss::ALL {
        out!(out, "{name}={}\n", loss.get());
    }
    out!(
        out,
        "lost_stacks={}\nlost_calls={}\n",
        depot.lost,
        hooked.missed
    );
    out!(
        out,
        "mark_bytes={}\nreserve_bytes={}\n",
        MARKS.bytes(),
        memory::Marks::bytes()
    );
    out!(
        out,
        "depot_bytes={}\ndepot_wasted_bytes={}\ndepot_cap_bytes={}\n",
        depot.bytes,
        u64::from(depot.wasted) * 8,
        depot.cap,
    );
    let ledger = LEDGER.figures();
    out!(
        out,
        "watched_pages={}\nledger_bytes={}\nledger_page_bytes={}\nledger_cap_bytes={}\n\
         untold_gets={}\nuntold_puts={}\nlost_changes={}\n",
        ledger.pages,
        ledger.bytes,
        ledger.bytes_a_page,
        ledger.cap,
        ledger.untold.gets,
        ledger.untold.puts,
        ledger.missed,
    );
}
