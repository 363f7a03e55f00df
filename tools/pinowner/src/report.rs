// SPDX-License-Identifier: GPL-2.0

//! The stories as text, in the spirit of a KFENCE report: one title line, where it failed, who let
//! go. Stories that tell the same are told once.

use crate::alike::alike;
use crate::page_owner;
use crate::show::{Count, Path, References, Time, Times, pfns};
use crate::story::{End, Failure, Findings, Handle, Holder, Losses, Name, Puts, Role, Story};
use crate::symbol;
use std::io::{self, Write};

const RULE: &str = "==================================================================";
/// Frames of a stack that are shown.
const MOST_FRAMES: usize = 12;
/// Others that put a folio while it was held.
const MOST_OTHERS: usize = 3;

/// All of it. Stories beyond `most` are only counted.
///
/// # Errors
///
/// What writing says.
pub fn text(findings: &Findings, most: usize, out: &mut impl Write) -> io::Result<()> {
    about(findings, out)?;
    let groups = alike(&findings.stories);
    for group in groups.iter().take(most) {
        writeln!(out, "{RULE}")?;
        Told { findings, group }.text(out)?;
    }
    if !groups.is_empty() {
        writeln!(out, "{RULE}")?;
    }
    if let Some(more) = groups.len().checked_sub(most).filter(|&more| more > 0) {
        let folios = groups[most..].iter().map(|group| group.len() as u64).sum();
        let folios = Count(folios, "folio");
        let stories = if more == 1 { "story" } else { "stories" };
        writeln!(out, "{more} more {stories}, of {folios}: see --limit\n")?;
    }
    totals(findings, out)?;
    losses(&findings.losses, out)
}

/// Where and how it was recorded.
fn about(findings: &Findings, out: &mut impl Write) -> io::Result<()> {
    let get = |key| findings.about.get(key).map_or("", String::as_str);
    if get("kernel").is_empty() {
        return Ok(());
    }
    let (host, kernel, machine) = (get("host"), get("kernel"), get("machine"));
    write!(
        out,
        "recorded on {host}, {kernel} {machine}, {}",
        get("started")
    )?;
    if !get("command").is_empty() {
        write!(out, ", running: {}", get("command"))?;
    }
    if !get("status").is_empty() {
        write!(out, " ({})", get("status"))?;
    }
    for only in ["reason", "pfn"]
        .iter()
        .filter(|only| !get(only).is_empty())
    {
        write!(out, ", only {only} {}", get(only))?;
    }
    writeln!(out)
}

/// One story, of one folio or many.
pub(crate) struct Told<'a> {
    /// All that is known.
    pub findings: &'a Findings,
    /// Stories that tell the same, see [`alike`].
    pub group: &'a [&'a Story],
}

