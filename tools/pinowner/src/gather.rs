// SPDX-License-Identifier: GPL-2.0

//! Makes stories of lines, as they come. What is kept of a folio does not grow with the number of
//! its events, and all that is kept has a cap.

use crate::event::{Context, Event, Free, Header, Line, Put, Report};
use crate::names::{self, Names, UNKNOWN};
use crate::page_owner;
use crate::recording::Section;
use crate::story::{
    Allocation, Class, End, Failure, Findings, Handle, Holder, Kind, Losses, Name, Puts, Reference,
    Role, Stack, Story, Task,
};
use crate::symbol;
use crate::tables::{self, Paragraph, Paragraphs};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Stories kept; later ones are counted.
const MOST_STORIES: usize = 1 << 20;
/// Stacks kept; a depot at its cap has fewer.
const MOST_STACKS: usize = 1 << 20;
/// Places of failure kept of a story; the last one stands for those that came later.
const MOST_FAILURES: usize = 8;
/// Kinds of puts kept of a story.
const MOST_PUTS: usize = 32;
/// And of all of them.
const MOST_PUTS_IN_ALL: usize = 4 << 20;
/// Places of failure beyond the first of each story, in all.
const MOST_FAILURES_IN_ALL: usize = 1 << 20;
/// Frames of the stacks of tables, in all.
const MOST_FRAMES_IN_ALL: usize = 16 << 20;
/// Lines of the section `meta` kept.
const MOST_ABOUT: usize = 256;
/// Records of page_owner kept, and the longest.
const MOST_OWNERS: usize = 1 << 16;
const LONGEST_OWNER: usize = 8192;
/// Frames kept of a stack that the kernel has printed after an event.
const MOST_FRAMES: usize = 64;
/// Events kept whose stack may follow; few are on the way at any time, but where no stacks are
/// printed all wait for theirs.
const MOST_WITHOUT_STACK: usize = 4096;
/// Times of the same moment may differ by as much: that of an event, and its age.
const SLACK_NS: u64 = 1_000_000;
/// Names of tasks kept.
const MOST_TASKS: usize = 1 << 16;

/// A story that is being made.
struct Draft {
    story: Story,
    /// References the kernel accounts for when nobody tries to move the folio, but for those of
    /// mappings; of the last failure, if it had more than these.
    base: Option<i32>,
    /// Which puts brought the references back to that, and at which age.
    settled: Option<(usize, u64)>,
    /// Likewise, if one reference more is that of a batch of the LRU lists, which has the folio
    /// since it was put back and gives its reference back at any time, or after the recording.
    batched: Option<(usize, u64)>,
    /// References too many, at the last failure, but for a batch's.
    excess: i64,
}

/// The stack that the kernel prints after an event.
struct Printed {
    handle: Handle,
    frames: Vec<Name>,
}

/// Makes stories of lines.
#[derive(Default)]
pub struct Gatherer {
    names: Names,
    /// By number; for events that came before the kernel kept a name.
    tasks: HashMap<u32, Name>,
    about: BTreeMap<String, String>,
    drafts: Vec<Draft>,
    open: HashMap<u64, usize>,
    puts_in_all: usize,
    failures_in_all: usize,
    frames_in_all: usize,
    stacks: BTreeMap<Handle, Stack>,
    paragraphs: Paragraphs,
    section: Option<Section>,
    /// Handles of the last events, of which the kernel may print the stack.
    without_stack: HashMap<Context, Handle>,
    printed: Option<Printed>,
    /// Stacks as the kernel printed them; those of tables are better.
    printed_stacks: HashMap<Handle, Stack>,
    marked: Option<Vec<Marked>>,
    ledger: Option<Vec<(u64, Reference)>>,
    /// A record of page_owner, as far as it was read.
    owner: String,
    allocated: HashMap<u64, Allocation>,
    losses: Losses,
    /// By the heading of a trace, and by the lines between its events.
    lost_by_heading: u64,
    lost_by_lines: u64,
    events: u64,
    last_ns: u64,
}

/// What the table `marked` says of a folio.
struct Marked {
    pfn: u64,
    order: Option<u32>,
    attempts: u64,
    age_us: u64,
    failure: Failure,
}

