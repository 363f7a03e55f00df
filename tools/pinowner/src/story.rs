// SPDX-License-Identifier: GPL-2.0

//! What is made of events and tables, for whatever shows it: a [`Story`] for each marked folio,
//! from its first failure to its end, and the totals of each stack that held some.
//!
//! All of it can be serialized; that is the output of `--json`, see [`crate::json`].

use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

#[cfg(test)]
use schemars::JsonSchema;

/// A word that occurs over and over: a reason, a stage, the name of a task.
pub type Name = Arc<str>;

/// The handle of a stack in [`Findings::stacks`]; 0 is one that was lost.
pub type Handle = u32;

/// All that a recording tells.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Findings {
    /// Where and how it was recorded, as far as the input says so.
    pub about: BTreeMap<String, String>,
    /// Each marked folio's, most wanted first: those that are still held, then those held
    /// longest.
    pub stories: Vec<Story>,
    /// Totals of each stack by which holders let go, or that holds something still; most folios
    /// first.
    pub holders: Vec<Holder>,
    /// Stacks by handle.
    pub stacks: BTreeMap<Handle, Stack>,
    /// What is missing.
    pub losses: Losses,
}

/// One marked folio, from its first failure to its end.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Story {
    /// Its first page.
    pub pfn: u64,
    /// It has 2^order pages, if a report was seen.
    pub order: Option<u32>,
    /// What kind of memory it is.
    pub kind: Kind,
    /// Why it was to be moved, at the latest failure.
    pub reason: Name,
    /// How far that came: migrate, isolate, poison or manual.
    pub stage: Name,
    /// When it was marked: nanoseconds by the clock of the trace.
    pub marked_ns: u64,
    /// When it was heard of last, by the same clock.
    pub last_ns: u64,
    /// Failures that were reported, all of one place as one; in the order of the first of each.
    pub failures: Vec<Failure>,
    /// How often it failed, also where that was not reported; at least the reports.
    pub attempts: u64,
    /// Who dropped references to it, those first who held it.
    pub puts: Vec<Puts>,
    /// Puts that came from more places than are remembered for one folio.
    pub more_puts: u64,
    /// How long after it was marked its references were back to what the kernel accounts for.
    pub let_go_us: Option<u64>,
    /// How it ended.
    pub end: End,
    /// How old its mark was then, or when it was seen last.
    pub age_us: u64,
    /// References to it that were not given back when the recording ended, of a watched page.
    pub held: Vec<Reference>,
    /// Who allocated it, where the kernel has page_owner and it was there still when the recording
    /// ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocated: Option<Box<Allocation>>,
}

impl Story {
    /// References more than the kernel accounts for, at the latest failure.
    pub fn excess(&self) -> i32 {
        let latest = self.failures.iter().max_by_key(|failure| failure.last_ns);
        latest.map_or(0, Failure::excess)
    }

    /// Was it held still when it was seen last?
    pub fn is_held(&self) -> bool {
        match self.end {
            End::Held => true,
            End::Expired | End::Evicted | End::Forgotten | End::Unseen => {
                self.let_go_us.is_none() && !self.has_passed()
            }
            End::Freed | End::Unpinned | End::LetGo => false,
        }
    }

    /// Did it fail with no reference too many, and somebody put it since? Then what it failed for
    /// was a state, such as writeback, and is over.
    pub(crate) fn has_passed(&self) -> bool {
        let was_put = || self.puts.iter().any(|puts| puts.role == Role::Before);
        !self.failures.is_empty() && self.excess() <= 0 && was_put()
    }

    /// Who held it and let go: stack, puts, how old the mark was then, task. If it is not known
    /// who of those that put it had held it, all of them; but of a folio that is held still nobody,
    /// as its holder is just the one who has not put it.
    pub fn held_by(&self) -> impl Iterator<Item = (Handle, u64, u64, &Task)> {
        let wanted = match self.let_go_us {
            Some(_) => Some(Role::LetGo),
            None if self.is_held() => None,
            None => Some(Role::Before),
        };
        let puts = self
            .puts
            .iter()
            .filter(move |puts| wanted == Some(puts.role));
        puts.map(|p| {
            let us = self.let_go_us.map_or(p.last_us, |us| us.min(p.last_us));
            (p.stack, p.puts, us, &p.task)
        })
    }

    /// The key to sort by, most wanted first: those still held come first, and of each kind those
    /// that were held longest.
    pub fn wanted(&self) -> impl Ord + use<> {
        let seen = match self.end {
            End::Held => 0,
            _ if self.is_held() => 1,
            _ => 2,
        };
        let held_us = self.let_go_us.unwrap_or(self.age_us);
        (seen, Reverse(held_us), self.marked_ns, self.pfn)
    }
}

/// One or more failures to move a folio, at the same place.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Failure {
    /// Why it was to be moved.
    pub reason: Name,
    /// How far that came.
    pub stage: Name,
    /// What the function that failed returned, the last time.
    pub err: i32,
    /// What the kernel made of a hard memory error.
    pub result: Option<Name>,
    /// References it had, the last time.
    pub count: i32,
    /// References the kernel accounts for, the last time.
    pub expected: i32,
    /// Times it was mapped, the last time.
    pub mapcount: i32,
    /// Who tried it, the last time.
    pub task: Task,
    /// When, the first time, by the clock of the trace.
    pub first_ns: u64,
    /// And the last time.
    pub last_ns: u64,
    /// Reports of it.
    pub reports: u32,
    /// The attempt's stack.
    pub stack: Handle,
}

