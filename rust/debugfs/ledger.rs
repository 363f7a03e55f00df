// SPDX-License-Identifier: GPL-2.0

//! `ledger`: the references to watched pages that were not given back, a paragraph for each with
//! the stack that took it. Position: the page's number; what it has is told of one moment.

use super::text::{frames, Comm, Handle, Whole};
use crate::hooks::{reading, watch, DEPOT, LEDGER, MARKS};
use crate::store::depot::Handle as Stack;
use crate::store::ledger::{Change, Entry, Snapshot};
use crate::store::record::Task;
use crate::sys::context::{task_of, Context};
use crate::sys::debugfs::{out, Out, Table};
use crate::sys::folio::{Page, State};
use crate::sys::{now, now_ms, params, pause, symbol::Symbol};
use core::ffi::CStr;
use core::fmt;
use kernel::error::Result;

/// The file.
pub(super) struct References;

/// What is known of a watched page that somebody holds, and how it looks.
fn look(pfn: u64) -> Option<(State, Snapshot)> {
    let page = Page::at(pfn)?;
    let state = page.read();
    if state.is_unpinned() || page.is_kernels() {
        return None;
    }
    let context = Context::enter()?;
    let now = Change {
        refs: 0,
        count: state.count,
        expected: state.expected,
        mapcount: state.mapcount,
        stack: Stack::LOST,
        pid: 0,
        now: now_ms(),
    };
    let snapshot = LEDGER.look(pfn, &now, &DEPOT, &context)?;
    Some((state, snapshot))
}

/// By how many references the entries differed from what the page has, if they did.
struct Off(i32);

impl fmt::Display for Off {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            off => write!(f, " off={off}"),
        }
    }
}

fn stack_frames(stack: Stack) -> impl Iterator<Item = u64> {
    DEPOT.get(stack).into_iter().flat_map(|s| s.frames())
}

/// How sure it is that a reference was not given back.
struct Sure<'a>(&'a Entry, &'a Snapshot);

impl fmt::Display for Sure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sure(entry, snapshot) = self;
        f.write_str(if entry.is_unseen {
            "unseen"
        } else if entry.is_gone {
            "one_of"
        } else if entry.one_of || snapshot.missed || snapshot.overflowed {
            "likely"
        } else {
            "certain"
        })
    }
}

/// Milliseconds that a reference was held for.
fn age(entry: &Entry) -> u32 {
    now_ms().wrapping_sub(entry.time)
}

/// The first watched page from `at` on that somebody holds. May sleep.
fn next_held(at: u64) -> Option<u64> {
    let mut at = at;
    loop {
        let range = watch::next(at)?;
        at = at.max(range.start);
        // Not all in one go, which would keep others waiting.
        let end = range.end.min(at + 4096);
        let has_some = |snapshot: &Snapshot| snapshot.entries.iter().any(Option::is_some);
        let is_held = |pfn| look(pfn).is_some_and(|(_, snapshot)| has_some(&snapshot));
        let found = reading(|| (at..end).find(|&pfn| is_held(pfn)));
        if found.is_some() {
            return found;
        }
        at = end;
        // A signal does not cut the table short.
        pause();
    }
}

/// Gives the stack of each reference that is held for long to `tell`. May sleep.
pub(super) fn long_holders(mut tell: impl FnMut(Stack)) {
    let mut at = 0;
    while let Some(pfn) = next_held(at) {
        if let Some((_, snapshot)) = reading(|| look(pfn)) {
            let entries = snapshot.entries.iter().flatten();
            entries.filter(|e| is_long(e)).for_each(|e| tell(e.stack));
        }
        at = pfn + 1;
    }
}

/// Is it held for longer than usual?
fn is_long(entry: &Entry) -> bool {
    !entry.is_unseen && !entry.is_gone && age(entry) >= params::longterm_ms()
}

impl Table for References {
    const NAME: &'static CStr = c"ledger";

    type Open = Symbol;

    fn open() -> Result<Symbol> {
        Symbol::new()
    }

    fn find(_: &Symbol, at: u64) -> Option<u64> {
        next_held(at)
    }

    fn show(name: &mut Symbol, pfn: u64, out: &mut Out) {
        let Some((state, snapshot)) = reading(|| look(pfn)) else {
            return;
        };
        for entry in snapshot.entries.iter().flatten() {
            paragraph(out, pfn, &state, &snapshot, entry, name);
            reading(|| frames(out, stack_frames(entry.stack)));
        }
    }
}

/// The first line of one.
#[inline(never)]
fn paragraph(
    out: &mut Out,
    pfn: u64,
    state: &State,
    snapshot: &Snapshot,
    entry: &Entry,
    name: &mut Symbol,
) {
    let reason = reading(|| MARKS.lookup(pfn).map(|marked| marked.reason()));
    let class = reading(|| name.class(stack_frames(entry.stack)));
    let then = now().saturating_sub(u64::from(age(entry)) * 1_000_000);
    let nobody = Task {
        comm: [0; 2],
        pid: entry.pid,
    };
    out!(
        out,
        "pfn=0x{:x} order={} count={} expected={} reason={} refs={} pin={} sure={} age_ms={} \
         long={} pid={} comm={} owner={} class={} stack={}{}{}{}{}\n",
        pfn,
        state.order,
        state.count,
        state.expected,
        reason.map_or("none", params::reason_name),
        entry.refs,
        u8::from(entry.is_pin),
        Sure(entry, snapshot),
        if entry.is_unseen { 0 } else { age(entry) },
        u8::from(is_long(entry)),
        entry.pid,
        Comm(&task_of(entry.pid, then).unwrap_or(nobody)),
        Handle(snapshot.owner.0),
        class.name(),
        Handle(entry.stack.0),
        if snapshot.missed { " missed=1" } else { "" },
        if snapshot.overflowed { " full=1" } else { "" },
        Off(snapshot.off),
        Whole(snapshot.whole),
    );
}
