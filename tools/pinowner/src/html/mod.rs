// SPDX-License-Identifier: GPL-2.0

//! `pinowner html`: all of it on one page, for a person who has never seen this program. The page
//! asks nothing of any network, and its policy has the browser refuse whatever is not its own: what
//! a task calls itself is shown, never obeyed.

mod about;
mod glossary;
mod holders;
mod policy;
mod stories;
mod summary;

use crate::colour::{self, Colours};
use crate::folded::Weight;
use crate::report;
use crate::story::Findings;
use crate::{flame, timeline, xml};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::io;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("sort.js");
/// Bars of a picture that is part of a page.
const MOST_ROWS: usize = 60;

/// The page.
///
/// # Errors
///
/// What drawing says.
pub fn page(findings: &Findings) -> io::Result<String> {
    let style = format!("{STYLE}{}{}", timeline::STYLE, colour::rules());
    let flame = flame::svg(findings, Weight::Folios, true)?;
    let timeline = timeline::svg(findings, MOST_ROWS, false);
    let colours = Colours::new(findings);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy::of(&style, SCRIPT));
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (summary::title(findings)) }
                style { (PreEscaped(&style)) }
            }
            body {
                a class="skip" href="#holders" { "Skip to who held them" }
                header {
                    p class="eyebrow" { "page pin owner" }
                    h1 { (summary::title(findings)) }
                    p class="lead" { (summary::lead(findings)) }
                }
                main {
                    (losses(findings))
                    (summary::totals(findings))
                    (holders::section(findings, &colours))
                    section id="flame" aria-labelledby="flame-h" {
                        h2 id="flame-h" { "How they came to hold them" }
                        p {
                            "Each column is a way through the kernel, from the reason at the bottom to the \
                             function on top that gave the reference back, or took it. The wider, the \
                             more folios."
                        }
                        (picture(&flame, "Flame graph of the holders; the table above has the same figures"))
                    }
                    section id="timeline" aria-labelledby="timeline-h" {
                        h2 id="timeline-h" { "When they failed, and for how long they were held" }
                        (picture(&timeline, "Timeline of the folios; the stories below have the same times"))
                    }
                    (stories::section(findings))
                    (about::section(findings))
                    (glossary::section(findings))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    Ok(xml::legal(page.into_string()))
}

/// A picture that scrolls by itself where there is no room for it.
fn picture(svg: &str, label: &str) -> Markup {
    html! {
        div class="picture" tabindex="0" role="group" aria-label=(label) { (PreEscaped(svg)) }
    }
}

/// What is missing, before anything that may be wrong for that.
fn losses(findings: &Findings) -> Markup {
    let lines = report::missing(&findings.losses);
    html! {
        @if !lines.is_empty() {
            aside class="losses" role="note" aria-label="What is missing" {
                strong { "Not all is there. " }
                "What follows is true as far as it goes; holders may be missing."
                ul { @for line in &lines { li { (line) } } }
            }
        }
    }
}

#[cfg(test)]
mod tests;
