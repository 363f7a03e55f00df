// SPDX-License-Identifier: GPL-2.0

//! perf's ring buffer: pages of the kernel's own, which are mapped by the user.

use std::fs::File;
use std::os::fd::FromRawFd;

use anyhow::{Context, Result};
use nix::errno::Errno;
use perf_event_open_sys::bindings::{PERF_COUNT_SW_DUMMY, PERF_TYPE_SOFTWARE, perf_event_attr};
use perf_event_open_sys::perf_event_open;

use super::ring::Ring;
use crate::memory::{Mapping, PAGE_SIZE};

/// An event that never happens, with a ring buffer: its control page, and as many
/// pages as the memory has, or a few more.
pub fn pin(memory: &Mapping) -> Result<Ring> {
    let mut attr = perf_event_attr {
        type_: PERF_TYPE_SOFTWARE,
        size: size_of::<perf_event_attr>().try_into()?,
        config: PERF_COUNT_SW_DUMMY.into(),
        ..Default::default()
    };
    // SAFETY: the attributes are valid for as long as the call.
    let fd = unsafe { perf_event_open(&mut attr, 0, -1, -1, 0) };
    Errno::result(fd).context("perf_event_open")?;
    // SAFETY: just opened, and nobody else's.
    let event = unsafe { File::from_raw_fd(fd) };
    let pages = 1 + (memory.len() / PAGE_SIZE).next_power_of_two();
    Ring::map(event, pages)
}
