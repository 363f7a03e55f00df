// SPDX-License-Identifier: GPL-2.0

//! `holders`: who had the folios that failed. One paragraph for each stack that puts came from,
//! holders before the kernel's own noise, most folios first. Position: place in that order.
//!
//! A stack that took references to watched pages which are held for longer than `longterm_ms` now
//! says so with `long=`, also if nothing was ever put from there.
//!
//! The order is made when the file is opened; the figures are those of the moment they are shown.

use super::ledger;
use super::text::{frames, Comm, Whole};
use crate::hooks::{reading, stats::Loss, DEPOT};
use crate::store::class::Class;
use crate::store::depot::{Handle, Puts, Stack};
use crate::sys::array::{sort, Array};
use crate::sys::debugfs::{out, Out, Table};
use crate::sys::{params::Reasons, symbol::Symbol};
use core::cmp::Reverse;
use core::ffi::CStr;
use kernel::error::Result;

/// The file.
pub(super) struct Holders;

/// A stack, as it is sorted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    class: Class,
    /// Folios, and references that are held for long now.
    folios: Reverse<u32>,
    puts: Reverse<u64>,
    handle: Handle,
    long: u32,
}

/// Everything a paragraph is made of, none of it if there is nothing to tell.
fn told(stack: Stack<'static>, long: u32) -> Option<(Stack<'static>, Option<Puts>)> {
    let puts = stack.puts();
    (puts.is_some() || long > 0).then_some((stack, puts))
}

/// Handles of the stacks that hold references for long, in order, one for each reference.
fn long_holders() -> Result<Array<Handle>> {
    let mut handles = Array::of_all(|tell| ledger::long_holders(tell))?;
    sort(&mut handles);
    Ok(handles)
}

fn all_stacks() -> impl Iterator<Item = Stack<'static>> {
    (0..).map_while(|bucket| DEPOT.bucket(bucket)).flatten()
}

impl Table for Holders {
    const NAME: &'static CStr = c"holders";

    type Open = Array<Entry>;

    fn open() -> Result<Array<Entry>> {
        let mut name = Symbol::new()?;
        let long = long_holders()?;
        let long_of = |handle| {
            let first = long.partition_point(|&h| h < handle);
            let after = long.partition_point(|&h| h <= handle);
            (after - first) as u32
        };
        reading(|| {
            let mut entries = Array::of_all(|tell| {
                for stack in all_stacks() {
                    let long = long_of(stack.handle);
                    let Some((stack, puts)) = told(stack, long) else {
                        continue;
                    };
                    let (folios, puts) = puts.map_or((0, 0), |p| (p.folios, p.puts));
                    tell(Entry {
                        class: Class::Holder,
                        folios: Reverse(folios.saturating_add(long)),
                        puts: Reverse(puts),
                        handle: stack.handle,
                        long,
                    });
                }
            })?;
            // Names take their time: not while the list is made, perhaps more than once.
            for entry in entries.iter_mut() {
                if let Some(stack) = DEPOT.get(entry.handle) {
                    entry.class = name.class(stack.frames());
                }
            }
            sort(&mut entries);
            Ok(entries)
        })
    }

    fn find(entries: &Array<Entry>, at: u64) -> Option<u64> {
        // One place more, for the puts that have no stack.
        let places = entries.len() as u64 + u64::from(Loss::PutStack.get() != 0);
        (at < places).then_some(at)
    }

    fn show(entries: &mut Array<Entry>, at: u64, out: &mut Out) {
        let Some(entry) = entries.get(at as usize) else {
            let lost = Loss::PutStack.get();
            out!(out, "puts={lost} stack=lost\n\n");
            return;
        };
        reading(|| {
            let Some((stack, puts)) = DEPOT.get(entry.handle).and_then(|s| told(s, entry.long))
            else {
                return;
            };
            if let Some(p) = puts {
                out!(
                    out,
                    "folios={} puts={} reasons={} age_min_us={} age_avg_us={} age_max_us={} \
                     pid={} comm={} ",
                    p.folios,
                    p.puts,
                    Reasons(p.reasons),
                    p.age_min / 1000,
                    p.age_sum / p.puts.max(1) / 1000,
                    p.age_max / 1000,
                    p.task.pid,
                    Comm(&p.task),
                );
            } else {
                out!(out, "folios=0 puts=0 ");
            }
            if entry.long > 0 {
                out!(out, "long={} ", entry.long);
            }
            out!(
                out,
                "class={} stack={}{}\n",
                entry.class.name(),
                entry.handle.0,
                Whole(puts.is_none_or(|p| p.whole)),
            );
            frames(out, stack.frames());
        });
    }
}
