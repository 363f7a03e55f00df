// SPDX-License-Identifier: GPL-2.0

//! What happened, in a sentence or two and a few figures.

use super::glossary;
use crate::show::{Count, Time};
use crate::story::{Findings, Holder, Name, Story};
use crate::symbol;
use crate::timeline;
use maud::{Markup, html};
use std::collections::BTreeMap;

/// The title of the page.
pub fn title(findings: &Findings) -> String {
    match findings.stories.len() as u64 {
        0 => "No page failed to move".into(),
        n => format!("{} could not be moved", Count(n, "folio")),
    }
}

/// Whom to ask first: of those who hold something still, or else of those who held something, the
/// one with most folios.
fn culprit(findings: &Findings) -> Option<&Holder> {
    let holders = || findings.holders.iter();
    holders().find(|h| h.still).or_else(|| holders().next())
}

/// The function that tells who a holder is.
pub fn function<'a>(findings: &'a Findings, holder: &Holder) -> Option<&'a str> {
    let stack = findings.stacks.get(&holder.stack)?;
    Some(symbol::function(symbol::telling(&stack.frames).first()?))
}

fn held(findings: &Findings) -> u64 {
    findings.stories.iter().filter(|s| s.is_held()).count() as u64
}

/// How many failed for each reason, most first.
fn reasons(findings: &Findings) -> Vec<(&Name, u64)> {
    let mut counts = BTreeMap::new();
    for story in &findings.stories {
        *counts.entry(&story.reason).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|&(_, count): &(_, u64)| std::cmp::Reverse(count));
    counts
}

/// What happened.
pub fn lead(findings: &Findings) -> Markup {
    if findings.stories.is_empty() {
        return html! { "While this was recorded the kernel moved each page that it wanted to move." };
    }
    let all = findings.stories.len() as u64;
    let held = held(findings);
    let reasons = reasons(findings);
    html! {
        @if all == 1 {
            "1 folio (a block of memory) had to stay where it was, because somebody still used it, \
             when the kernel wanted to "
        } @else {
            (all) " folios (blocks of memory) had to stay where they were, because somebody still \
             used them, when the kernel wanted to "
        }
        @for (n, (reason, count)) in reasons.iter().enumerate() {
            @if n > 0 { @if n + 1 == reasons.len() { " or to " } @else { ", to " } }
            (glossary::purpose(reason)) " (" code { (reason) }
            @if reasons.len() > 1 { ", " (count) }
            ")"
        }
        ". "
        @match held {
            0 if all == 1 => { "It has been let go since. " },
            0 => { "All of them have been let go since. " },
            n if n == all => { strong { @if n == 1 { "It is" } @else { "All are" } " held still. " } },
            n => { strong { (n) @if n == 1 { " is" } @else { " are" } " held still. " } },
        }
        (accused(findings, held))
    }
}

fn accused(findings: &Findings, held: u64) -> Markup {
    let Some(holder) = culprit(findings) else {
        return html! {
            "By whom is not known: " @if held > 0 { "the pages were not watched when they were taken." }
            @else { "no reference that was given back was seen." }
        };
    };
    let folios = Count(holder.folios, "folio");
    html! {
        @if held > 0 && !holder.still {
            "By whom is not known, as those pages were not watched. Of those who let go, the one to \
             look at first is "
        } @else {
            "The one to look at first is "
        }
        @match function(findings, holder) {
            Some(function) => { code { (function) "()" } },
            None => { "an unknown function" },
        }
        " of task " strong { bdi { (holder.task.comm) } } " (pid " (holder.task.pid) "), which "
        @if holder.still {
            "holds " (folios) " still, for " (Time(holder.max_us)) " by now."
        } @else if !is_sure(findings, holder) {
            "put " (folios) ", and may have held them."
        } @else {
            "held " (folios) ", for up to " (Time(holder.max_us)) " after the first failure."
        }
    }
}

/// Is it known that he let go, of at least one folio, or is he one of several who may have?
fn is_sure(findings: &Findings, holder: &Holder) -> bool {
    let mut let_go = findings.stories.iter().filter(|s| s.let_go_us.is_some());
    let_go.any(|s| s.held_by().any(|(stack, ..)| stack == holder.stack))
}

/// The figures.
pub fn totals(findings: &Findings) -> Markup {
    let all = findings.stories.len() as u64;
    let held = held(findings);
    let end_ns = timeline::end_ns(findings);
    let us = |story: &Story| timeline::held_us(story, end_ns);
    let longest = findings.stories.iter().map(us).max().unwrap_or(0);
    let attempts = findings
        .stories
        .iter()
        .fold(0u64, |sum, s| sum.saturating_add(s.attempts));
    let tile = |value: String, what: &str, class: &str| {
        html! { div class=(class) { dt { (what) } dd { (value) } } }
    };
    html! {
        dl class="totals" {
            (tile(all.to_string(), "folios failed to move", ""))
            (tile(held.to_string(), "of them held still", if held > 0 { "bad" } else { "" }))
            (tile((all - held).to_string(), "let go or gone", ""))
            (tile(findings.holders.len().to_string(), "ways they were held", ""))
            (tile(Time(longest).to_string(), "held longest", ""))
            (tile(attempts.to_string(), "failed attempts", ""))
        }
    }
}
