// SPDX-License-Identifier: GPL-2.0

//! The stories, as `pinowner report` tells them, to be opened one by one.

use crate::alike::alike;
use crate::report::Told;
use crate::show::Count;
use crate::story::{Findings, Story};
use maud::{Markup, html};

/// Stories that are told; the most wanted come first.
const MOST: usize = 500;

/// All of them, with their heading.
pub fn section(findings: &Findings) -> Markup {
    let groups = alike(&findings.stories);
    let told = &groups[..groups.len().min(MOST)];
    let left_out = &groups[told.len()..];
    html! {
        section id="stories" aria-labelledby="stories-h" {
            h2 id="stories-h" { "The stories" }
            p {
                "From the first failure to the end, most wanted first; folios that tell the same are \
                 told once. Functions are listed from the inside out: below each one who called it."
            }
            @for group in told { (story(findings, group)) }
            @if !left_out.is_empty() {
                p class="left-out" {
                    (left_out.len()) " more stories, of "
                    (Count(left_out.iter().map(|group| group.len() as u64).sum(), "folio"))
                    ", are left out here; pinowner report --limit N tells them."
                }
            }
        }
    }
}

fn story(findings: &Findings, group: &[&Story]) -> Markup {
    let told = Told { findings, group };
    let mut body = Vec::new();
    // Writing to memory does not fail.
    let _ = told.body(&mut body);
    let body = String::from_utf8_lossy(&body);
    html! {
        details {
            summary {
                @if group[0].is_held() { strong class="badge" { "held still" } " " }
                (told.title())
            }
            pre tabindex="0" { (body.trim_matches('\n')) }
        }
    }
}
