// SPDX-License-Identifier: GPL-2.0

//! Stacks, each stored once, behind 32-bit handles that stay good until unload.
//!
//! Stacks lie one after the other in pools of one page. Pools are made ahead of need by
//! [`Depot::refill`], where memory may be waited for; [`Depot::save`] only takes from what is
//! there, so that it may be called from any context.
//!
//! # Layout of a stack, in 64-bit words
//!
//! ```text
//! 0  next stack of the bucket (handle, 32 bits) | frames (8 bits)
//! 1  hash (32 bits) | hits (32 bits)
//! 2  version of all that follows up to the frames
//! 3  puts
//! 4  folios (32 bits) | reasons, a bit each (32 bits)
//! 5  youngest folio: nanoseconds since it was marked, all bits inverted
//! 6  oldest folio
//! 7  sum of their ages
//! 8  last task: pid, 9 and 10 comm
//! 11 a note
//! 12 first frame ...
//! ```
//!
//! # Protocol
//!
//! `save` takes room by moving `used` on, writes the stack there, and publishes it by making it the
//! head of its bucket. Whoever loses the race for the head looks at what came before it, so that no
//! stack is stored twice, and gives the room back. What is counted of a stack's puts is written
//! under a version, see [`super::version`].

use super::invariant::{hold, Invariant};
use super::memory::{Memory, Slot, Table, Zeroed, TABLE_BITS, TABLE_LEN};
use super::reason::{Reason, ReasonSet};
use super::record::Task;
use super::sync::{array, const_unless_loom, sized, AtomicU32, AtomicU64, Ordering};
use super::version::{self, Group};

/// Words in a pool: 4 KiB.
const POOL_WORDS: u32 = sized(512, 3 * (HEADER as usize + 1)) as u32;
/// Bytes in a pool.
pub const POOL_BYTES: usize = POOL_WORDS as usize * 8;
const TABLE_BYTES: usize = size_of::<Table<Pool>>();
/// What a depot takes that has room for a pool, the pool aside: buckets and a table.
pub const OVERHEAD_BYTES: usize = HEADS * size_of::<Heads>() + TABLE_BYTES;
/// Words before the frames of a stack.
const HEADER: u32 = 12;
/// Most frames of a stack.
pub const MAX_FRAMES: usize = 64;
/// Buckets in one allocation.
const HEADS_LEN: usize = sized(1024, 1);
/// Allocations of buckets.
const HEADS: usize = sized(8, 1);
/// Pools kept ready ahead of need.
const SPARE: u32 = sized(4, 1) as u32;

/// A stack in the depot; [`Handle::LOST`] is the one that could not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub u32);

impl Handle {
    /// There was no room for the stack.
    pub const LOST: Handle = Handle(0);

    /// Position of the stack's first word.
    fn word(self) -> Option<u32> {
        self.0.checked_sub(1)
    }
}

struct Pool([AtomicU64; POOL_WORDS as usize]);

// SAFETY: Words are atomics; zero is a pool in which nothing was written.
unsafe impl Zeroed for Pool {
    #[cfg(loom)]
    fn zeroed() -> Self {
        Pool(array![AtomicU64::new(0); POOL_WORDS as usize])
    }
}

struct Heads([AtomicU32; HEADS_LEN]);

// SAFETY: Heads are atomics; zero is an empty bucket.
unsafe impl Zeroed for Heads {
    #[cfg(loom)]
    fn zeroed() -> Self {
        Heads(array![AtomicU32::new(0); HEADS_LEN])
    }
}

/// All stacks.
pub struct Depot {
    heads: [Slot<Heads>; HEADS],
    pools: Table<Table<Pool>>,
    /// Words taken.
    used: AtomicU32,
    /// Pools made.
    made: AtomicU32,
    /// Pools allowed.
    cap: AtomicU32,
    stacks: AtomicU32,
    lost: AtomicU32,
    wasted: AtomicU32,
}

/// One stored stack.
pub struct Stack<'a> {
    /// Its handle.
    pub handle: Handle,
    words: &'a [AtomicU64],
}

impl<'a> Stack<'a> {
    fn hash(&self) -> u32 {
        self.words[1].load(Ordering::Relaxed) as u32
    }

    fn next(&self) -> Handle {
        Handle(self.words[0].load(Ordering::Relaxed) as u32)
    }

    /// How often it was saved. Wraps at 2^32.
    pub fn hits(&self) -> u32 {
        (self.words[1].load(Ordering::Relaxed) >> 32) as u32
    }

    /// It was saved once more. Context: any.
    pub fn hit(&self) {
        self.words[1].fetch_add(1 << 32, Ordering::Relaxed);
    }

