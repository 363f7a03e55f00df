// SPDX-License-Identifier: GPL-2.0

//! Which bars there are, and in which order: those of one holder side by side, the most wanted
//! first.

use crate::colour::Colours;
use crate::show::{Count, Path, Times};
use crate::story::{End, Findings, Handle, Story, Task};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

/// Groups that have rows of their own; the rest is one group together.
const MOST_GROUPS: usize = 12;
/// Rows of a group that does not fit in as a whole.
const SHARE: usize = 16;

/// Who held a folio, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// This stack took what was not given back.
    Holds(Handle),
    /// Somebody has it still, of whom nothing is known.
    Unwatched,
    /// This stack let go.
    LetGo(Handle),
    /// This stack put it, and may have held it.
    Put(Handle),
    /// No put of a holder's was seen.
    Nobody,
    /// One of those for whom there is no room.
    Others,
}

impl Who {
    /// Who held this folio; of several the first.
    pub fn of(story: &Story) -> Self {
        let named = story.held.iter().find(|r| &*r.sure != "unseen");
        let put = story.held_by().next().map(|(stack, ..)| stack);
        match (named, put) {
            (Some(reference), _) => Who::Holds(reference.stack),
            (None, _) if story.is_held() => Who::Unwatched,
            (None, Some(stack)) if story.let_go_us.is_some() => Who::LetGo(stack),
            (None, Some(stack)) => Who::Put(stack),
            (None, None) => Who::Nobody,
        }
    }

    /// His stack.
    pub fn stack(self) -> Option<Handle> {
        match self {
            Who::Holds(stack) | Who::LetGo(stack) | Who::Put(stack) => Some(stack),
            Who::Unwatched | Who::Nobody | Who::Others => None,
        }
    }

    fn is_held(self) -> bool {
        matches!(self, Who::Holds(_) | Who::Unwatched)
    }

    fn task(self, story: &Story) -> Option<&Task> {
        match self {
            Who::Holds(stack) => {
                let reference = story.held.iter().find(|r| r.stack == stack);
                reference.map(|r| &r.task)
            }
            _ => story.held_by().next().map(|(.., task)| task),
        }
    }
}

/// How long a folio was held after it failed, in a recording that ended then.
pub fn held_us(story: &Story, end_ns: u64) -> u64 {
    let until_the_end = end_ns.saturating_sub(story.marked_ns) / 1000;
    match story.let_go_us {
        Some(us) if story.held.is_empty() => us,
        _ if story.end == End::Held => until_the_end.max(story.age_us),
        _ => story.age_us,
    }
}

/// The folios of one holder.
#[derive(Debug)]
pub struct Group<'a> {
    /// Whose.
    pub who: Who,
    /// Those that have a row, the most wanted first.
    pub rows: Vec<&'a Story>,
    /// The others, drawn together.
    pub more: Vec<&'a Story>,
}

impl<'a> Group<'a> {
    fn folios(&self) -> impl Iterator<Item = &'a Story> {
        self.rows.iter().chain(&self.more).copied()
    }

    /// Which colour it has.
    pub fn colour(&self, colours: &Colours) -> Option<usize> {
        self.who.stack().and_then(|stack| colours.get(stack))
    }

    /// The holder, in a line: the function that tells, who called it, the task.
    pub fn heading(&self, findings: &Findings, end_ns: u64) -> (String, String) {
        let name = match (self.who, self.who.stack()) {
            (_, Some(stack)) => match findings.stacks.get(&stack) {
                Some(stack) => Path(&stack.frames).to_string(),
                None if stack == 0 => "a stack that was lost".into(),
                None => format!("stack {stack}"),
            },
            (Who::Unwatched, _) => "not known by whom: these pages were not watched".into(),
            (Who::Others, _) => "all other holders".into(),
            _ => "nobody was seen to let go".into(),
        };
        (name, self.what(end_ns))
    }

    /// What it did.
    fn what(&self, end_ns: u64) -> String {
        let folios = Count((self.rows.len() + self.more.len()) as u64, "folio");
        let us = |story: &Story| held_us(story, end_ns);
        let (least, most) = (
            self.folios().map(us).min().unwrap_or(0),
            self.folios().map(us).max().unwrap_or(0),
        );
        let times = Times(least, most);
        let task = self.tasks().map_or_else(String::new, |tasks| tasks + " ");
        match self.who {
            Who::Holds(_) => format!("{task}holds {folios} still, {times} after they failed"),
            Who::Unwatched => format!("{folios} held still, {times} after they failed"),
            Who::LetGo(_) => format!("{task}held {folios} for {times}"),
            Who::Put(_) => format!("{task}put {folios}, and may have held them"),
            Who::Nobody | Who::Others => format!("{folios}, {times}"),
        }
    }

    fn tasks(&self) -> Option<String> {
        self.who.stack()?;
        let mut tasks = self.folios().filter_map(|story| self.who.task(story));
        let first = tasks.next()?;
        let others: HashSet<_> = tasks.filter(|task| *task != first).collect();
        Some(match others.len() as u64 {
            0 => first.to_string(),
            n => format!("{first} and {}", Count(n, "other task")),
        })
    }
}

