// SPDX-License-Identifier: GPL-2.0

//! The files of a machine by their usual names, below a root that tests may choose.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// No file that is read whole is longer than that; `/proc/zoneinfo` of a large machine has 1 MiB.
const LONGEST: u64 = 16 << 20;

/// Where a machine's files are.
#[derive(Clone, Debug)]
pub struct Machine {
    root: PathBuf,
}

impl Machine {
    /// That on which this runs.
    pub fn this() -> Self {
        Machine::below("/")
    }

    /// One of which all files are copied to below `root`.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Machine { root: root.into() }
    }

    /// A file, by its absolute name.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        let name = name.as_ref();
        self.root.join(name.strip_prefix("/").unwrap_or(name))
    }

    /// What is in a file.
    ///
    /// # Errors
    ///
    /// What reading says.
    pub fn read(&self, name: impl AsRef<Path>) -> io::Result<String> {
        read(&self.path(name))
    }

    /// Is there such a file?
    pub fn has(&self, name: impl AsRef<Path>) -> bool {
        self.path(name).exists()
    }
}

/// What is in a small file of text.
///
/// # Errors
///
/// What reading says.
pub fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The names in a directory, in order; none if it cannot be read.
pub fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
pub(crate) mod made;