impl Failure {
    /// References more than the kernel accounts for.
    pub fn excess(&self) -> i32 {
        self.count.saturating_sub(self.expected)
    }
}

/// Puts of one folio, by the same task from the same stack.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Puts {
    /// What part they have in the story.
    pub role: Role,
    /// Their stack.
    pub stack: Handle,
    /// Who.
    pub task: Task,
    /// How many.
    pub puts: u64,
    /// References they dropped: 1024 for each FOLL_PIN of a folio of one page.
    pub refs: u64,
    /// Age of the mark at the first of them.
    pub first_us: u64,
    /// Age of the mark at the last of them.
    pub last_us: u64,
    /// The last reference was among them.
    pub last: bool,
}

/// What part puts have in a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// With one of these the references were back to what the kernel accounts for: the holder.
    LetGo,
    /// A holder's too, before that: there were more of them, or one that only passed by.
    Before,
    /// After it was let go: what happens to every page.
    After,
    /// The kernel, trying to move the folio.
    Migrator,
    /// A batch of the LRU lists being emptied.
    Lru,
}

impl Role {
    /// Had he a part in it that the folio did not move?
    pub fn is_holder(self) -> bool {
        matches!(self, Role::LetGo | Role::Before)
    }

    /// Does it happen to every folio that fails?
    pub fn is_noise(self) -> bool {
        matches!(self, Role::Migrator | Role::Lru)
    }
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Task {
    /// Its number.
    pub pid: u32,
    /// Its name; `<...>` where neither the kernel nor another event knew it.
    pub comm: Name,
}

/// What kind of memory a folio is, from its flags and the references the kernel accounts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Anonymous.
    Anon,
    /// tmpfs, memfd, shared memory.
    Shmem,
    /// Cached of another file system.
    File,
    /// None of these, or not known.
    #[default]
    Other,
}

/// How a story ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Its memory was freed.
    Freed,
    /// Its references were back to what is expected, and it was not traced any further.
    Unpinned,
    /// It was marked for too long.
    Expired,
    /// It made room for another one.
    Evicted,
    /// By hand, or because tracing ended.
    Forgotten,
    /// It has not ended: it is there, and nobody holds it.
    LetGo,
    /// It has not ended: somebody holds it still.
    Held,
    /// It was not seen: events are missing.
    Unseen,
}

/// A reference to a watched page that was not given back, from the ledger.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Reference {
    /// How many at once.
    pub refs: i64,
    /// Taken by FOLL_PIN.
    pub pin: bool,
    /// How sure that is: certain, likely, one_of or unseen.
    pub sure: Name,
    /// For how long it has been held.
    pub age_ms: u64,
    /// For longer than usual.
    pub long: bool,
    /// Who took it.
    pub task: Task,
    /// The stack that took it.
    pub stack: Handle,
    /// The stack that allocated the page.
    pub owner: Handle,
    /// Who makes such a stack.
    pub class: Class,
}

/// How a folio was allocated, from page_owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Allocation {
    /// 2^order pages were allocated at once.
    pub order: u32,
    /// How, in the words of `GFP_`.
    pub gfp: Name,
    /// By whom.
    pub task: Task,
    /// When: nanoseconds since the machine was booted.
    pub ns: u64,
    /// The stack, the innermost function first.
    pub frames: Vec<Name>,
}

/// Whose a stack is, as the module sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Somebody's who had the folio.
    #[default]
    Holder,
    /// The kernel's, trying to move it.
    Migrator,
    /// A batch's of the LRU lists.
    Lru,
}

/// A stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Stack {
    /// Whose it is.
    pub class: Class,
    /// Its frames, the innermost first, as the kernel prints them: `function+0x12/0x34 [module]`.
    pub frames: Vec<Name>,
}

/// What one stack held: those by which holders let go, and those that took what is held still.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Holder {
    /// The stack.
    pub stack: Handle,
    /// It took references that were not given back; else it gave them back.
    pub still: bool,
    /// Folios that it held.
    pub folios: u64,
    /// Puts, or references that were not given back.
    pub puts: u64,
    /// Shortest time between a folio's first failure and the put, or for which it has been held.
    pub min_us: u64,
    /// Average time.
    pub avg_us: u64,
    /// Longest time.
    pub max_us: u64,
    /// All of these times together.
    pub sum_us: u64,
    /// The last task.
    pub task: Task,
    /// Why its folios were to be moved.
    pub reasons: Vec<Name>,
}

/// What is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Losses {
    /// Events that did not fit into the buffer of the trace.
    pub events: u64,
    /// Events were lost, of which it is not known how many.
    pub uncounted: bool,
    /// Lines that begin like an event and cannot be read.
    pub broken: u64,
    /// Puts of which the stack was lost.
    pub stacks: u64,
    /// Events of folios beyond the million whose stories are kept.
    pub stories: u64,
    /// The module's own counters of what it could not record, those that grew.
    pub module: BTreeMap<String, u64>,
    /// The recording has no end: it was cut off, or is being written still.
    pub cut_off: bool,
}

impl Losses {
    /// Is anything missing?
    pub fn is_any(&self) -> bool {
        *self != Losses::default()
    }
}