impl Gatherer {
    /// One that knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Takes a line of a section of a recording.
    pub fn section_line(&mut self, section: Section, line: &[u8]) {
        if self.section != Some(section) {
            self.end_of_section();
            self.section = Some(section);
        }
        match section {
            Section::Events => {
                self.trace_line(line);
            }
            Section::Meta => self.pair(line),
            Section::Tasks => {
                if let Some((pid, name)) = names::saved(line) {
                    let name = self.names.shown(&name);
                    self.know(pid, name);
                }
            }
            Section::End => self.pair(line),
            Section::Lost => self.lost(line),
            Section::Marked | Section::Holders | Section::Ledger | Section::Stacks => {
                if let Some(paragraph) = self.paragraphs.line(line) {
                    self.paragraph(section, &paragraph);
                }
            }
            Section::PageOwner => self.owner_line(line),
            Section::Watch | Section::Stats | Section::Unknown => (),
        }
    }

    /// Takes a line of a record of page_owner; they are apart by one that is empty.
    fn owner_line(&mut self, line: &[u8]) {
        if line.is_empty() {
            self.end_of_owner();
        } else if self.owner.len() + line.len() < LONGEST_OWNER {
            self.owner += &String::from_utf8_lossy(line);
            self.owner.push('\n');
        }
    }

    fn end_of_owner(&mut self) {
        let record = std::mem::take(&mut self.owner);
        if let (Some((pfn, allocation)), true) = (
            page_owner::parse(&record),
            self.allocated.len() < MOST_OWNERS,
        ) {
            self.allocated.insert(pfn, allocation);
        }
    }

    /// A section begins, which may have nothing in it.
    pub fn begin(&mut self, section: Section) {
        self.end_of_section();
        self.section = Some(section);
        match section {
            Section::Marked => self.marked = Some(Vec::new()),
            Section::Ledger => self.ledger = Some(Vec::new()),
            _ => (),
        }
    }

    fn end_of_section(&mut self) {
        self.end_of_owner();
        if let (Some(section), Some(paragraph)) = (self.section, self.paragraphs.end()) {
            self.paragraph(section, &paragraph);
        }
    }

    /// The input is cut off.
    pub fn cut_off(&mut self) {
        self.losses.cut_off = true;
    }

    fn pair(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        if let Some((key, value)) = line.split_once('=') {
            if self.about.len() < MOST_ABOUT {
                self.about.insert(key.to_owned(), value.to_owned());
            }
        }
    }

    fn lost(&mut self, line: &[u8]) {
        match tables::stat(line) {
            Some(("events", count)) => self.losses.events = count,
            Some((name, count)) if count > 0 && self.losses.module.len() < MOST_ABOUT => {
                self.losses.module.insert(name.to_owned(), count);
            }
            _ => (),
        }
    }