impl<'a> Told<'a> {
    /// The most wanted of them, which stands for all.
    fn story(&self) -> &'a Story {
        self.group[0]
    }

    fn text(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}", self.title())?;
        self.body(out)
    }

    /// What comes below the title.
    ///
    /// # Errors
    ///
    /// What writing says.
    pub fn body(&self, out: &mut impl Write) -> io::Result<()> {
        for failure in &self.story().failures {
            writeln!(out, "\n{}:", self.failed(failure))?;
            self.frames(failure.stack, symbol::attempt, out)?;
        }
        self.holders(out)?;
        if self.story().is_held() {
            self.held(out)?;
        }
        if let Some(allocation) = &self.story().allocated {
            writeln!(
                out,
                "\nallocated by {}, {}:",
                allocation.task, allocation.gfp
            )?;
            lines(page_owner::telling(&allocation.frames), out)?;
        }
        writeln!(out)?;
        if let Some(besides) = self.besides() {
            writeln!(out, "besides: {besides}")?;
        }
        writeln!(out, "{}", self.end())
    }

    /// `contig_range failed: pfn 0x91430 (shmem, order 0), 1 reference more than expected`
    pub fn title(&self) -> String {
        let story = self.story();
        let what = match (&*story.reason, story.failures.last()) {
            ("manual", _) => "marked by hand".to_owned(),
            (
                "hwpoison",
                Some(Failure {
                    result: Some(result),
                    ..
                }),
            ) => format!("hwpoison ({result})"),
            (reason, _) => format!("{reason} failed"),
        };
        let pages = 1 << story.order.unwrap_or(0).min(30);
        let mut title = format!("{what}: ");
        if self.group.len() > 1 {
            title += &format!("{}, ", Count(self.group.len() as u64, "folio"));
        }
        title += "pfn ";
        title += &pfns(self.group.iter().map(|s| (s.pfn, pages)).collect());
        if let Some(order) = story.order {
            title += &format!(" ({}, order {order})", story.kind);
        }
        if !story.failures.is_empty() {
            title += &format!(", {} more than expected", self.excess());
        }
        title
    }

    fn order(&self) -> u32 {
        self.story().order.unwrap_or(0)
    }

    fn excess(&self) -> References {
        References {
            refs: u64::try_from(self.story().excess()).unwrap_or(0),
            order: self.order(),
        }
    }

    /// From the least to the greatest of something of each folio.
    fn range(&self, of: impl Fn(&Story) -> u64) -> (u64, u64) {
        let values = || self.group.iter().map(|story| of(story));
        (values().min().unwrap_or(0), values().max().unwrap_or(0))
    }

    fn failed(&self, failure: &Failure) -> String {
        let story = self.story();
        let mut text = format!("failed at stage {}", failure.stage);
        if failure.reason != story.reason {
            text += &format!(" ({})", failure.reason);
        }
        // Attempts are counted of all places together.
        if story.failures.len() == 1 {
            let (least, most) = self.range(|story| story.attempts);
            match (least, most) {
                (0 | 1, 1) => (),
                (least, most) if least == most => text += &format!(", {most} attempts"),
                (least, most) => text += &format!(", {least} to {most} attempts"),
            }
        }
        text + &format!(", by {}", failure.task)
    }

    /// Who let go; or who may have.
    fn holders(&self, out: &mut impl Write) -> io::Result<()> {
        let story = self.story();
        let holders = story.puts.iter().filter(|puts| puts.role.is_holder());
        let mut others = 0;
        for puts in holders {
            let what = match puts.role {
                Role::LetGo => "let go",
                // Who holds it has not put it.
                _ if story.is_held() => "put meanwhile",
                _ if story.let_go_us.is_some() => "put before that",
                _ => "put",
            };
            if puts.role != Role::LetGo {
                others += 1;
                if others > MOST_OTHERS {
                    continue;
                }
            }
            let refs = References {
                refs: puts.refs,
                order: self.order(),
            };
            let after = self.after(puts);
            let task = &puts.task;
            writeln!(out, "\n{what} after {after} by {task}, {refs}:")?;
            self.frames(puts.stack, symbol::telling, out)?;
        }
        if let Some(more) = others.checked_sub(MOST_OTHERS).filter(|&more| more > 0) {
            writeln!(out, "\nand put from {}", Count(more as u64, "other place"))?;
        }
        Ok(())
    }

    /// When these puts came, in all of the folios.
    fn after(&self, puts: &Puts) -> Times {
        let same = |p: &&Puts| (p.role, p.stack, &p.task) == (puts.role, puts.stack, &puts.task);
        let (first, _) = self.range(|s| s.puts.iter().find(same).map_or(0, |p| p.first_us));
        let (_, last) = self.range(|s| s.puts.iter().find(same).map_or(0, |p| p.last_us));
        Times(first, last)
    }

    /// What is known of who holds it still.
    fn held(&self, out: &mut impl Write) -> io::Result<()> {
        let story = self.story();
        for reference in &story.held {
            let refs = References {
                refs: u64::try_from(reference.refs).unwrap_or(0),
                order: self.order(),
            };
            if &*reference.sure == "unseen" {
                writeln!(out, "\nheld still: {refs}, older than the watch")?;
                continue;
            }
            let sure = match &*reference.sure {
                "certain" => "",
                "likely" => " (likely)",
                _ => " (this or another one)",
            };
            let of = |story: &Story| {
                let same = story.held.iter().find(|r| r.stack == reference.stack);
                same.map_or(reference.age_ms, |r| r.age_ms)
            };
            let (first, last) = self.range(of);
            let time = Times(first.saturating_mul(1000), last.saturating_mul(1000));
            let task = &reference.task;
            writeln!(
                out,
                "\nheld still{sure}: {refs}, taken {time} ago by {task}:"
            )?;
            self.frames(reference.stack, symbol::telling, out)?;
        }
        if story.held.is_empty() {
            writeln!(
                out,
                "\nheld still, and it was not watched. To know by whom the next time:"
            )?;
            let pages = 1u64 << self.order().min(30);
            writeln!(out, " pinowner watch 0x{:x}+{pages}", story.pfn)?;
        }
        Ok(())
    }

    /// What happens to every folio that fails.
    fn besides(&self) -> Option<String> {
        let puts = |role| {
            let all = self.group.iter().flat_map(|story| &story.puts);
            let sum = all.filter(|p| p.role == role).map(|p| p.puts).sum();
            (sum > 0).then_some(Count(sum, "put"))
        };
        let more: u64 = self.group.iter().map(|story| story.more_puts).sum();
        let said = [
            puts(Role::Migrator).map(|puts| format!("{puts} by the kernel trying to move it")),
            puts(Role::Lru).map(|puts| format!("{puts} by batches of the LRU lists")),
            puts(Role::After).map(|puts| format!("{puts} after it was let go")),
            (more > 0).then(|| format!("{} from more places than are kept", Count(more, "put"))),
        ];
        let said: Vec<_> = said.into_iter().flatten().collect();
        (!said.is_empty()).then(|| said.join(", "))
    }

    fn end(&self) -> String {
        let story = self.story();
        let (first, last) = self.range(|story| story.age_us);
        let after = Times(first, last);
        let still = if story.is_held() { ", held still" } else { "" };
        match story.end {
            End::Freed => format!("freed after {after}"),
            End::Unpinned => format!("nobody held it after {after}"),
            End::Expired => format!("marked for too long, after {after}{still}"),
            End::Evicted => format!("made room for another folio after {after}{still}"),
            End::Forgotten => format!("forgotten after {after}{still}"),
            End::LetGo => format!("not freed, {after} after it failed"),
            End::Held => format!("not let go, {after} after it failed"),
            End::Unseen => format!("its end was not seen; last heard of after {after}"),
        }
    }

    fn frames(
        &self,
        stack: Handle,
        part: fn(&[Name]) -> &[Name],
        out: &mut impl Write,
    ) -> io::Result<()> {
        let Some(stack) = self.findings.stacks.get(&stack) else {
            return match stack {
                0 => writeln!(out, " (its stack was lost)"),
                handle => writeln!(out, " (stack {handle}, which is not in the input)"),
            };
        };
        lines(part(&stack.frames), out)
    }
}

