// SPDX-License-Identifier: GPL-2.0

//! What is done with an input that was made up.

use pinowner::folded::{self, Weight};
use pinowner::gather::Gatherer;
use pinowner::{flame, html, json, report, source, timeline};
use std::io::sink;

/// More of them make drawing slow, and find nothing more.
const STORIES: usize = 4;

/// Reads it, and makes of it all that can be made. Nothing of that may panic, hang, or take memory
/// that the input does not account for.
pub fn read(data: &[u8]) {
    let Ok(findings) = source::read_from(data, "input", None, Gatherer::new()) else {
        return;
    };
    report::text(&findings, 20, &mut sink()).expect("a sink takes all");
    json::text(&findings, &mut sink()).expect("a sink takes all");
    folded::text(&findings, Weight::Time, &mut sink()).expect("a sink takes all");
    if findings.stories.len() <= STORIES {
        flame::svg(&findings, Weight::Folios, false).expect("it is drawn in memory");
        timeline::svg(&findings, timeline::MOST_ROWS, true);
        html::page(&findings).expect("it is drawn in memory");
    }
}
