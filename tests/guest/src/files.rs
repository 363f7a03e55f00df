// SPDX-License-Identifier: GPL-2.0

//! The kernel's files: text that is written to them or read from them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Context, Result};

/// Writes text to a file that is there, all at once.
pub fn write(path: impl AsRef<Path>, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// The same where it has to succeed.
pub fn set(path: &str, text: &str) -> Result<()> {
    write(path, text).with_context(|| format!("cannot write {text} to {path}"))
}

/// Reads the first MiB of a trace, which may grow as fast as it is read.
pub fn read_some(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(1 << 20).read_to_end(&mut bytes)?;
    Ok(bytes)
}