    /// Takes a line of a trace. Says what it is, for who wants to know whether this is one.
    pub fn trace_line<'a>(&mut self, line: &'a [u8]) -> Line<'a> {
        let parsed = Line::parse(line);
        if !matches!(parsed, Line::Frame(_)) {
            self.end_of_printed();
        }
        match parsed {
            Line::Event(header, event) => self.event(&header, &event),
            Line::StackBegins(header) => self.stack_begins(&header),
            Line::Frame(frame) => self.frame(frame),
            Line::Lost(count) => self.lost_between(count),
            Line::Written { there, written } => {
                let lost = written.saturating_sub(there);
                self.lost_by_heading = self.lost_by_heading.saturating_add(lost);
            }
            Line::Broken => {
                self.losses.broken += 1;
                // Its stack may follow, and is none of theirs.
                self.without_stack.clear();
            }
            // Another event, which may have a stack too.
            Line::Other(Some(header)) => self.may_have_stack(&header, 0),
            Line::Other(None) | Line::Comment => (),
        }
        parsed
    }

    /// Events were lost here, and stacks with them.
    fn lost_between(&mut self, count: Option<u64>) {
        self.without_stack.clear();
        match count {
            Some(count) => self.lost_by_lines = self.lost_by_lines.saturating_add(count),
            None => self.losses.uncounted = true,
        }
    }

    /// There was an event whose stack has this handle, or is none of ours: 0.
    fn may_have_stack(&mut self, header: &Header<'_>, handle: Handle) {
        if handle == 0 {
            self.without_stack.remove(&header.context());
            return;
        }
        if self.without_stack.len() >= MOST_WITHOUT_STACK {
            self.without_stack.clear();
        }
        self.without_stack.insert(header.context(), handle);
    }

    fn stack_begins(&mut self, header: &Header<'_>) {
        let Some(handle) = self.without_stack.remove(&header.context()) else {
            return;
        };
        if !self.printed_stacks.contains_key(&handle) && self.printed_stacks.len() < MOST_STACKS {
            self.printed = Some(Printed {
                handle,
                frames: Vec::new(),
            });
        }
    }

    fn frame(&mut self, frame: &str) {
        if let Some(printed) = &mut self.printed {
            if printed.frames.len() < MOST_FRAMES {
                printed.frames.push(self.names.get(frame));
            }
        }
    }

    fn end_of_printed(&mut self) {
        let Some(Printed { handle, mut frames }) = self.printed.take() else {
            return;
        };
        let is_tracings = |frame: &Name| symbol::is_tracings(symbol::function(frame));
        let ours = frames.iter().rposition(is_tracings).map_or(0, |at| at + 1);
        frames.drain(..ours);
        // The kernel's is of the hook, which for a failure is all that trace-cmd has room for.
        if !frames.is_empty() {
            let class = symbol::class_of(&frames);
            self.printed_stacks.insert(handle, Stack { class, frames });
        }
    }

    fn event(&mut self, header: &Header<'_>, event: &Event<'_>) {
        self.events += 1;
        self.last_ns = self.last_ns.max(header.time_ns);
        self.may_have_stack(header, event.stack());
        match event {
            Event::Report(report) => self.report(header, report),
            Event::Put(put) => self.put(header, put),
            Event::Free(free) => self.free(header, free),
        }
    }

    fn task(&mut self, header: &Header<'_>) -> Task {
        let comm = self.names.shown(header.comm);
        self.know(header.pid, comm.clone());
        Task {
            pid: header.pid,
            comm,
        }
    }

    /// The name of that task, if it is one.
    fn know(&mut self, pid: u32, name: Name) {
        let has_room = self.tasks.len() < MOST_TASKS || self.tasks.contains_key(&pid);
        if has_room && &*name != UNKNOWN {
            self.tasks.insert(pid, name);
        }
    }

    /// The story of a folio that was marked at that time; `None` if there are too many.
    fn draft(&mut self, pfn: u64, reason: &str, stage: &str, marked_ns: u64) -> Option<usize> {
        if let Some(&index) = self.open.get(&pfn) {
            return Some(index);
        }
        if self.drafts.len() >= MOST_STORIES {
            self.losses.stories += 1;
            return None;
        }
        let index = self.drafts.len();
        self.drafts.push(Draft {
            story: Story {
                pfn,
                order: None,
                kind: Kind::Other,
                reason: self.names.get(reason),
                stage: self.names.get(stage),
                marked_ns,
                last_ns: marked_ns,
                failures: Vec::new(),
                attempts: 0,
                puts: Vec::new(),
                more_puts: 0,
                let_go_us: None,
                end: End::Unseen,
                age_us: 0,
                held: Vec::new(),
                allocated: None,
            },
            base: None,
            settled: None,
            batched: None,
            excess: 0,
        });
        self.open.insert(pfn, index);
        Some(index)
    }

    fn report(&mut self, header: &Header<'_>, r: &Report<'_>) {
        let Some(index) = self.draft(r.pfn, r.reason, r.stage, header.time_ns) else {
            return;
        };
        let failure = Failure {
            reason: self.names.get(r.reason),
            stage: self.names.get(r.stage),
            err: r.err,
            result: r.result.map(|result| self.names.get(result)),
            count: r.count,
            expected: r.expected,
            mapcount: r.mapcount,
            task: self.task(header),
            first_ns: header.time_ns,
            last_ns: header.time_ns,
            reports: 1,
            stack: r.stack,
        };
        let draft = &mut self.drafts[index];
        let story = &mut draft.story;
        story.order = Some(r.order);
        story.kind = kind_of(r);
        story.reason = failure.reason.clone();
        story.stage = failure.stage.clone();
        story.last_ns = header.time_ns;
        story.attempts += 1;
        story.age_us = header.time_ns.saturating_sub(story.marked_ns) / 1000;
        let was_batched = r.stage == "isolate" && may_be_batched(story, r.flags);
        draft.excess = i64::from(failure.excess()) - i64::from(was_batched);
        draft.batched = None;
        if failure.excess() > 0 {
            let isolation = i32::from(r.stage == "migrate");
            draft.base = r
                .expected
                .checked_sub(isolation)
                .and_then(|rest| rest.checked_sub(r.mapcount));
            draft.settled = None;
        }
        let has_room =
            story.failures.len() < MOST_FAILURES && self.failures_in_all < MOST_FAILURES_IN_ALL;
        let failures = story.failures.len();
        remember(&mut story.failures, failure, has_room);
        if failures > 0 && story.failures.len() > failures {
            self.failures_in_all += 1;
        }
    }

    fn put(&mut self, header: &Header<'_>, p: &Put<'_>) {
        if p.stack == 0 {
            self.losses.stacks += 1;
        }
        let marked_ns = header.time_ns.saturating_sub(p.age_us.saturating_mul(1000));
        // Its mark is younger than what is known of it: the end of that was lost.
        if let Some(&index) = self.open.get(&p.pfn) {
            let known = &self.drafts[index].story;
            let is_later = known.last_ns.saturating_add(SLACK_NS) < marked_ns;
            if p.age_us < known.age_us && is_later && !header.is_count {
                self.open.remove(&p.pfn);
            }
        }
        let Some(index) = self.draft(p.pfn, p.reason, p.stage, marked_ns) else {
            return;
        };
        let task = self.task(header);
        let draft = &mut self.drafts[index];
        let story = &mut draft.story;
        story.last_ns = story.last_ns.max(header.time_ns);
        story.age_us = story.age_us.max(p.age_us);
        let refs = u64::try_from(p.refs).unwrap_or(0);
        let same = |puts: &Puts| puts.stack == p.stack && is_same_task(&puts.task, &task);
        let which = match story.puts.iter().position(same) {
            Some(which) => {
                let puts = &mut story.puts[which];
                if &*puts.task.comm == UNKNOWN {
                    puts.task = task;
                }
                puts.puts += 1;
                puts.refs = puts.refs.saturating_add(refs);
                puts.first_us = puts.first_us.min(p.age_us);
                puts.last_us = puts.last_us.max(p.age_us);
                puts.last |= p.last;
                which
            }
            None if story.puts.len() >= MOST_PUTS || self.puts_in_all >= MOST_PUTS_IN_ALL => {
                story.more_puts += 1;
                return;
            }
            None => {
                self.puts_in_all += 1;
                story.puts.push(Puts {
                    role: Role::Before,
                    stack: p.stack,
                    task,
                    puts: 1,
                    refs,
                    first_us: p.age_us,
                    last_us: p.age_us,
                    last: p.last,
                });
                story.puts.len() - 1
            }
        };
        let accounted = draft
            .base
            .map(|base| i64::from(base) + i64::from(p.mapcount));
        let is_back = |more| accounted.is_some_and(|n| i64::from(p.count) <= n + more);
        if draft.settled.is_none() && is_back(0) {
            draft.settled = Some((which, p.age_us));
        }
        let batch = i64::from(may_be_batched(story, p.flags));
        if !is_back(batch) {
            draft.batched = None;
        } else if batch > 0 && draft.excess > 0 {
            draft.batched.get_or_insert((which, p.age_us));
        }
    }

    fn free(&mut self, header: &Header<'_>, f: &Free<'_>) {
        let marked_ns = header.time_ns.saturating_sub(f.age_us.saturating_mul(1000));
        let Some(index) = self.draft(f.pfn, f.reason, f.stage, marked_ns) else {
            return;
        };
        self.open.remove(&f.pfn);
        let story = &mut self.drafts[index].story;
        story.last_ns = story.last_ns.max(header.time_ns);
        story.age_us = f.age_us;
        story.end = match f.cause {
            "freed" => End::Freed,
            "unpinned" => End::Unpinned,
            "expired" => End::Expired,
            "evicted" => End::Evicted,
            "forgotten" => End::Forgotten,
            _ => End::Unseen,
        };
    }

    fn paragraph(&mut self, section: Section, p: &Paragraph) {
        if matches!(
            section,
            Section::Stacks | Section::Holders | Section::Ledger
        ) {
            self.stack(p);
        }
        match section {
            Section::Marked => {
                let row = self.marked_row(p);
                let rows = self.marked.get_or_insert_default();
                rows.extend(row.filter(|_| rows.len() < MOST_STORIES));
            }
            Section::Ledger => {
                let row = self.reference(p);
                let rows = self.ledger.get_or_insert_default();
                rows.extend(row.filter(|_| rows.len() < MOST_STORIES));
            }
            _ => (),
        }
    }

    fn stack(&mut self, p: &Paragraph) {
        let handle = p.handle("stack");
        let is_full = self.stacks.len() >= MOST_STACKS || self.frames_in_all >= MOST_FRAMES_IN_ALL;
        if handle == 0 || p.frames.is_empty() || is_full {
            return;
        }
        let said = p.get("class").and_then(symbol::class_by_name);
        if let Some(known) = self.stacks.get_mut(&handle) {
            known.class = said.unwrap_or(known.class);
            return;
        }
        let frames: Vec<_> = p.frames.iter().map(|f| self.names.get(f)).collect();
        self.frames_in_all += frames.len();
        let class = said.unwrap_or_else(|| symbol::class_of(&frames));
        self.stacks.insert(handle, Stack { class, frames });
    }

    fn marked_row(&mut self, p: &Paragraph) -> Option<Marked> {
        Some(Marked {
            pfn: p.pfn()?,
            order: p.number("order"),
            attempts: p.number("attempts")?,
            age_us: p.number("age_us")?,
            failure: Failure {
                reason: self.names.get(p.get("reason")?),
                stage: self.names.get(p.get("stage")?),
                err: p.number("err")?,
                result: p.get("result").map(|result| self.names.get(result)),
                count: p.number("count")?,
                expected: p.number("expected")?,
                mapcount: 0,
                task: self.row_task(p)?,
                first_ns: 0,
                last_ns: 0,
                reports: 0,
                stack: p.handle("stack"),
            },
        })
    }

    fn row_task(&mut self, p: &Paragraph) -> Option<Task> {
        Some(Task {
            pid: p.number("pid")?,
            comm: self.names.shown(p.get("comm")?.as_bytes()),
        })
    }

    fn reference(&mut self, p: &Paragraph) -> Option<(u64, Reference)> {
        let reference = Reference {
            refs: p.number("refs")?,
            pin: p.get("pin") == Some("1"),
            sure: self.names.get(p.get("sure")?),
            age_ms: p.number("age_ms")?,
            long: p.get("long") == Some("1"),
            task: self.row_task(p)?,
            stack: p.handle("stack"),
            owner: p.handle("owner"),
            class: p
                .get("class")
                .and_then(symbol::class_by_name)
                .unwrap_or_default(),
        };
        Some((p.pfn()?, reference))
    }

    /// All that was made of it.
    pub fn finish(mut self) -> Findings {
        self.end_of_printed();
        self.end_of_section();
        let is_filtered = ["reason", "pfn"]
            .iter()
            .any(|key| self.about.contains_key(*key));
        let is_marked = self
            .marked
            .take()
            .map(|rows| self.still_marked(rows, is_filtered));
        self.references(is_marked.as_ref());
        for (pfn, allocation) in std::mem::take(&mut self.allocated) {
            if let Some(&index) = self.open.get(&pfn) {
                self.drafts[index].story.allocated = Some(Box::new(allocation));
            }
        }
        for (handle, stack) in std::mem::take(&mut self.printed_stacks) {
            self.stacks.entry(handle).or_insert(stack);
        }
        self.name_tasks();
        let stacks = std::mem::take(&mut self.stacks);
        let open = std::mem::take(&mut self.open);
        let mut stories: Vec<_> = std::mem::take(&mut self.drafts)
            .into_iter()
            .enumerate()
            .map(|(index, draft)| {
                let is_open = open.get(&draft.story.pfn) == Some(&index);
                let is_there = is_marked
                    .as_ref()
                    .is_none_or(|pfns| pfns.contains(&draft.story.pfn));
                close(draft, is_open && is_there, &stacks)
            })
            .collect();
        stories.sort_by_key(Story::wanted);
        if self.losses.events == 0 {
            self.losses.events = self.lost_by_heading.max(self.lost_by_lines);
        }
        Findings {
            about: self.about,
            holders: holders(&stories),
            stories,
            stacks,
            losses: self.losses,
        }
    }

    /// Names those tasks whose events had no name.
    fn name_tasks(&mut self) {
        for draft in &mut self.drafts {
            let failures = draft.story.failures.iter_mut().map(|f| &mut f.task);
            let puts = draft.story.puts.iter_mut().map(|p| &mut p.task);
            for task in failures.chain(puts).filter(|t| &*t.comm == UNKNOWN) {
                if let Some(name) = self.tasks.get(&task.pid) {
                    task.comm = name.clone();
                }
            }
        }
    }

    /// Joins in the table `marked`; returns what it has.
    fn still_marked(&mut self, rows: Vec<Marked>, is_filtered: bool) -> HashSet<u64> {
        let mut is_marked = HashSet::with_capacity(rows.len());
        for row in rows {
            is_marked.insert(row.pfn);
            let marked_ns = self.last_ns.saturating_sub(row.age_us.saturating_mul(1000));
            let is_new = !self.open.contains_key(&row.pfn);
            if is_new && is_filtered {
                continue;
            }
            let (reason, stage) = (row.failure.reason.clone(), row.failure.stage.clone());
            let Some(index) = self.draft(row.pfn, &reason, &stage, marked_ns) else {
                continue;
            };
            let story = &mut self.drafts[index].story;
            story.order = story.order.or(row.order);
            story.attempts = story.attempts.max(row.attempts);
            story.age_us = story.age_us.max(row.age_us);
            if story.failures.is_empty() {
                story.failures.push(row.failure);
            }
        }
        is_marked
    }

    /// Joins in the ledger, for folios whose story has not ended.
    fn references(&mut self, is_marked: Option<&HashSet<u64>>) {
        for (pfn, reference) in self.ledger.take().into_iter().flatten() {
            // Its own references are no holder's.
            let Some(&index) = self.open.get(&pfn) else {
                continue;
            };
            if reference.class == Class::Holder && is_marked.is_none_or(|m| m.contains(&pfn)) {
                self.drafts[index].story.held.push(reference);
            }
        }
    }
}

