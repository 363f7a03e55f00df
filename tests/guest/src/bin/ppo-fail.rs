// SPDX-License-Identifier: GPL-2.0

//! Does something again and again, with the first allocation that the kernel makes for it made
//! to fail, then with the second, until there is none left that could.
//!
//! Prints `tries=N failed=N` and how often there was each error.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};
use nix::errno::Errno;
use nix::kmod::{DeleteModuleFlags, ModuleInitFlags, delete_module, finit_module};

/// Make each allocation of something fail in turn, by /proc/self/fail-nth
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    act: Act,
    /// Give up after so many tries
    #[arg(long, global = true, default_value_t = 5000)]
    most: u32,
}

/// What to do. Each act is undone when it succeeds, so that the next try starts as the first did.
#[derive(Subcommand)]
enum Act {
    /// Load a module, and remove it; if that fails nothing of it may be left
    Load {
        /// The module
        file: PathBuf,
        /// Its name
        name: String,
        /// What may not be there when it could not be loaded
        leftovers: Vec<PathBuf>,
    },
    /// Open a file and read all of it
    Read {
        /// The file
        file: PathBuf,
    },
    /// Open a file and write to it; afterwards write what undoes that
    Write {
        /// The file
        file: PathBuf,
        /// What to write
        text: String,
        /// What undoes it
        #[arg(allow_hyphen_values = true)]
        undo: Option<String>,
    },
    /// Make a directory, and remove it
    Mkdir {
        /// The directory
        path: PathBuf,
    },
}

const FAIL_NTH: &str = "/proc/thread-self/fail-nth";

fn main() -> Result<()> {
    let args = Args::parse();
    let mut errors: BTreeMap<String, u32> = BTreeMap::new();
    let mut failed = 0;
    for nth in 1..=args.most {
        let (result, left) = args.act.fail(nth)?;
        match result {
            Ok(()) => args.act.undo()?,
            Err(errno) => {
                ensure!(left == 0, "{errno} with no allocation made to fail");
                failed += 1;
                *errors.entry(format!("{errno:?}")).or_default() += 1;
                args.act.check_gone()?;
            }
        }
        // Not counted down to the end: there were fewer allocations than that.
        if left != 0 {
            print!("tries={nth} failed={failed}");
            for (errno, times) in errors {
                print!(" {errno}={times}");
            }
            println!();
            return Ok(());
        }
    }
    bail!("still not at an end after {} tries", args.most)
}

impl Act {
    /// Does it with allocation `nth` made to fail. The result, and what was left to be counted.
    fn fail(&self, nth: u32) -> Result<(nix::Result<()>, u32)> {
        let mut switch = OpenOptions::new()
            .read(true)
            .write(true)
            .open(FAIL_NTH)
            .context("a kernel without CONFIG_FAULT_INJECTION")?;
        // All that can be done ahead is no part of it.
        let module = match self {
            Act::Load { file, .. } => Some(File::open(file)?),
            _ => None,
        };
        let mut text = vec![0; 1 << 16];
        switch.write_all(nth.to_string().as_bytes())?;
        let result = self.act(module.as_ref(), &mut text);
        let mut left = [0; 16];
        // The file was at its end after the write.
        let len = nix::sys::uio::pread(&switch, &mut left, 0)?;
        switch.write_all(b"0")?;
        let left = std::str::from_utf8(&left[..len])?.trim().parse()?;
        Ok((result, left))
    }

    fn act(&self, module: Option<&File>, text: &mut [u8]) -> nix::Result<()> {
        let errno = |e: std::io::Error| Errno::from_raw(e.raw_os_error().unwrap_or(0));
        match self {
            Act::Load { .. } => {
                let module = module.ok_or(Errno::EBADF)?;
                finit_module(module, c"", ModuleInitFlags::empty())
            }
            Act::Read { file } => {
                let mut file = File::open(file).map_err(errno)?;
                while file.read(text).map_err(errno)? != 0 {}
                Ok(())
            }
            Act::Write { file, text, .. } => {
                let mut file = OpenOptions::new().write(true).open(file).map_err(errno)?;
                file.write_all(text.as_bytes()).map_err(errno)
            }
            Act::Mkdir { path } => fs::create_dir(path).map_err(errno),
        }
    }

    fn undo(&self) -> Result<()> {
        match self {
            Act::Load { name, .. } => {
                let name = CString::new(name.as_str())?;
                delete_module(&name, DeleteModuleFlags::O_NONBLOCK).context("rmmod")
            }
            Act::Read { .. } | Act::Write { undo: None, .. } => Ok(()),
            Act::Write {
                file,
                undo: Some(undo),
                ..
            } => fs::write(file, undo).context("undo"),
            Act::Mkdir { path } => fs::remove_dir(path).context("rmdir"),
        }
    }

    /// Checks that nothing is left of what failed.
    fn check_gone(&self) -> Result<()> {
        let there = |paths: &[&Path]| paths.iter().any(|path| path.exists());
        match self {
            Act::Load {
                name, leftovers, ..
            } => {
                let module = Path::new("/sys/module").join(name);
                ensure!(!there(&[&module]), "{name} is half loaded");
                for path in leftovers {
                    ensure!(!there(&[path]), "{} is left", path.display());
                }
            }
            Act::Mkdir { path } => ensure!(!there(&[path]), "{} is left", path.display()),
            _ => {}
        }
        Ok(())
    }
}
