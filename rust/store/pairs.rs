// SPDX-License-Identifier: GPL-2.0

//! Where references are taken and given back, and which places belong together.

use super::depot::Stack;
use super::sync::{array, const_unless_loom, sized, AtomicU64, Ordering};

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Where it starts.
    pub start: u64,
    /// Bytes in it.
    pub size: u32,
    /// It says something of who takes or gives back a reference; not so of what all call for that.
    pub is_telling: bool,
    /// It takes a reference for a batch of the LRU lists, or gives one back that is such a batch's.
    pub is_batch: bool,
}

/// What is known of the kernel's functions.
pub trait Functions {
    /// The function of a return address.
    fn of(&self, address: u64) -> Option<Function>;
}

/// Where a stack takes or gives back references, as kept in [`Stack::note`]: its first telling
/// function, and which frame that is.
#[derive(Clone, Copy)]
pub(super) struct Place(u64);

impl Place {
    /// The stack has a frame at which one can tell.
    const KNOWN: u64 = 1 << 63;
    /// It is that of a batch of the LRU lists.
    const BATCH: u64 = 1 << 62;
    const SIZE_BITS: u32 = 24;

    pub(super) fn of(stack: &Stack<'_>, functions: &impl Functions) -> Self {
        let note = stack.note();
        if note != 0 {
            return Place(note);
        }
        let telling = stack.frames().enumerate().find_map(|(i, frame)| {
            let function = functions.of(frame).filter(|f| f.is_telling)?;
            Some((i as u64, function))
        });
        // Without one, what is innermost, and nothing lies in it.
        let (frame, start, size, batch) = telling.map_or((0, 0, 0, 0), |(i, f)| {
            let size = f.size.min((1 << Self::SIZE_BITS) - 1);
            let batch = if f.is_batch { Self::BATCH } else { 0 };
            (i, f.start as u32, size, batch)
        });
        let note =
            Self::KNOWN | batch | (frame & 0x3f) << 56 | u64::from(size) << 32 | u64::from(start);
        stack.set_note(note);
        Place(note)
    }

    /// The frame's return address, as far as it differs within the kernel.
    pub(super) fn key(self, stack: &Stack<'_>) -> u32 {
        let frame = (self.0 >> 56) as usize & 0x3f;
        stack.frames().nth(frame).unwrap_or(0) as u32
    }

    /// Is it that of a batch of the LRU lists?
    pub(super) fn is_batch(self) -> bool {
        self.0 & Self::BATCH != 0
    }

    /// Does the other stack go through this place's function?
    pub(super) fn contains(self, other: &Stack<'_>) -> bool {
        let (start, size) = (
            self.0 as u32,
            (self.0 >> 32) as u32 & ((1 << Self::SIZE_BITS) - 1),
        );
        // A return address may be the first behind the function.
        other
            .frames()
            .any(|frame| (frame as u32).wrapping_sub(start).wrapping_sub(1) < size)
    }
}

/// In a pair: what the kernel itself accounts for, as mappings and the page cache.
pub(super) const ACCOUNT: u32 = 1;
/// In a pair, in place of the giver: somebody is known who gives back what is taken there.
pub(super) const ANYBODY: u32 = 2;
/// Pairs there is room for.
const PAIRS: usize = sized(2048, 2);
/// How far from its place a pair may be.
const PROBES: usize = sized(16, 2);

/// Which takers belong to which givers, of those seen.
pub(super) struct Pairs {
    set: [AtomicU64; PAIRS],
}

impl Pairs {
    const_unless_loom! {
        pub(super) fn new() -> Self {
            Pairs { set: array![AtomicU64::new(0); PAIRS] }
        }
    }

    fn pair(put: u32, get: u32) -> u64 {
        u64::from(put) << 32 | u64::from(get)
    }

    fn places(&self, pair: u64) -> impl Iterator<Item = &AtomicU64> {
        let first = (pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize;
        (0..PROBES).map(move |i| &self.set[(first + i) % PAIRS])
    }

    pub(super) fn contains(&self, put: u32, get: u32) -> bool {
        let pair = Self::pair(put, get);
        self.places(pair)
            .map(|place| place.load(Ordering::Relaxed))
            .take_while(|&there| there != 0)
            .any(|there| there == pair)
    }

    /// Is anybody known who takes what is put there?
    pub(super) fn knows(&self, put: u32) -> bool {
        self.contains(put, 0)
    }

    /// Remembers a pair, if there is room.
    pub(super) fn learn(&self, put: u32, get: u32) {
        for pair in [
            Self::pair(put, get),
            Self::pair(put, 0),
            Self::pair(ANYBODY, get),
        ] {
            for place in self.places(pair) {
                let there = match place.load(Ordering::Relaxed) {
                    0 => place
                        .compare_exchange(0, pair, Ordering::Relaxed, Ordering::Relaxed)
                        .map_or_else(|there| there, |_| pair),
                    there => there,
                };
                if there == pair {
                    break;
                }
            }
        }
    }
}
