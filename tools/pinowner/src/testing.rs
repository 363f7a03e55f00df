// SPDX-License-Identifier: GPL-2.0

//! Findings for tests of what draws them.

use crate::gather::Gatherer;
use crate::source;
use crate::story::Findings;

/// Those of a recording of a machine in which pages were pinned.
pub fn small() -> Findings {
    let text: &[u8] = include_bytes!("../tests/data/recording.txt");
    source::read_from(text, "recording.txt", None, Gatherer::new()).unwrap()
}
