// SPDX-License-Identifier: GPL-2.0

//! `--json`: all that is known, for a program. `schema.json`, beside the sources, describes it; it
//! is made from the comments in [`crate::story`].
//!
//! ```text
//! { "format": 1,
//!   "about": { "kernel": "6.12.0", ... },
//!   "stories": [ { "pfn": 258831, "reason": "contig_range", "failures": [...], "puts": [...],
//!                  "end": "freed", ... } ],
//!   "holders": [ { "stack": 14, "folios": 1, "max_us": 460150, ... } ],
//!   "stacks": { "14": { "class": "holder", "frames": ["page_cache_pipe_buf_release+0x42/0x80"] } },
//!   "losses": { "events": 0, ... } }
//! ```
//!
//! Members may be added at any time. What changes or removes one has another `format`.

use crate::story::Findings;
use serde::Serialize;
use std::io::{self, Write};

/// The format's number.
pub const FORMAT: u32 = 1;

/// What is printed.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Document<'a> {
    /// The number of this format: 1.
    format: u32,
    #[serde(flatten)]
    findings: &'a Findings,
}

/// All of it, on one line.
///
/// # Errors
///
/// What writing says.
pub fn text(findings: &Findings, out: &mut impl Write) -> io::Result<()> {
    let document = Document {
        format: FORMAT,
        findings,
    };
    serde_json::to_writer(&mut *out, &document)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_is_that_of_the_model() {
        let schema = schemars::schema_for!(Document<'static>);
        let mut text = serde_json::to_string_pretty(&schema).unwrap();
        text.push('\n');
        expect_test::expect_file!["../schema.json"].assert_eq(&text);
    }
}
