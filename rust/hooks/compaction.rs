// SPDX-License-Identifier: GPL-2.0

//! mm_compaction_isolate_migratepages: what compaction passed over, as somebody holds it.
//!
//! It does not even isolate an anonymous folio that has more references than mappings, so that
//! migrate_pages() never sees it: its memory just stays where it is.

use super::{record, Attempt};
use crate::store::reason::Stage;
use crate::sys::context::Text;
use crate::sys::folio::{held_in, is_isolated, Scan};
use crate::sys::params;
use crate::sys::tracepoint::{iterator, Probe};
use core::ffi::CStr;
use core::iter::once;
use kernel::error::Result;
use kernel::ffi::{c_ulong, c_void};

const NAME: &CStr = c"mm_compaction_isolate_migratepages";

/// The function between the tracepoint and us, which no reader wants to see.
static FRAMES: [Text; 1] = [Text::new()];

/// Attaches, if this kernel has compaction. May sleep.
pub(super) fn attach() -> Result<Option<Probe>> {
    if !cfg!(CONFIG_COMPACTION) {
        return Ok(None);
    }
    FRAMES[0].find(iterator(NAME).unwrap_or(0));
    // SAFETY: TP_PROTO(unsigned long start_pfn, unsigned long end_pfn, unsigned long nr_scanned,
    // unsigned long nr_taken).
    unsafe { Probe::attach(NAME, isolated as *mut c_void) }.map(Some)
}

/// A part of a pageblock was gone through.
///
/// # Safety
///
/// For the tracepoint alone. Context: a task, which holds no lock.
unsafe extern "C" fn isolated(
    _data: *mut c_void,
    start: c_ulong,
    end: c_ulong,
    scanned: c_ulong,
    taken: c_ulong,
) {
    // alloc_contig_range() comes this way too, with pageblocks that it has isolated before.
    if taken >= scanned || is_isolated(start as u64) {
        return;
    }
    let Some(reason) = params::wanted("compaction") else {
        return;
    };
    let Some(mut context) = record() else {
        return;
    };
    let mut held = held_in(start as u64, end as u64, Scan::Compaction);
    let Some(first) = held.next() else {
        return;
    };
    // No function returned an error: it just goes on.
    let attempt = Attempt::here(&mut context, reason, Stage::Isolate, 0, &FRAMES);
    for folio in once(first).chain(held) {
        attempt.mark_unheld(folio);
    }
}