/// Adds a failure, or makes it one with that of the same place; without room, with the last one.
fn remember(failures: &mut Vec<Failure>, new: Failure, has_room: bool) {
    let is_same = |old: &Failure| {
        old.stack == new.stack && old.reason == new.reason && old.stage == new.stage
    };
    let same = failures.iter().position(is_same);
    let last = failures.len().checked_sub(1).filter(|_| !has_room);
    match same.or(last).and_then(|at| failures.get_mut(at)) {
        Some(old) => {
            *old = Failure {
                first_ns: old.first_ns,
                reports: old.reports.saturating_add(1),
                ..new
            };
        }
        None => failures.push(new),
    }
}

/// Are they one, as far as is known?
fn is_same_task(one: &Task, other: &Task) -> bool {
    let is_unknown = |task: &Task| &*task.comm == UNKNOWN;
    one.pid == other.pid && (one.comm == other.comm || is_unknown(one) || is_unknown(other))
}

/// Is such a folio, with these flags, likely in a batch of the LRU lists, or isolated from them? One
/// of more than a page never is.
fn may_be_batched(story: &Story, flags: &str) -> bool {
    story.order == Some(0) && story.kind != Kind::Other && !has_flag(flags, "lru")
}

fn has_flag(flags: &str, name: &str) -> bool {
    flags.split('|').any(|flag| flag == name)
}

