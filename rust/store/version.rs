// SPDX-License-Identifier: GPL-2.0

//! Words that belong together, written in any context and read whole.
//!
//! ```text
//! writer   begin ---- counters, and the rest if nobody else of the group is writing ---- end
//! reader   nobody writing? ---- read all ---- still the same version: whole
//! ```
//!
//! Nobody waits: a writer that finds another one of its group at work leaves out what only one may
//! write, as of two things that happen at once either may be called the last. A reader tries again
//! for a while, and then says that what it has may be torn.
//!
//! The version is one word: writers under way in the two groups, 16 bits each, and in the upper
//! half the writes that are done.

use super::sync::{fence, AtomicU64, Ordering};

const GROUP_BITS: u32 = 16;
const WRITERS: u64 = (1 << (2 * GROUP_BITS)) - 1;
const DONE: u64 = 1 << (2 * GROUP_BITS);
/// How often a reader tries. Models try once, as all orders are explored anyway.
const TRIES: u32 = if cfg!(loom) { 1 } else { 10_000 };

/// Writers that exclude each other from what only one may write.
#[derive(Clone, Copy)]
pub(super) enum Group {
    First,
    Second,
}

/// Has `write` write. It is told whether it is the only writer of its group; if not, it may only
/// change counters and the like, with read-modify-write operations. Context: any.
pub(super) fn write(version: &AtomicU64, group: Group, write: impl FnOnce(bool)) {
    let shift = group as u32 * GROUP_BITS;
    let one = 1 << shift;
    // Acquire: what an earlier sole writer wrote is overwritten, not the reverse.
    let before = version.fetch_add(one, Ordering::Acquire);
    // Whoever sees one of the words below sees that the version has changed.
    fence(Ordering::Release);
    write((before >> shift) & ((1 << GROUP_BITS) - 1) == 0);
    version.fetch_add(DONE - one, Ordering::Release);
}

/// What `read` reads, and whether that is whole. Context: any.
pub(super) fn read<R>(version: &AtomicU64, read: impl Fn() -> R) -> (R, bool) {
    let mut tries = 0;
    loop {
        tries += 1;
        let before = version.load(Ordering::Acquire);
        let value = read();
        fence(Ordering::Acquire);
        let whole = before & WRITERS == 0 && version.load(Ordering::Relaxed) == before;
        if whole || tries == TRIES {
            return (value, whole);
        }
        core::hint::spin_loop();
    }
}
