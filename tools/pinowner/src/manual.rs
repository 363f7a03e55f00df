// SPDX-License-Identifier: GPL-2.0

//! `pinowner manual`: the manual pages and the completions for shells, made of the command line
//! itself, for `make install`.

use crate::cli::FILE;
use crate::exit::Exit;
use anyhow::{Context, Result};
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const NAME: &str = "pinowner";
const MAN: &str = "man/man1";
/// Where shells look for completions, below `share` of a prefix, and what they are called there.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions/pinowner"),
    (Shell::Zsh, "zsh/site-functions/_pinowner"),
    (Shell::Fish, "fish/vendor_completions.d/pinowner.fish"),
];

const EXAMPLES: [(&str, &str); 6] = [
    (
        "pinowner check",
        "Ask whether everything is there, and what mends what is not.",
    ),
    (
        "pinowner watch cma:reserved",
        "Have these pages watched, so that also who never lets go of one is known.",
    ),
    (
        "pinowner record -- sh -c 'echo 131072 >/sys/kernel/debug/cma/reserved/alloc'",
        "Record what goes on while an allocation fails.",
    ),
    (
        "pinowner record --reason memory_hotplug --for 5m",
        "Record for five minutes why memory does not go offline.",
    ),
    ("pinowner report", "Tell of it, the most wanted first."),
    (
        "pinowner html -o report.html",
        "The same for a browser, with pictures.",
    ),
];

/// Where it goes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder that stands for PREFIX/share
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Writes all of it.
///
/// # Errors
///
/// What writing says.
pub fn run(command: &Command, arguments: &Arguments) -> Result<Exit> {
    for (name, text) in files(command)? {
        let path = arguments.folder.join(name);
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, text))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(Exit::Ok)
}

/// All files, by their names below `share`.
///
/// # Errors
///
/// None, as nothing is written but to memory.
pub fn files(command: &Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let command = &shown(command);
    let mut files = vec![(format!("{MAN}/{NAME}.1"), page(command)?)];
    for sub in command.get_subcommands() {
        let name = format!("{NAME}-{}", sub.get_name());
        files.push((format!("{MAN}/{name}.1"), page_of(sub, &name)?));
    }
    for (shell, name) in COMPLETIONS {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut command.clone(), NAME, &mut text);
        files.push((name.to_owned(), text));
    }
    Ok(files)
}

/// The command without what nobody but `make` is meant to call.
fn shown(command: &Command) -> Command {
    let subs = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let mut shown = Command::new(NAME)
        .about(command.get_about().cloned().unwrap_or_default())
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .subcommands(subs.cloned());
    shown.build();
    shown
}

/// What each page begins with.
fn begin(man: &Man) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    Ok(out)
}

/// The page of the whole.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone()).manual("User Commands");
    let mut out = begin(&man)?;
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for sub in command.get_subcommands() {
        roff.control("TP", []);
        roff.text([bold(format!("{NAME}-{}", sub.get_name())), roman("(1)")]);
        roff.text([roman(about(sub))]);
    }
    roff.control("SH", ["OPTIONS"]);
    roff.text([roman("Of each command --help tells all, -h in short.")]);
    roff.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        roff.control("TP", []);
        roff.text([bold((exit as u8).to_string())]);
        roff.text([roman(exit.meaning())]);
    }
    roff.control("SH", ["FILES"]);
    let files = [
        (FILE, "what was recorded, where no other name is given"),
        (
            "/sys/kernel/tracing/instances/pinowner-PID",
            "the tracing of its own, while it records",
        ),
        (
            "/sys/kernel/debug/page_pin_owner",
            "the tables of the module",
        ),
    ];
    for (name, what) in files {
        roff.control("TP", []);
        roff.text([italic(name)]);
        roff.text([roman(what)]);
    }
    roff.control("SH", ["EXAMPLES"]);
    for (line, what) in EXAMPLES {
        roff.control("TP", []);
        roff.text([bold(line)]);
        roff.text([roman(what)]);
    }
    roff.control("SH", ["SEE ALSO"]);
    let mut others: Vec<Inline> = Vec::new();
    for name in ["trace-cmd", "perf-script"] {
        others.extend([bold(name), roman("(1), ")]);
    }
    others.push(roman(
        "Documentation/pinowner.rst and Documentation/page_pin_owner.rst in the source",
    ));
    roff.text(others);
    roff.to_writer(&mut out)?;
    Ok(out)
}

/// The page of one command.
fn page_of(sub: &Command, name: &str) -> io::Result<Vec<u8>> {
    let sub = sub.clone().display_name(name.to_owned());
    let man = Man::new(sub).title(name).manual("User Commands");
    let mut out = begin(&man)?;
    man.render_options_section(&mut out)?;
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([
        bold(NAME),
        roman("(1), which has the exit codes of all commands"),
    ]);
    roff.to_writer(&mut out)?;
    out.flush()?;
    Ok(out)
}

/// What a command does, in a line.
fn about(command: &Command) -> String {
    command
        .get_about()
        .map_or(String::new(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    fn text(files: &[(String, Vec<u8>)], name: &str) -> String {
        let file = files.iter().find(|(n, _)| n == name);
        String::from_utf8(file.expect(name).1.clone()).unwrap()
    }

    #[test]
    fn every_command_and_option_is_there() {
        let command = Cli::command();
        let files = files(&command).unwrap();
        let man = text(&files, "man/man1/pinowner.1").replace('\\', "");
        for sub in command.get_subcommands() {
            let name = sub.get_name();
            let is_shown = !sub.is_hide_set();
            assert_eq!(
                man.contains(&format!("pinowner-{name}")),
                is_shown,
                "{name}"
            );
            for (_, path) in COMPLETIONS {
                let text = text(&files, path);
                let has = text
                    .split(|c: char| !c.is_alphanumeric())
                    .any(|word| word == name);
                assert_eq!(has, is_shown, "{name} in {path}");
            }
            if is_shown {
                let page = text(&files, &format!("man/man1/pinowner-{name}.1")).replace('\\', "");
                for option in sub.get_arguments().filter_map(|a| a.get_long()) {
                    assert!(page.contains(&format!("--{option}")), "{name} --{option}");
                }
            }
        }
        for exit in Exit::ALL {
            assert!(man.contains(exit.meaning()), "{exit:?}");
        }
    }
}
