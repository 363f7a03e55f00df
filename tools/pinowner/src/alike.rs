// SPDX-License-Identifier: GPL-2.0

//! Stories that tell the same: one process that pins a thousand pages makes one story of a thousand
//! folios.

use crate::story::{End, Handle, Kind, Name, Role, Story, Task};
use std::collections::HashMap;

/// What has to be the same.
#[derive(PartialEq, Eq, Hash)]
struct Key<'a> {
    reason: &'a Name,
    stage: &'a Name,
    kind: Kind,
    order: Option<u32>,
    excess: i32,
    failed_at: Vec<Handle>,
    holders: Vec<(Role, Handle, &'a Task)>,
    held: Vec<(Handle, &'a Task, &'a Name)>,
    end: End,
    is_held: bool,
}

impl<'a> Key<'a> {
    fn of(story: &'a Story) -> Self {
        let holders = story.puts.iter().filter(|puts| puts.role.is_holder());
        let held = story.held.iter();
        Key {
            reason: &story.reason,
            stage: &story.stage,
            kind: story.kind,
            order: story.order,
            excess: story.excess(),
            failed_at: story.failures.iter().map(|f| f.stack).collect(),
            holders: holders.map(|p| (p.role, p.stack, &p.task)).collect(),
            held: held.map(|r| (r.stack, &r.task, &r.sure)).collect(),
            end: story.end,
            is_held: story.is_held(),
        }
    }
}

/// Stories that tell the same, in the order of the first of each.
pub fn alike(stories: &[Story]) -> Vec<Vec<&Story>> {
    let mut groups: Vec<Vec<&Story>> = Vec::new();
    let mut index = HashMap::new();
    for story in stories {
        let next = groups.len();
        let at = *index.entry(Key::of(story)).or_insert(next);
        if at == next {
            groups.push(Vec::new());
        }
        groups[at].push(story);
    }
    groups
}
