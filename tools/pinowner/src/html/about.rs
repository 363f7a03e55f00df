// SPDX-License-Identifier: GPL-2.0

//! Where all of this comes from.

use crate::story::Findings;
use maud::{Markup, html};

/// What a person wants to know first, and what it is called.
const FIRST: [(&str, &str); 8] = [
    ("host", "Machine"),
    ("kernel", "Kernel"),
    ("machine", "Architecture"),
    ("module_version", "Module"),
    ("command", "Command"),
    ("started", "Recorded from"),
    ("ended", "Until"),
    ("status", "The command's end"),
];

/// The section, with its heading.
pub fn section(findings: &Findings) -> Markup {
    let about = &findings.about;
    let first = FIRST
        .iter()
        .filter_map(|(key, name)| Some((*name, about.get(*key)?)));
    let is_other = |key: &str| FIRST.iter().all(|(first, _)| *first != key);
    let others: Vec<_> = about.iter().filter(|(key, _)| is_other(key)).collect();
    html! {
        section id="about" aria-labelledby="about-h" {
            h2 id="about-h" { "About this recording" }
            @if about.is_empty() {
                p { "It was made from a trace, which does not say where and how it was recorded." }
            }
            dl class="pairs" {
                @for (name, value) in first { dt { (name) } dd { (value) } }
            }
            @if !others.is_empty() {
                details {
                    summary { "All that the recording says" }
                    dl class="pairs" { @for (key, value) in others { dt { code { (key) } } dd { (value) } } }
                }
            }
            p class="made" { "Made by pinowner " (env!("CARGO_PKG_VERSION")) "." }
        }
    }
}
