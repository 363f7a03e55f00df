// SPDX-License-Identifier: GPL-2.0

//! What a load did, how often, and what was refused.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Mutex;

use anyhow::Error;
use nix::errno::Errno;

/// More messages than these say nothing new.
const MAX_COMPLAINTS: usize = 5;

/// One kind of act.
#[derive(Default)]
struct Count {
    done: u64,
    refused: BTreeMap<i32, u64>,
}

/// All acts of one load.
pub struct Tally {
    load: &'static str,
    counts: Mutex<BTreeMap<&'static str, Count>>,
    complaints: Mutex<Vec<String>>,
}

impl Tally {
    /// That of a load which has to do each of these acts at least once.
    pub fn new(load: &'static str, acts: &[&'static str]) -> Self {
        let counts = acts.iter().map(|&act| (act, Count::default())).collect();
        Self {
            load,
            counts: Mutex::new(counts),
            complaints: Mutex::default(),
        }
    }

    /// Counts an act that succeeded so many times.
    pub fn did(&self, act: &'static str, times: u64) {
        self.counts.lock().unwrap().entry(act).or_default().done += times;
    }

    /// Counts an act that may be refused with one of these errors, and with no other.
    pub fn tried<T>(
        &self,
        act: &'static str,
        result: Result<T, impl Into<Error>>,
        allowed: &[Errno],
    ) -> Option<T> {
        match result {
            Ok(value) => {
                self.did(act, 1);
                Some(value)
            }
            Err(error) => {
                self.refused(act, error.into(), allowed);
                None
            }
        }
    }

    /// Counts an act that the kernel has to refuse with this error; or may, with one of the
    /// others.
    pub fn tried_in_vain<T>(
        &self,
        act: &'static str,
        result: io::Result<T>,
        error: Errno,
        allowed: &[Errno],
    ) {
        match result {
            Ok(_) => self.complain(format!("{act}: not refused")),
            Err(e) if e.raw_os_error() == Some(error as i32) => self.did(act, 1),
            Err(e) => self.refused(act, e.into(), allowed),
        }
    }

    /// Counts an act that ended with this error, or well, as it may.
    pub fn ended(&self, act: &'static str, error: Option<Errno>) {
        match error {
            None => self.did(act, 1),
            Some(errno) => self.count_refused(act, errno),
        }
    }

    fn count_refused(&self, act: &'static str, errno: Errno) {
        let mut counts = self.counts.lock().unwrap();
        let refused = &mut counts.entry(act).or_default().refused;
        *refused.entry(errno as i32).or_default() += 1;
    }

    fn refused(&self, act: &'static str, error: Error, allowed: &[Errno]) {
        match errno_of(&error) {
            Some(errno) if allowed.contains(&errno) => self.count_refused(act, errno),
            _ => self.complain(format!("{act}: {error:#}")),
        }
    }

    /// Something that must not be.
    pub fn complain(&self, what: String) {
        let mut complaints = self.complaints.lock().unwrap();
        if complaints.len() < MAX_COMPLAINTS {
            complaints.push(format!("{}: {what}", self.load));
        }
    }

    /// Whether this one was.
    pub fn has_done(&self, act: &str) -> bool {
        let counts = self.counts.lock().unwrap();
        counts.get(act).is_some_and(|count| count.done > 0)
    }

    /// Whether each act was done.
    pub fn is_complete(&self) -> bool {
        self.counts
            .lock()
            .unwrap()
            .values()
            .all(|count| count.done > 0)
    }

    /// What is wrong with it, in the end.
    pub fn verdict(&self) -> Vec<String> {
        let mut all = self.complaints.lock().unwrap().clone();
        for (act, count) in self.counts.lock().unwrap().iter() {
            if count.done == 0 {
                all.push(format!("{}: {act}: never done, {count}", self.load));
            }
        }
        all
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (act, count) in self.counts.lock().unwrap().iter() {
            write!(f, " {}.{act}={count}", self.load)?;
        }
        Ok(())
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.done)?;
        for (&errno, times) in &self.refused {
            write!(f, ",{:?}:{times}", Errno::from_raw(errno))?;
        }
        Ok(())
    }
}

/// What came of several loads.
pub struct Outcome {
    /// What must not have been; none is success.
    pub complaints: Vec<String>,
    /// Everything that was done.
    pub counts: String,
}

impl Outcome {
    /// That of these loads, when they are over.
    pub fn of<'a>(tallies: impl Iterator<Item = &'a Tally> + Clone) -> Self {
        Self {
            complaints: tallies.clone().flat_map(Tally::verdict).collect(),
            counts: tallies.map(Tally::to_string).collect(),
        }
    }

    /// Prints it, with `more` figures: the complaints, and one line in the end. True for
    /// success.
    pub fn tell(&self, what: &str, more: &str) -> bool {
        for complaint in &self.complaints {
            println!("{what}: {complaint}");
        }
        let good = self.complaints.is_empty();
        let verdict = if good { "SUCCESS" } else { "FAILURE" };
        println!("{what}: {verdict}{}{more}", self.counts);
        good
    }
}

/// The error of the system call at the bottom of it.
fn errno_of(error: &Error) -> Option<Errno> {
    let cause = error.root_cause();
    cause.downcast_ref::<Errno>().copied().or_else(|| {
        let error = cause.downcast_ref::<io::Error>()?;
        error.raw_os_error().map(Errno::from_raw)
    })
}
