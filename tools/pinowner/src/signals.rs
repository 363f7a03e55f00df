// SPDX-License-Identifier: GPL-2.0

//! Signals that end a command, caught so that it can put things back.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Has somebody asked for the end?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Yes.
    Yes,
    /// No; the time is over, or a child has ended.
    No,
}

/// Signals that are caught.
#[derive(Debug)]
pub struct Signals {
    end: UnixStream,
    child: UnixStream,
}

impl Signals {
    /// Catches those that end a program, and that of a child's end.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn catch() -> io::Result<Self> {
        let (end, raise_end) = UnixStream::pair()?;
        let (child, raise_child) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM] {
            pipe::register(signal, raise_end.try_clone()?)?;
        }
        // nohup means that.
        if !is_ignored(SIGHUP) {
            pipe::register(SIGHUP, raise_end)?;
        }
        pipe::register(SIGCHLD, raise_child)?;
        child.set_nonblocking(true)?;
        Ok(Signals { end, child })
    }

    /// Waits for a signal, for so long at most.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn wait(&self, time: Duration) -> io::Result<Ended> {
        let mut both = [
            PollFd::new(self.end.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.child.as_fd(), PollFlags::POLLIN),
        ];
        let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
        match poll(&mut both, timeout) {
            // The signal itself; its byte is there now.
            Ok(_) | Err(nix::errno::Errno::EINTR) => (),
            Err(error) => return Err(error.into()),
        }
        let mut bytes = [0; 64];
        // Only to be told of the next one.
        let _ = (&self.child).read(&mut bytes);
        let mut end = [PollFd::new(self.end.as_fd(), PollFlags::POLLIN)];
        match poll(&mut end, PollTimeout::ZERO)? {
            0 => Ok(Ended::No),
            _ => Ok(Ended::Yes),
        }
    }
}

/// Was the signal ignored when this program was started?
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal - 1) & 1 != 0)
}
