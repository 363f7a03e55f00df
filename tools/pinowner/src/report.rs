// SPDX-License-Identifier: GPL-2.0

//! `pinowner report`: the stories as text.

use crate::exit::Exit;
use crate::source;
use crate::story::Findings;
use anyhow::Result;
use std::io::{self, Write};
use std::path::PathBuf;

/// What is to be told, of what.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A recording, the text of a trace, or trace.dat; "-" is standard input
    #[arg(default_value = "pinowner.ppo")]
    file: PathBuf,
}

/// Does it.
///
/// # Errors
///
/// What reading and writing say.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let findings = source::read(&arguments.file)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    text(&findings, &mut out)?;
    out.flush()?;
    Ok(if findings.losses.is_any() {
        Exit::Incomplete
    } else {
        Exit::Ok
    })
}

/// The stories as text.
///
/// # Errors
///
/// What writing says.
pub fn text(findings: &Findings, out: &mut impl Write) -> io::Result<()> {
    for story in &findings.stories {
        writeln!(out, "{} failed: pfn 0x{:x}", story.reason, story.pfn)?;
    }
    Ok(())
}
