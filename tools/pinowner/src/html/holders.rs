// SPDX-License-Identifier: GPL-2.0

//! The table of holders. It is a plain one, which the script lets sort.

use super::summary::function;
use crate::colour::{self, Colours};
use crate::show::{Count, Path, Time};
use crate::story::{Findings, Holder};
use crate::symbol;
use maud::{Markup, html};

/// Rows; more are only counted.
const MOST: usize = 500;

/// The table, with its heading.
pub fn section(findings: &Findings, colours: &Colours) -> Markup {
    let holders = &findings.holders;
    let more = holders.len().saturating_sub(MOST);
    html! {
        section id="holders" aria-labelledby="holders-h" {
            h2 id="holders-h" { "Who held them" }
            @if holders.is_empty() {
                p { "Nobody was seen who held a folio." }
            } @else {
                p {
                    "One line for each stack of calls by which folios were let go, or taken and not \
                     given back. Times are those after a folio's first failure; of folios held \
                     still, since they were taken."
                }
                div class="scroll" tabindex="0" role="group" aria-label="Table of holders" {
                    table class="sortable" {
                        thead { tr {
                            th scope="col" { "Function" }
                            th scope="col" { "Task" }
                            th scope="col" { "Held" }
                            th scope="col" class="n" aria-sort="descending" { "Folios" }
                            th scope="col" class="n" { "Least" }
                            th scope="col" class="n" { "Average" }
                            th scope="col" class="n" { "Most" }
                            th scope="col" { "Failed for" }
                        } }
                        tbody { @for holder in holders.iter().take(MOST) {
                            (row(findings, holder, colours))
                        } }
                    }
                }
                @if more > 0 {
                    p class="left-out" { (Count(more as u64, "holder")) " with fewer folios left out." }
                }
            }
        }
    }
}

fn row(findings: &Findings, holder: &Holder, colours: &Colours) -> Markup {
    let function = function(findings, holder);
    let frames = findings
        .stacks
        .get(&holder.stack)
        .map(|stack| symbol::telling(&stack.frames));
    let path = frames.map(|frames| Path(frames).to_string());
    let callers = path.as_deref().and_then(|path| path.split_once(" <- "));
    let module = frames
        .and_then(|f| f.first()?.split_once(" ["))
        .map(|(_, m)| m.trim_end_matches(']'));
    let time = |us: u64| html! { td class="n" data-v=(us) { (Time(us)) } };
    html! {
        tr {
            th scope="row" data-v=(function.unwrap_or("~")) {
                svg class="swatch" width="10" height="10" aria-hidden="true" {
                    rect class=(colour::class(colours.get(holder.stack))) width="10" height="10" rx="2" {}
                }
                div class="name" {
                    @match function {
                        Some(function) => { code { (function) } },
                        None if holder.stack == 0 => { "its stack was lost" },
                        None => { "stack " (holder.stack) ", not in the recording" },
                    }
                    @if let Some(module) = module { " in module " (module) }
                }
                @if let Some((_, callers)) = callers {
                    div class="callers" { "called by " (callers.replace(" <- ", ", by ")) }
                }
            }
            td class="task" { bdi { (holder.task.comm) } " (pid " (holder.task.pid) ")" }
            td class="state" data-v=(u8::from(!holder.still)) {
                @if holder.still { strong class="badge" { "still" } } @else { "let go" }
            }
            td class="n" data-v=(holder.folios) { (holder.folios) }
            (time(holder.min_us)) (time(holder.avg_us)) (time(holder.max_us))
            td { (holder.reasons.join(", ")) }
        }
    }
}
