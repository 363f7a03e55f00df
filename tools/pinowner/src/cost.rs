// SPDX-License-Identifier: GPL-2.0

//! What it takes to watch pages: the ledger's memory, counted as the module counts it.

use page_pin_owner_store::ledger::{CHUNK_LEN, Chunk};
use page_pin_owner_store::memory::{TABLE_BITS, TABLE_LEN};
use page_pin_owner_store::ranges::Ranges;
use std::ops::Range;

/// log2 of the pages in a chunk.
const CHUNK_BITS: u32 = CHUNK_LEN.trailing_zeros();
/// Of each chunk, besides what its pages take.
const CHUNK_BYTES: u64 = size_of::<Chunk>() as u64;
const TABLE_BYTES: u64 = (TABLE_LEN * size_of::<usize>()) as u64;
/// Blocks of pages that have a table: those of the chunks, and those of these tables.
const TABLES: [u32; 2] = [CHUNK_BITS + TABLE_BITS, CHUNK_BITS + 2 * TABLE_BITS];

/// The ledger, as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Bytes that each page takes.
    pub page_bytes: u64,
    /// Bytes in use.
    pub bytes: u64,
    /// Bytes it may use.
    pub cap: u64,
}

/// Bytes of a page that has room for so many entries.
pub const fn page_bytes(entries: u64) -> u64 {
    // A word, a word for each, and half a word for each.
    (1 + entries + entries / 2) * 8
}

impl Ledger {
    /// Bytes that it takes to watch `range` too. Tables that are there though nothing below them is
    /// watched any more are counted once more: at most 8 KiB, and 4 KiB for each GiB.
    pub fn bytes_of(&self, range: &Range<u64>, watched: &Ranges) -> u64 {
        let new = |bits| new_blocks(range, watched, bits);
        let chunks = new(CHUNK_BITS).saturating_mul(self.bytes_of_chunk());
        TABLES.iter().fold(chunks, |sum, &bits| {
            sum.saturating_add(new(bits).saturating_mul(TABLE_BYTES))
        })
    }

    fn bytes_of_chunk(&self) -> u64 {
        CHUNK_BYTES + CHUNK_LEN as u64 * self.page_bytes
    }

    /// Bytes that are free.
    pub fn room(&self) -> u64 {
        self.cap.saturating_sub(self.bytes)
    }

    /// How many of the first pages of `range` fit.
    pub fn fitting(&self, range: &Range<u64>, watched: &Ranges) -> u64 {
        let fits = |pages| {
            let part = range.start..range.start.saturating_add(pages);
            self.bytes_of(&part, watched) <= self.room()
        };
        let (mut least, mut most) = (0, range.end.saturating_sub(range.start));
        if fits(most) {
            return most;
        }
        while least + 1 < most {
            let middle = least + (most - least) / 2;
            if fits(middle) {
                least = middle;
            } else {
                most = middle;
            }
        }
        least
    }
}

/// Blocks of 2^bits pages with a page of `range` in them, and none that is watched already.
fn new_blocks(range: &Range<u64>, watched: &Ranges, bits: u32) -> u64 {
    let blocks = |range: &Range<u64>| (range.start >> bits)..range.end.div_ceil(1 << bits);
    if range.is_empty() {
        return 0;
    }
    let wanted = blocks(range);
    let mut new = wanted.end - wanted.start;
    // They are in order, and two of them may be in one block.
    let mut counted = wanted.start;
    for there in watched.iter() {
        let there = blocks(&there);
        let (start, end) = (there.start.max(counted), there.end.min(wanted.end));
        if start < end {
            new -= end - start;
            counted = end;
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ledger(page_bytes: u64, kib: u64) -> Ledger {
        Ledger {
            page_bytes,
            bytes: 0,
            cap: kib * 1024,
        }
    }

    fn watched(ranges: &[Range<u64>]) -> Ranges {
        let mut watched = Ranges::new();
        for range in ranges {
            let _ = watched.set(range.clone(), true);
        }
        watched
    }

    #[test]
    fn as_documented() {
        assert_eq!([2, 4, 8].map(page_bytes), [32, 56, 104]);
        let ledger = ledger(104, 65536);
        let none = Ranges::new();
        // 2 MiB take 53352 bytes, and the first page 8192 besides.
        assert_eq!(ledger.bytes_of(&(0..512), &none), 53_352 + 8192);
        assert_eq!(ledger.bytes_of(&(100..101), &none), 53_352 + 8192);
        assert_eq!(ledger.bytes_of(&(511..513), &none), 2 * 53_352 + 8192);
        let some = watched(&[0..1, 3..4, 1024..1025]);
        assert_eq!(ledger.bytes_of(&(0..1536), &some), 53_352);
        assert_eq!(ledger.bytes_of(&(0..0), &none), 0);
    }

    #[test]
    fn as_much_as_the_module_says() {
        let none = Ranges::new();
        assert_eq!(ledger(56, 64).fitting(&(0..513), &none), 512);
        assert_eq!(ledger(56, 64).fitting(&(100..1100), &none), 412);
        assert_eq!(ledger(32, 64).fitting(&(0..131_072), &none), 1536);
        assert_eq!(ledger(104, 64).fitting(&(0..100), &none), 100);
        assert_eq!(ledger(104, 4).fitting(&(0..100), &none), 0);
    }

    proptest! {
        /// Counted one by one it is the same.
        #[test]
        fn block_by_block(
            start in 0u64..6000,
            len in 0u64..6000,
            there in prop::collection::vec((0u64..12000, 1u64..900), 0..6),
        ) {
            let there: Vec<_> = there.iter().map(|&(at, len)| at..at + len).collect();
            let there = watched(&there);
            let range = start..start + len;
            let one_by_one = (0..40u64).filter(|block| {
                let block = block * 512..(block + 1) * 512;
                let touches = |r: &Range<u64>| r.start < block.end && block.start < r.end;
                !range.is_empty() && touches(&range) && !there.iter().any(|r| touches(&r))
            });
            prop_assert_eq!(new_blocks(&range, &there, 9), one_by_one.count() as u64);
        }

        #[test]
        fn any_numbers(start: u64, len: u64, bytes: u64, cap: u64, page_bytes in 0u64..1000) {
            let ledger = Ledger { page_bytes, bytes, cap };
            let range = start..start.saturating_add(len);
            prop_assert!(ledger.fitting(&range, &Ranges::new()) <= len);
        }
    }
}
