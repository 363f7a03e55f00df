// SPDX-License-Identifier: GPL-2.0

//! The command line.

use crate::exit::Exit;
use crate::report;
use anyhow::Result;
use clap::{Parser, Subcommand};

/// Tells who kept a page from migrating, from what the kernel module page_pin_owner records
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell the story of each folio that could not be moved
    Report(report::Arguments),
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    ///
    /// Those of the command; [`Exit::of`] has the code.
    pub fn run(self) -> Result<Exit> {
        match self.command {
            Command::Report(arguments) => report::run(&arguments),
        }
    }
}
