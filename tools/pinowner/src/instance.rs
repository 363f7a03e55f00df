// SPDX-License-Identifier: GPL-2.0

//! A tracing instance of our own, so that nothing of anybody else's changes: it has its own buffer,
//! its own switches of events, and takes all of that with it when it is removed.

use crate::kernel::{failed, read, write};
use anyhow::Result;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::thread::sleep;
use std::time::Duration;

const NAME: &str = "pinowner-";
const EVENTS: &str = "events/page_pin_owner";
/// What a filter can be set for.
const FILTERS: [&str; 3] = [
    "report_page_pinners/filter",
    "page_pin_owner_put/filter",
    "page_pin_owner_free/filter",
];

/// The instance. It is gone when this is dropped, also when the program panics.
#[derive(Debug)]
pub struct Instance {
    path: PathBuf,
}

impl Instance {
    /// Makes one, after what a killed program has left is removed.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn create(tracefs: &Path) -> Result<Self> {
        let instances = tracefs.join("instances");
        remove_orphans(&instances);
        let path = instances.join(format!("{NAME}{}", process::id()));
        fs::create_dir(&path)
            .map_err(|e| failed(&e, format!("{} cannot be made", path.display())))?;
        Ok(Instance { path })
    }

    /// Room for events, in KiB for each processor.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn set_buffer(&self, kib: u32) -> Result<()> {
        write(&self.path.join("buffer_size_kb"), &kib.to_string())
    }

    /// Only events that match.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn set_filter(&self, filter: &str) -> Result<()> {
        let events = self.path.join(EVENTS);
        FILTERS
            .iter()
            .try_for_each(|name| write(&events.join(name), filter))
    }

    /// Enables the module's events, here.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn enable(&self) -> Result<()> {
        write(&self.path.join(EVENTS).join("enable"), "1")
    }

    /// No more events, while what is marked stays so: that ends with the last enabled event.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn pause(&self) -> Result<()> {
        write(&self.path.join("tracing_on"), "0")
    }

    /// The events, which are taken out of the buffer by reading; nobody waits for more.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn pipe(&self) -> Result<File> {
        let path = self.path.join("trace_pipe");
        OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open(&path)
            .map_err(|e| failed(&e, format!("{} cannot be opened", path.display())))
    }

    /// The clock of its events.
    pub fn clock(&self) -> Option<String> {
        let text = fs::read_to_string(self.path.join("trace_clock")).ok()?;
        let (_, chosen) = text.split_once('[')?;
        Some(chosen.split_once(']')?.0.to_owned())
    }

    /// Events that were lost for want of room.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn lost(&self) -> Result<u64> {
        let cpus = self.path.join("per_cpu");
        let mut lost = 0;
        for cpu in fs::read_dir(&cpus).map_err(|e| failed(&e, cpus.display()))? {
            let cpu = cpu.map_err(|e| failed(&e, cpus.display()))?;
            lost += lost_of(&read(&cpu.path().join("stats"))?);
        }
        Ok(lost)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            let path = self.path.display();
            crate::say!("{path} could not be removed: {error}; rmdir does it");
        }
    }
}

/// Removes an instance, with all that it has enabled.
fn remove(path: &Path) -> io::Result<()> {
    // The kernel does that too, but for what is being read meanwhile.
    let _ = fs::write(path.join(EVENTS).join("enable"), "0");
    let mut tries = 50;
    loop {
        match fs::remove_dir(path) {
            // Somebody looks at one of its files.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && tries > 0 => {
                tries -= 1;
                sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
}

/// Removes the instances of programs that are gone. One that is in use is busy.
fn remove_orphans(instances: &Path) {
    for entry in fs::read_dir(instances).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(NAME));
        let Some(pid) = pid.and_then(|pid| pid.parse::<u32>().ok()) else {
            continue;
        };
        if !Path::new(&format!("/proc/{pid}")).exists() {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The lost events in a processor's `stats`.
fn lost_of(stats: &[u8]) -> u64 {
    let lost = ["overrun: ", "commit overrun: ", "dropped events: "];
    let text = String::from_utf8_lossy(stats);
    text.lines()
        .filter_map(|line| lost.iter().find_map(|name| line.strip_prefix(name)))
        .filter_map(|count| count.trim().parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_events() {
        let stats = b"entries: 0\noverrun: 1257\ncommit overrun: 2\nbytes: 0\n\
            oldest event ts:    17.936196\nnow ts:    18.681580\ndropped events: 3\n\
            read events: 67\n";
        assert_eq!(lost_of(stats), 1262);
        assert_eq!(lost_of(b"overrun: -\n\xff"), 0);
    }
}