/// What kind of memory was reported: what the kernel accounts for, beside mappings, tells.
fn kind_of(r: &Report<'_>) -> Kind {
    let has = |name| has_flag(r.flags, name);
    let isolation = i32::from(r.stage == "migrate");
    let more = i64::from(r.expected) - i64::from(isolation) - i64::from(r.mapcount);
    let nothing = r
        .mapping
        .trim_start_matches("0x")
        .bytes()
        .all(|c| c == b'0')
        || r.mapping == "(nil)";
    // A poisoned page has one more.
    if nothing || r.mapping.is_empty() || has("hwpoison") {
        return Kind::Other;
    }
    // What is in the swap cache is anonymous.
    match (
        has("swapbacked"),
        more > 0 && !has("swapcache") && !has("owner_priv_1"),
    ) {
        (true, true) => Kind::Shmem,
        (true, false) => Kind::Anon,
        (false, true) => Kind::File,
        (false, false) => Kind::Other,
    }
}

/// Ends a story: who of all that put the folio had held it?
fn close(draft: Draft, is_open: bool, stacks: &BTreeMap<Handle, Stack>) -> Story {
    let Draft {
        mut story,
        mut settled,
        batched,
        excess,
        ..
    } = draft;
    let tried: Vec<_> = story.failures.iter().map(|f| f.task.clone()).collect();
    let class_of = |puts: &Puts| match stacks.get(&puts.stack) {
        Some(stack) => stack.class,
        // Without a stack the task has to tell: who tries to move it puts it for that.
        None if tried.contains(&puts.task) => Class::Migrator,
        None => Class::Holder,
    };
    let is_holders = |&(which, _): &(usize, u64)| class_of(&story.puts[which]) == Class::Holder;
    if let (None, Some(_)) = (settled, batched.filter(is_holders)) {
        settled = batched;
    }
    for puts in &mut story.puts {
        puts.role = match class_of(puts) {
            Class::Migrator => Role::Migrator,
            Class::Lru => Role::Lru,
            Class::Holder => match settled {
                Some((_, age)) if puts.first_us > age => Role::After,
                _ => Role::Before,
            },
        };
    }
    if let Some((which, age)) = settled {
        let_go(&mut story, which, age, excess);
    }
    story.puts.sort_by_key(|puts| (puts.role, puts.first_us));
    story.puts.shrink_to_fit();
    if is_open && story.end == End::Unseen {
        let is_let_go = settled.is_some() || story.has_passed();
        story.end = if is_let_go && story.held.is_empty() {
            End::LetGo
        } else {
            End::Held
        };
    }
    story
}

