// SPDX-License-Identifier: GPL-2.0

//! `holders`: who had the folios that failed. One paragraph for each stack that puts came from,
//! holders before the kernel's own noise, most folios first. Position: place in that order.
//!
//! The order is made when the file is opened; the figures are those of the moment they are shown.

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
    folios: Reverse<u32>,
    puts: Reverse<u64>,
    handle: Handle,
}

fn with_puts(stack: Stack<'static>) -> Option<(Stack<'static>, Puts)> {
    stack.puts().map(|puts| (stack, puts))
}

fn put_stacks() -> impl Iterator<Item = (Stack<'static>, Puts)> {
    (0..)
        .map_while(|bucket| DEPOT.bucket(bucket))
        .flatten()
        .filter_map(with_puts)
}

impl Table for Holders {
    const NAME: &'static CStr = c"holders";

    type Open = Array<Entry>;

    fn open() -> Result<Array<Entry>> {
        let mut name = Symbol::new()?;
        reading(|| {
            // Stacks that come while we look are for the next reader.
            let mut entries = Array::new(put_stacks().count())?;
            for (stack, puts) in put_stacks() {
                let class = stack
                    .frames()
                    .find_map(|frame| Class::told_by(name.of(frame)))
                    .unwrap_or(Class::Holder);
                let entry = Entry {
                    class,
                    folios: Reverse(puts.folios),
                    puts: Reverse(puts.puts),
                    handle: stack.handle,
                };
                if !entries.push(entry) {
                    break;
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

    fn show(entries: &Array<Entry>, at: u64, out: &mut Out) {
        let Some(entry) = entries.get(at as usize) else {
            let lost = Loss::PutStack.get();
            out!(out, "puts={lost} stack=lost\n\n");
            return;
        };
        reading(|| {
            let Some((stack, p)) = DEPOT.get(entry.handle).and_then(with_puts) else {
                return;
            };
            out!(
                out,
                "folios={} puts={} reasons={} age_min_us={} age_avg_us={} age_max_us={} \
                 pid={} comm={} class={} stack={}{}\n",
                p.folios,
                p.puts,
                Reasons(p.reasons),
                p.age_min / 1000,
                p.age_sum / p.puts.max(1) / 1000,
                p.age_max / 1000,
                p.task.pid,
                Comm(&p.task),
                entry.class.name(),
                entry.handle.0,
                Whole(p.whole),
            );
            frames(out, stack.frames());
        });
    }
}
