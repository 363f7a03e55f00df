// SPDX-License-Identifier: GPL-2.0

//! `pinowner`: from a page that would not move to who held it.

use clap::Parser;
use pinowner::cli::Cli;
use pinowner::exit::Exit;
use std::io;
use std::process::ExitCode;

/// Whoever read our output has had enough.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn main() -> ExitCode {
    let exit = match Cli::parse().run() {
        Ok(exit) => exit,
        Err(error) if is_closed_pipe(&error) => Exit::Ok,
        Err(error) => {
            pinowner::say!("{error:#}");
            Exit::of(&error)
        }
    };
    ExitCode::from(exit as u8)
}