/// The references were back to what the kernel accounts for at `age`, with the puts `which`: the
/// last ones before that, as many as were too many, are those of the holders.
fn let_go(story: &mut Story, which: usize, age: u64, mut excess: i64) {
    let mut before: Vec<_> = (0..story.puts.len())
        .filter(|&i| story.puts[i].role == Role::Before)
        .collect();
    // One that went on to put the folio has put it first then.
    let at = |i: &usize| match story.puts[*i] {
        ref puts if puts.last_us <= age => puts.last_us,
        ref puts => puts.first_us,
    };
    before.sort_by_key(|i| std::cmp::Reverse((*i == which, at(i))));
    story.let_go_us = Some(before.first().map_or(age, at));
    for i in before {
        if excess <= 0 {
            break;
        }
        let puts = &mut story.puts[i];
        puts.role = Role::LetGo;
        excess = excess.saturating_sub_unsigned(puts.refs.max(1));
    }
}

/// Totals of one stack.
struct Total {
    holder: Holder,
    /// The story that was added last.
    last: usize,
}

/// The totals of each stack that held something.
fn holders(stories: &[Story]) -> Vec<Holder> {
    let mut totals: HashMap<(Handle, bool), Total> = HashMap::new();
    for (index, story) in stories.iter().enumerate() {
        let mut add = |stack, still, puts, us: u64, task: &Task| {
            let total = totals.entry((stack, still)).or_insert_with(|| Total {
                holder: Holder {
                    stack,
                    still,
                    folios: 0,
                    puts: 0,
                    min_us: u64::MAX,
                    avg_us: 0,
                    max_us: 0,
                    sum_us: 0,
                    task: task.clone(),
                    reasons: Vec::new(),
                },
                last: usize::MAX,
            });
            let holder = &mut total.holder;
            holder.puts += puts;
            // Of several tasks, or references, the first one stands for the folio.
            if std::mem::replace(&mut total.last, index) == index {
                return;
            }
            holder.folios += 1;
            holder.min_us = holder.min_us.min(us);
            holder.max_us = holder.max_us.max(us);
            holder.sum_us = holder.sum_us.saturating_add(us);
            if !holder.reasons.contains(&story.reason) {
                holder.reasons.push(story.reason.clone());
            }
        };
        for (stack, puts, us, task) in story.held_by() {
            add(stack, false, puts, us, task);
        }
        for reference in &story.held {
            let us = reference.age_ms.saturating_mul(1000);
            add(reference.stack, true, 1, us, &reference.task);
        }
    }
    let mut holders: Vec<_> = totals
        .into_values()
        .map(|Total { mut holder, .. }| {
            holder.avg_us = holder.sum_us / holder.folios.max(1);
            holder.reasons.sort();
            holder
        })
        .collect();
    holders.sort_by_key(|h| {
        use std::cmp::Reverse;
        (Reverse(h.folios), Reverse(h.sum_us), h.stack, h.still)
    });
    holders
}