/// All groups, with no more than `most` rows in all. The rows of a group are in the order of time,
/// as bars are easier to read so.
pub fn groups(findings: &Findings, most: usize) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut index = HashMap::new();
    for story in &findings.stories {
        let who = Who::of(story);
        let at = *index.entry(who).or_insert(groups.len());
        if at == groups.len() {
            groups.push(Group {
                who,
                rows: Vec::new(),
                more: Vec::new(),
            });
        }
        groups[at].rows.push(story);
    }
    if findings.stories.len() > most {
        groups = bounded(groups, most);
    }
    for group in &mut groups {
        group.rows.sort_by_key(|story| (story.marked_ns, story.pfn));
    }
    groups
}

/// Leaves as many rows as there is room for.
fn bounded(mut groups: Vec<Group<'_>>, most: usize) -> Vec<Group<'_>> {
    // Those with little are left out, not those that come late; but who holds something still is
    // wanted, however little it is.
    if groups.len() > MOST_GROUPS {
        let mut order: Vec<_> = (0..groups.len()).collect();
        order.sort_by_key(|&n| Reverse((groups[n].who.is_held(), groups[n].rows.len())));
        let wanted: HashSet<_> = order.into_iter().take(MOST_GROUPS).collect();
        let (mut kept, mut rest) = (Vec::new(), Vec::new());
        for (n, group) in groups.into_iter().enumerate() {
            if wanted.contains(&n) {
                kept.push(group);
            } else {
                rest.extend(group.rows);
            }
        }
        groups = kept;
        if !rest.is_empty() {
            groups.push(Group {
                who: Who::Others,
                rows: rest,
                more: Vec::new(),
            });
        }
    }
    let share = (most / groups.len().max(1)).clamp(1, SHARE);
    for group in &mut groups {
        if group.rows.len() > share {
            group.more = group.rows.split_off(share);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::Role;
    use crate::testing;

    #[test]
    fn each_folio_is_in_one_group() {
        for findings in [testing::small(), testing::big(5000)] {
            let groups = groups(&findings, 200);
            let folios: usize = groups.iter().map(|g| g.folios().count()).sum();
            assert_eq!(folios, findings.stories.len());
            let rows: usize = groups.iter().map(|g| g.rows.len()).sum();
            assert!(rows <= 200, "{rows}");
        }
    }

    #[test]
    fn who_holds_something_still_is_not_left_out() {
        let mut findings = testing::big(5000);
        for (n, story) in findings.stories.iter_mut().enumerate() {
            story.let_go_us = None;
            story.end = End::Freed;
            story.puts[0].role = Role::Before;
            story.puts[0].stack = 100 + n as u32 % 50;
        }
        findings.stories[4999].end = End::Held;
        let groups = groups(&findings, 200);
        assert_eq!(groups.len(), MOST_GROUPS + 1);
        assert!(groups.iter().any(|g| g.who == Who::Unwatched));
    }

    #[test]
    fn few_have_a_row_each() {
        let findings = testing::small();
        assert!(groups(&findings, 200).iter().all(|g| g.more.is_empty()));
    }

    #[test]
    fn those_held_still_come_first() {
        let findings = testing::small();
        let groups = groups(&findings, 200);
        assert!(matches!(groups[0].who, Who::Holds(_)));
        let (name, what) = groups[0].heading(&findings, 0);
        assert!(name.starts_with("__do_sys_vmsplice"), "{name}");
        assert!(
            what.starts_with("ppo-pin (pid 135) holds 2 folios still"),
            "{what}"
        );
    }

    #[test]
    fn groups_are_the_holders() {
        let findings = testing::small();
        for holder in &findings.holders {
            let who = match holder.still {
                true => Who::Holds(holder.stack),
                false => Who::LetGo(holder.stack),
            };
            let groups = groups(&findings, 200);
            let group = groups.iter().find(|g| g.who == who).unwrap();
            assert_eq!(group.rows.len() as u64, holder.folios);
        }
    }
}
