// SPDX-License-Identifier: GPL-2.0

//! The command line.

use crate::debuginfo::Debuginfo;
use crate::exit::{self, Exit};
use crate::folded::{self, Weight};
use crate::gather::Gatherer;
use crate::story::Findings;
use crate::{check, draw, json, manual, record, report, say, source, top, watch};
use anyhow::Result;
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::io::{self, Write};
use std::path::PathBuf;

/// The file that a recording is written to and read from.
pub const FILE: &str = "pinowner.ppo";

/// Tells who kept a page from migrating, from what the kernel module page_pin_owner records
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_long_help = exit::table())]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look whether everything is there, and say what mends what is not
    Check(check::Arguments),
    /// Record what fails to move, and who lets go of it
    Record(record::Arguments),
    /// Tell the story of each folio that could not be moved
    Report(Report),
    /// Draw who held folios as a flame graph, in SVG
    Flame(draw::Flame),
    /// Draw when folios failed to move and were let go, in SVG
    Timeline(draw::Files),
    /// Make one page of all of it, for a browser
    Html(draw::Files),
    /// Show what fails to move, and who holds it, as it changes
    Top(top::Arguments),
    /// Have pages watched, so that also who never lets go of them is known
    Watch(watch::Watch),
    /// Have pages not watched any more
    Unwatch(watch::Leave),
    /// Mark pages by hand, as if they had failed to move
    Mark(watch::Mark),
    /// Forget pages that are marked
    Forget(watch::Leave),
    /// Write the manual and the completions for shells, as "make install" does
    #[command(hide = true)]
    Manual(manual::Arguments),
}

/// What is read.
#[derive(Debug, Args)]
pub struct Input {
    /// A recording, the text of a trace, or trace.dat; "-" is standard input
    #[arg(default_value = FILE)]
    file: PathBuf,
    /// The saved table "stacks", for a trace that has none; or that of the running kernel,
    /// /sys/kernel/debug/page_pin_owner/stacks
    #[arg(long, value_name = "FILE")]
    stacks: Option<PathBuf>,
}

impl Input {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// Those of [`source::read`].
    pub fn read(&self) -> Result<Findings> {
        let gatherer = match &self.stacks {
            Some(stacks) => source::stacks(stacks)?,
            None => Gatherer::new(),
        };
        source::read(&self.file, gatherer)
    }
}

#[derive(Debug, Args)]
struct Report {
    #[command(flatten)]
    input: Input,
    /// Stories to be told; the most wanted come first
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Tell file and line of each frame, from a vmlinux with debug information
    #[arg(long, value_name = "FILE")]
    vmlinux: Option<PathBuf>,
    /// And of frames in modules, from the *.ko or *.ko.debug in this folder
    #[arg(long, value_name = "FOLDER", requires = "vmlinux")]
    debug_dir: Option<PathBuf>,
    /// Print all as JSON, as schema.json describes it
    #[arg(long, conflicts_with = "folded")]
    json: bool,
    /// Print a line for each stack that held folios, for a flame graph
    #[arg(long, value_name = "WEIGHT", num_args = 0..=1, require_equals = true,
        default_missing_value = "folios")]
    folded: Option<Weight>,
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    ///
    /// Those of the command; [`Exit::of`] has the code.
    pub fn run(self) -> Result<Exit> {
        match self.command {
            Command::Check(arguments) => check::run(&arguments),
            Command::Record(arguments) => record::run(&arguments),
            Command::Report(arguments) => arguments.run(),
            Command::Flame(arguments) => arguments.run(),
            Command::Timeline(files) => draw::timeline(&files),
            Command::Html(files) => draw::html(&files),
            Command::Top(arguments) => top::run(&arguments),
            Command::Watch(arguments) => watch::watch(&arguments),
            Command::Unwatch(arguments) => watch::unwatch(&arguments),
            Command::Mark(arguments) => watch::mark(&arguments),
            Command::Forget(arguments) => watch::forget(&arguments),
            Command::Manual(arguments) => manual::run(&Cli::command(), &arguments),
        }
    }
}

impl Report {
    fn run(&self) -> Result<Exit> {
        let mut findings = self.input.read()?;
        if let Some(vmlinux) = &self.vmlinux {
            let mut debuginfo = Debuginfo::open(vmlinux, self.debug_dir.as_deref())?;
            let foreign = debuginfo.annotate(&mut findings);
            if foreign > 0 {
                say!(
                    "{foreign} functions have another size in {}: is it of that kernel?",
                    vmlinux.display()
                );
            }
        }
        let mut out = io::BufWriter::new(io::stdout().lock());
        match self.folded {
            Some(weight) => folded::text(&findings, weight, &mut out)?,
            None if self.json => json::text(&findings, &mut out)?,
            None => report::text(&findings, self.limit, &mut out)?,
        }
        out.flush()?;
        Ok(match findings.losses.is_any() {
            true => Exit::Incomplete,
            false => Exit::Ok,
        })
    }
}
