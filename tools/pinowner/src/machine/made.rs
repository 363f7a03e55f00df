// SPDX-License-Identifier: GPL-2.0

//! Machines for tests.

use super::Machine;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// A machine of files that are made for it, gone with it. What is written to them stays in them.
pub(crate) struct Made {
    pub(crate) root: PathBuf,
}

impl Made {
    /// One with nothing in it.
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("pinowner-test-{}-{number}", process::id());
        Made {
            root: std::env::temp_dir().join(name),
        }
    }

    /// With a file more, or another text in it.
    pub(crate) fn with(self, path: &str, text: &str) -> Self {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a directory");
        fs::write(path, text).expect("a file");
        self
    }

    /// With a file or a directory less.
    pub(crate) fn without(self, path: &str) -> Self {
        let path = self.root.join(path);
        if path.is_dir() {
            fs::remove_dir_all(path).expect("no directory");
        } else {
            fs::remove_file(path).expect("no file");
        }
        self
    }

    pub(crate) fn machine(&self) -> Machine {
        Machine::below(&self.root)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}
