// SPDX-License-Identifier: GPL-2.0

//! The exit codes, and the errors that have one. This is their only table; the manual is made
//! from it.

use std::fmt;

/// Why the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Something else failed: reading, writing, no room on the disk, starting a command.
    Failed = 1,
    /// The command line was not understood.
    Usage = 2,
    /// Not permitted: not root, or the kernel is locked down.
    Permission = 3,
    /// The module is not loaded.
    NoModule = 4,
    /// tracefs or debugfs is not mounted, or the kernel lacks something else.
    Kernel = 5,
    /// The input is nothing that this program reads, or another program is needed to read it.
    Foreign = 6,
    /// Done, but not all is there: events were lost, or the recording is cut off.
    Incomplete = 7,
}

impl Exit {
    /// All of them, in the order of their numbers.
    pub const ALL: [Exit; 8] = [
        Exit::Ok,
        Exit::Failed,
        Exit::Usage,
        Exit::Permission,
        Exit::NoModule,
        Exit::Kernel,
        Exit::Foreign,
        Exit::Incomplete,
    ];

    /// What it means, for a person.
    pub const fn meaning(self) -> &'static str {
        match self {
            Exit::Ok => "done",
            Exit::Failed => "something failed that has no code of its own",
            Exit::Usage => "the command line was not understood",
            Exit::Permission => "not permitted: not root, or the kernel is locked down",
            Exit::NoModule => "the module page_pin_owner is not loaded",
            Exit::Kernel => "tracefs or debugfs is not mounted, or the kernel lacks something",
            Exit::Foreign => "the input is nothing that can be read here",
            Exit::Incomplete => "done, but events were lost or the recording is cut off",
        }
    }

    /// That of a command that ended with this error.
    pub fn of(error: &anyhow::Error) -> Self {
        error
            .downcast_ref::<Failure>()
            .map_or(Exit::Failed, |failure| failure.exit)
    }
}

/// All codes, a line each.
pub fn table() -> String {
    let lines = Exit::ALL.map(|exit| format!("  {}  {}", exit as u8, exit.meaning()));
    format!("Exit codes:\n{}", lines.join("\n"))
}

/// An error that has an exit code. Its sentence says what to do about it, where that is known.
#[derive(Debug)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// For a person, one sentence.
    pub sentence: String,
}

impl Failure {
    /// An error of that kind.
    pub fn new(exit: Exit, sentence: impl Into<String>) -> Self {
        Failure {
            exit,
            sentence: sentence.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_the_same_table() {
        let text = include_str!("../../../Documentation/pinowner.rst");
        let (_, table) = text.split_once("\ncode  meaning\n").unwrap();
        let rows = table
            .lines()
            .skip(1)
            .take_while(|line| !line.starts_with('='));
        let expected = Exit::ALL.map(|exit| format!("{}     {}", exit as u8, exit.meaning()));
        assert_eq!(rows.collect::<Vec<_>>(), expected);
    }
}