    /// What is known of the puts with this stack, `None` if there were none.
    pub fn puts(&self) -> Option<Puts> {
        let read = || {
            let word = |i: usize| self.words[i].load(Ordering::Relaxed);
            Puts {
                puts: word(3),
                folios: word(4) as u32,
                reasons: ReasonSet((word(4) >> 32) as u32),
                age_min: !word(5),
                age_max: word(6),
                age_sum: word(7),
                task: Task {
                    comm: [word(9), word(10)],
                    pid: word(8) as i32,
                },
                whole: false,
            }
        };
        let (puts, whole) = version::read(&self.words[2], read);
        (puts.puts != 0).then_some(Puts { whole, ..puts })
    }

    /// Counts a put with this stack. Context: any.
    pub fn put(&self, put: &Put) {
        version::write(&self.words[2], Group::First, |alone| {
            self.words[3].fetch_add(1, Ordering::Relaxed);
            if put.is_first {
                self.words[4].fetch_add(1, Ordering::Relaxed);
            }
            let reason = 1u32.checked_shl(put.reason.0.into()).unwrap_or(0);
            self.words[4].fetch_or(u64::from(reason) << 32, Ordering::Relaxed);
            self.words[5].fetch_max(!put.age, Ordering::Relaxed);
            self.words[6].fetch_max(put.age, Ordering::Relaxed);
            self.words[7].fetch_add(put.age, Ordering::Relaxed);
            if alone {
                let pid = put.task.pid as u32;
                self.words[8].store(pid.into(), Ordering::Relaxed);
                self.words[9].store(put.task.comm[0], Ordering::Relaxed);
                self.words[10].store(put.task.comm[1], Ordering::Relaxed);
            }
        });
    }

    /// What [`Stack::set_note`] has set last, or 0.
    pub fn note(&self) -> u64 {
        self.words[11].load(Ordering::Relaxed)
    }

    /// Keeps a word with the stack. Context: any.
    pub fn set_note(&self, note: u64) {
        self.words[11].store(note, Ordering::Relaxed);
    }

    /// Return addresses, innermost first.
    pub fn frames(&self) -> impl ExactSizeIterator<Item = u64> + 'a {
        self.words[HEADER as usize..]
            .iter()
            .map(|word| word.load(Ordering::Relaxed))
    }
}

/// One put of a marked folio.
#[derive(Clone, Copy, Debug)]
pub struct Put {
    /// The folio had no put with this stack before.
    pub is_first: bool,
    /// Why the folio was marked.
    pub reason: Reason,
    /// Nanoseconds since it was first marked.
    pub age: u64,
    /// Who made the put.
    pub task: Task,
}

/// All puts with one stack.
#[derive(Clone, Copy, Debug)]
pub struct Puts {
    /// How many.
    pub puts: u64,
    /// Of how many folios, counted anew for each time that a folio was marked.
    pub folios: u32,
    /// Why these were marked.
    pub reasons: ReasonSet,
    /// Least time from the mark to the put, nanoseconds.
    pub age_min: u64,
    /// Greatest such time.
    pub age_max: u64,
    /// Sum of these times, to make an average of.
    pub age_sum: u64,
    /// Who made the last put.
    pub task: Task,
    /// All of this was true at one moment; not so if the puts never paused.
    pub whole: bool,
}

/// Figures for `stats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Different stacks stored.
    pub stacks: u32,
    /// Stacks that found no room, or had no frame.
    pub lost: u32,
    /// Words that hold nothing, lost at the ends of pools and in races.
    pub wasted: u32,
    /// Bytes allocated.
    pub bytes: usize,
    /// Most bytes that will be allocated.
    pub cap: usize,
}

fn hash(frames: &[u64]) -> u32 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = frames.iter().fold(frames.len() as u64, |h, &frame| {
        (h.rotate_left(5) ^ frame).wrapping_mul(K)
    });
    (mixed >> 32) as u32
}

impl Depot {
    const_unless_loom! {
        /// An empty depot, with room for nothing.
        pub fn new() -> Self {
            Depot {
                heads: array![Slot::new(); HEADS],
                pools: Table::new(),
                used: AtomicU32::new(0),
                made: AtomicU32::new(0),
                cap: AtomicU32::new(0),
                stacks: AtomicU32::new(0),
                lost: AtomicU32::new(0),
                wasted: AtomicU32::new(0),
            }
        }
    }

    /// At most `bytes` for all memory of the depot.
    pub fn set_cap(&self, bytes: usize) {
        let rest = bytes.saturating_sub(HEADS * size_of::<Heads>());
        let tables = rest.div_ceil(TABLE_BYTES + TABLE_LEN * POOL_BYTES);
        let pools = rest.saturating_sub(tables * TABLE_BYTES) / POOL_BYTES;
        let pools = u32::try_from(pools).unwrap_or(u32::MAX);
        self.cap
            .store(pools.min(1 << (2 * TABLE_BITS)), Ordering::Relaxed);
    }

