// SPDX-License-Identifier: GPL-2.0

//! `--folded`: a line for each stack that held folios, the outermost frame first, with the folios
//! it held or for how long, as all flame-graph tools read them.

use crate::story::{Findings, Holder, Name};
use crate::symbol;
use std::io::{self, Write};

/// What the figure at the end of a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Weight {
    /// Folios that were held.
    Folios,
    /// Microseconds that they were held for, all together.
    Time,
}

impl Weight {
    /// That of a holder.
    pub fn of(self, holder: &Holder) -> u64 {
        match self {
            Weight::Folios => holder.folios,
            Weight::Time => holder.sum_us,
        }
    }
}

/// All of it. What holds folios still is below a frame that says so.
///
/// # Errors
///
/// What writing says.
pub fn text(findings: &Findings, weight: Weight, out: &mut impl Write) -> io::Result<()> {
    for holder in &findings.holders {
        let stack = stack(findings, holder, |frames| frames);
        writeln!(out, "{stack} {}", weight.of(holder))?;
    }
    Ok(())
}

/// The task of a holder and a part of its stack, `;` between them.
pub fn stack(findings: &Findings, holder: &Holder, part: fn(&[Name]) -> &[Name]) -> String {
    let mut line = word(&holder.task.comm);
    if holder.still {
        line += ";[held still]";
    }
    match findings.stacks.get(&holder.stack) {
        Some(stack) => {
            for frame in part(&stack.frames).iter().rev() {
                line.push(';');
                line += &word(symbol::function(frame));
            }
        }
        None => line += ";[stack lost]",
    }
    line
}

/// A frame's name: without what ends one, or a line.
pub fn word(name: &str) -> String {
    match name {
        "" => "?".into(),
        _ => name.replace(
            |c: char| c == ';' || c.is_whitespace() || c.is_control(),
            "_",
        ),
    }
}
