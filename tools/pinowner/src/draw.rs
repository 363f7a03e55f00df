// SPDX-License-Identifier: GPL-2.0

//! The commands that draw: `flame`, `timeline`, `html`.

use crate::cli::Input;
use crate::exit::Exit;
use crate::folded::Weight;
use crate::story::Findings;
use crate::{flame, html, source, timeline};
use anyhow::{Context, Result};
use clap::Args;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What is drawn, and where to.
#[derive(Debug, Args)]
pub struct Files {
    #[command(flatten)]
    input: Input,
    /// The file to write; one that is there already is replaced; "-" is standard output
    #[arg(short, long, value_name = "FILE", default_value = source::STDIN)]
    output: PathBuf,
}

impl Files {
    fn draw(&self, draw: impl FnOnce(&Findings) -> io::Result<String>) -> Result<Exit> {
        let findings = self.input.read()?;
        let text = draw(&findings).context("it cannot be drawn")?;
        if self.output == Path::new(source::STDIN) {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()?;
        } else {
            std::fs::write(&self.output, text)
                .with_context(|| format!("{} cannot be written", self.output.display()))?;
        }
        Ok(match findings.losses.is_any() {
            true => Exit::Incomplete,
            false => Exit::Ok,
        })
    }
}

/// `pinowner flame`
#[derive(Debug, Args)]
pub struct Flame {
    #[command(flatten)]
    files: Files,
    /// What the width of a frame is
    #[arg(long, value_name = "WEIGHT", default_value = "folios")]
    by: Weight,
}

impl Flame {
    /// Draws the flame graph.
    ///
    /// # Errors
    ///
    /// Those of reading and of writing.
    pub fn run(&self) -> Result<Exit> {
        self.files
            .draw(|findings| flame::svg(findings, self.by, false))
    }
}

/// Draws the timeline.
///
/// # Errors
///
/// Those of reading and of writing.
pub fn timeline(files: &Files) -> Result<Exit> {
    files.draw(|findings| Ok(timeline::svg(findings, timeline::MOST_ROWS, true)))
}

/// Makes the page.
///
/// # Errors
///
/// Those of reading and of writing.
pub fn html(files: &Files) -> Result<Exit> {
    files.draw(html::page)
}