    /// Makes pools until enough are ready, or the cap is reached. One caller at a time; `mem` may
    /// sleep. False if there is no memory.
    pub fn refill(&self, mem: &impl Memory) -> bool {
        for heads in &self.heads {
            if heads.get_or_publish(mem).is_none() {
                return false;
            }
        }
        while self.wants_refill() {
            let made = self.made.load(Ordering::Relaxed);
            let pool = self
                .pools
                .slot((made >> TABLE_BITS) as usize)
                .get_or_publish(mem)
                .and_then(|table| table.slot(made as usize).get_or_publish(mem));
            if pool.is_none() {
                return false;
            }
            // Publishes the pool to those who take room in it.
            self.made.store(made + 1, Ordering::Release);
        }
        true
    }

    /// True if fewer pools than wished are ready and more are allowed. Context: any.
    #[inline]
    pub fn wants_refill(&self) -> bool {
        let begun = self.used.load(Ordering::Relaxed).div_ceil(POOL_WORDS);
        let made = self.made.load(Ordering::Relaxed);
        made < self.cap.load(Ordering::Relaxed).min(begun + SPARE)
    }

    fn words(&self, word: u32, len: u32) -> Option<&[AtomicU64]> {
        let pool = word / POOL_WORDS;
        let words = &self
            .pools
            .slot((pool >> TABLE_BITS) as usize)
            .get()?
            .slot(pool as usize)
            .get()?
            .0;
        let first = (word % POOL_WORDS) as usize;
        words.get(first..first + len as usize)
    }