/// Frames, not too many of them.
fn lines(frames: &[Name], out: &mut impl Write) -> io::Result<()> {
    for frame in frames.iter().take(MOST_FRAMES) {
        writeln!(out, " {frame}")?;
    }
    if frames.len() > MOST_FRAMES {
        writeln!(out, " ...")?;
    }
    Ok(())
}

/// How much each stack held, for how long.
fn totals(findings: &Findings, out: &mut impl Write) -> io::Result<()> {
    let stories = &findings.stories;
    let held = stories.iter().filter(|story| story.is_held()).count();
    let ended = stories.len() - held;
    writeln!(
        out,
        "{}: {held} held still, {ended} let go",
        Count(stories.len() as u64, "folio"),
    )?;
    for still in [true, false] {
        let mut rows = findings
            .holders
            .iter()
            .filter(|h| h.still == still)
            .peekable();
        if rows.peek().is_none() {
            continue;
        }
        let heading = match still {
            true => "who holds folios still, and for how long:",
            false => "who let go of folios, and how long after they failed:",
        };
        writeln!(out, "\n{heading}")?;
        writeln!(out, "folios        min        avg        max  by")?;
        rows.try_for_each(|holder| row(findings, holder, out))?;
    }
    Ok(())
}

fn row(findings: &Findings, holder: &Holder, out: &mut impl Write) -> io::Result<()> {
    let time = |us| Time(us).to_string();
    let stack = findings.stacks.get(&holder.stack);
    let frames = stack.map_or(&[][..], |stack| &stack.frames);
    write!(
        out,
        "{:6} {:>10} {:>10} {:>10}  {}",
        holder.folios,
        time(holder.min_us),
        time(holder.avg_us),
        time(holder.max_us),
        holder.task,
    )?;
    match frames {
        [] => writeln!(out, ", stack {}", holder.stack),
        frames => writeln!(out, ": {}", Path(frames)),
    }
}

/// What is missing.
fn losses(losses: &Losses, out: &mut impl Write) -> io::Result<()> {
    let lines = missing(losses);
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nNot all is there:")?;
    lines.iter().try_for_each(|line| writeln!(out, " {line}"))
}

/// What is missing, a line for each thing.
pub(crate) fn missing(losses: &Losses) -> Vec<String> {
    let mut lines = Vec::new();
    if losses.cut_off {
        lines.push("the recording is cut off".into());
    }
    if losses.events > 0 {
        let events = Count(losses.events, "event");
        lines.push(format!("{events} did not fit into the buffer of the trace"));
    } else if losses.uncounted {
        lines.push("events did not fit into the buffer of the trace".into());
    }
    if losses.broken > 0 {
        let broken = Count(losses.broken, "line");
        lines.push(format!("{broken} of the trace could not be read"));
    }
    if losses.stacks > 0 {
        lines.push(format!("the stacks of {}", Count(losses.stacks, "put")));
    }
    if losses.stories > 0 {
        let events = Count(losses.stories, "event");
        lines.push(format!("{events} of folios beyond the first million"));
    }
    for (name, count) in &losses.module {
        lines.push(format!("{name}={count}, says the module"));
    }
    lines
}