    /// The stack with this handle, if it is one that was given out. Context: any.
    pub fn get(&self, handle: Handle) -> Option<Stack<'_>> {
        let word = handle.word()?;
        let head = self.words(word, HEADER)?[0].load(Ordering::Relaxed);
        let frames = (head >> 32) as u32;
        Some(Stack {
            handle,
            words: self.words(word, HEADER + frames)?,
        })
    }

    fn head(&self, hash: u32) -> Option<&AtomicU32> {
        let bucket = hash as usize % (HEADS * HEADS_LEN);
        Some(&self.heads[bucket / HEADS_LEN].get()?.0[bucket % HEADS_LEN])
    }

    /// The stack that a chain goes on with, `None` at its end.
    fn follow(&self, next: Handle) -> Option<Stack<'_>> {
        let stack = self.get(next);
        hold(stack.is_some() || next == Handle::LOST, Invariant::Handle);
        stack
    }

    /// Looks for a stack in the chain from `from` up to but without `until`.
    fn find(&self, from: Handle, until: Handle, hash: u32, frames: &[u64]) -> Option<Handle> {
        let mut at = from;
        while at != until {
            let stack = self.follow(at)?;
            if stack.hash() == hash && stack.frames().eq(frames.iter().copied()) {
                stack.hit();
                return Some(at);
            }
            at = stack.next();
        }
        None
    }

    /// Takes room for `len` words, all in one pool.
    fn take(&self, len: u32) -> Option<u32> {
        let made = self.made.load(Ordering::Acquire);
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let left = POOL_WORDS - used % POOL_WORDS;
            let skip = if left < len { left } else { 0 };
            let start = used + skip;
            if start / POOL_WORDS >= made {
                return None;
            }
            match self.used.compare_exchange_weak(
                used,
                start + len,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    self.wasted.fetch_add(skip, Ordering::Relaxed);
                    return Some(start);
                }
                Err(now) => used = now,
            }
        }
    }

    /// Gives the room of a stack back that was not published. It is lost if more was taken since.
    fn give_back(&self, start: u32, words: &[AtomicU64]) {
        let len = words.len() as u32;
        // What was counted of another stack's puts may come to lie where the frames are.
        for word in words {
            word.store(0, Ordering::Relaxed);
        }
        // Release: whoever takes the room overwrites these zeros, not the reverse.
        if self
            .used
            .compare_exchange(start + len, start, Ordering::Release, Ordering::Relaxed)
            .is_err()
        {
            self.wasted.fetch_add(len, Ordering::Relaxed);
        }
    }

    /// The handle of a stack, which is stored if it was not yet. At most [`MAX_FRAMES`] frames
    /// count. Context: any. [`Handle::LOST`] if there is no room, or nothing to store, as when the
    /// unwinder gave up; both are counted.
    pub fn save(&self, frames: &[u64]) -> Handle {
        self.try_save(&frames[..frames.len().min(MAX_FRAMES)])
            .unwrap_or_else(|| {
                self.lost.fetch_add(1, Ordering::Relaxed);
                Handle::LOST
            })
    }

    fn try_save(&self, frames: &[u64]) -> Option<Handle> {
        if frames.is_empty() {
            return None;
        }
        let hash = hash(frames);
        let head = self.head(hash)?;
        let mut first = Handle(head.load(Ordering::Acquire));
        if let Some(known) = self.find(first, Handle::LOST, hash, frames) {
            return Some(known);
        }
        let len = HEADER + frames.len() as u32;
        let start = self.take(len)?;
        let new = Handle(start + 1);
        let words = self.words(start, len)?;
        words[1].store(u64::from(hash) | (1 << 32), Ordering::Relaxed);
        for (word, &frame) in words[HEADER as usize..].iter().zip(frames) {
            word.store(frame, Ordering::Relaxed);
        }
        loop {
            let header = u64::from(first.0) | ((frames.len() as u64) << 32);
            words[0].store(header, Ordering::Relaxed);
            // Publishes the words above to whoever finds the stack.
            match head.compare_exchange(first.0, new.0, Ordering::Release, Ordering::Acquire) {
                Ok(_) => {
                    self.stacks.fetch_add(1, Ordering::Relaxed);
                    return Some(new);
                }
                Err(now) => {
                    let now = Handle(now);
                    if let Some(known) = self.find(now, first, hash, frames) {
                        self.give_back(start, words);
                        return Some(known);
                    }
                    first = now;
                }
            }
        }
    }

    /// Every stack, for readers: bucket by bucket, `bucket` counting from 0, until `None`.
    pub fn bucket(&self, bucket: usize) -> Option<impl Iterator<Item = Stack<'_>>> {
        if bucket >= HEADS * HEADS_LEN {
            return None;
        }
        let head = self
            .head(bucket as u32)
            .map_or(0, |head| head.load(Ordering::Acquire));
        let mut at = Handle(head);
        Some(core::iter::from_fn(move || {
            let stack = self.follow(at)?;
            at = stack.next();
            Some(stack)
        }))
    }

    /// Figures for `stats`.
    pub fn figures(&self) -> Figures {
        let heads = self
            .heads
            .iter()
            .filter(|heads| heads.get().is_some())
            .count();
        let bytes = |pools: u32| {
            let pools = pools as usize;
            pools * POOL_BYTES + pools.div_ceil(TABLE_LEN) * TABLE_BYTES
        };
        Figures {
            stacks: self.stacks.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            wasted: self.wasted.load(Ordering::Relaxed),
            bytes: heads * size_of::<Heads>() + bytes(self.made.load(Ordering::Relaxed)),
            cap: HEADS * size_of::<Heads>() + bytes(self.cap.load(Ordering::Relaxed)),
        }
    }

    /// Looks at every stack. Nobody else may be here, or what is just changing looks broken.
    pub fn audit(&self) {
        let mut left = self.stacks.load(Ordering::Relaxed);
        for (bucket, stacks) in (0..).map_while(|i| Some((i, self.bucket(i)?))) {
            for stack in stacks {
                hold(left != 0, Invariant::Bucket);
                if left == 0 {
                    return;
                }
                left -= 1;
                let hash = stack.hash();
                let is_here = hash as usize % (HEADS * HEADS_LEN) == bucket;
                let mut frames = [0; MAX_FRAMES];
                let len = stack.frames().len().min(MAX_FRAMES);
                for (to, frame) in frames.iter_mut().zip(stack.frames()) {
                    *to = frame;
                }
                let is_whole = self::hash(&frames[..len]) == hash;
                hold(is_here && is_whole, Invariant::Bucket);
            }
        }
        hold(left == 0, Invariant::Handle);
    }

    /// Gives all memory back. The depot is empty then.
    ///
    /// # Safety
    ///
    /// Nobody else may use the depot, nor do so before this returns.
    pub unsafe fn drain(&self, mem: &impl Memory) {
        for heads in &self.heads {
            if let Some(p) = heads.take() {
                // SAFETY: It came from `mem` in `refill`; the caller promises that nobody reads it.
                unsafe { mem.free(p) };
            }
        }
        self.pools.drain(|table| {
            // SAFETY: As above, for both levels.
            unsafe {
                table.as_ref().drain(|pool| mem.free(pool));
                mem.free(table);
            }
        });
        self.used.store(0, Ordering::Relaxed);
        self.made.store(0, Ordering::Relaxed);
        self.stacks.store(0, Ordering::Relaxed);
    }
}

impl Default for Depot {
    fn default() -> Self {
        Self::new()
    }
}

/// What tests break.
#[cfg(all(test, not(loom)))]
impl Depot {
    pub(super) fn word(&self, handle: Handle, word: usize) -> &AtomicU64 {
        &self.get(handle).expect("a stack").words[word]
    }
}
