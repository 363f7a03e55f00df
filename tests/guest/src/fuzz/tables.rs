// SPDX-License-Identifier: GPL-2.0

//! The files that can only be read: from anywhere, into memory that is not there, and by system
//! calls that are not for them.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use nix::errno::Errno;

use super::state::FIXED;
use super::{Fuzz, Target};
use crate::memory::PAGE_SIZE;
use crate::subject::{DEBUGFS, parameter};
use crate::tally::Tally;

const TABLES: [&str; 6] = ["marked", "holders", "stacks", "stats", "watch", "ledger"];

pub(super) fn target() -> Target {
    Target {
        weight: 15,
        tally: Tally::new(
            "tables",
            &[
                "read", "seek", "fault", "write", "open", "mmap", "ioctl", "truncate",
            ],
        ),
        fuzz,
    }
}

fn fuzz(fuzz: &mut Fuzz, tally: &Tally) -> Result<()> {
    let rng = &mut fuzz.rng;
    let table = format!("{DEBUGFS}/{}", TABLES[rng.usize(0..TABLES.len())]);
    let file = File::open(&table).context("a table")?;
    let offset = rng.i64(0..=i64::MAX) >> rng.u32(0..63);
    let len = rng.usize(0..1 << 16) >> rng.u32(0..16);
    let mut room = vec![0u8; len];
    let fd = file.as_raw_fd();
    // SAFETY: of all these, no memory but `room` is written to.
    let (act, result) = unsafe {
        match rng.u32(0..12) {
            0..3 => (
                "read",
                libc::pread(fd, room.as_mut_ptr().cast(), len, offset),
            ),
            3 => {
                let whence = rng.i32(-1..6);
                libc::lseek(fd, offset * [1, -1][rng.usize(0..2)], whence);
                ("seek", libc::read(fd, room.as_mut_ptr().cast(), len))
            }
            // Address 1 is nobody's.
            4 => (
                "fault",
                libc::pread(fd, std::ptr::dangling_mut(), len.max(1), 0),
            ),
            5 => {
                let file = File::options().write(true).open(&table)?;
                let written = libc::write(file.as_raw_fd(), room.as_ptr().cast(), len);
                ("write", written)
            }
            6 => ("open", opened(&parameter(FIXED[rng.usize(0..FIXED.len())]))),
            7 => {
                let prot = libc::PROT_READ;
                let at = libc::mmap(
                    std::ptr::null_mut(),
                    PAGE_SIZE,
                    prot,
                    libc::MAP_SHARED,
                    fd,
                    0,
                );
                ("mmap", at as isize)
            }
            8 | 9 => ("ioctl", libc::ioctl(fd, rng.u64(..), 1) as isize),
            _ => ("truncate", opened_anew(&table)),
        }
    };
    let result = Errno::result(result);
    let expected: &[Errno] = match act {
        // Only where there is something to read
        "fault" if matches!(result, Ok(0)) => &[],
        "fault" => &[Errno::EFAULT],
        // Some are for all files, and do nothing to this one.
        "ioctl" => &[
            Errno::ENOTTY,
            Errno::EFAULT,
            Errno::EINVAL,
            Errno::EBADF,
            Errno::EPERM,
            Errno::EOPNOTSUPP,
        ],
        "write" => &[Errno::EINVAL],
        "open" => &[Errno::EACCES],
        "mmap" => &[Errno::ENODEV],
        _ => &[],
    };
    match result {
        Ok(_) if matches!(act, "read" | "seek" | "truncate") => tally.did(act, 1),
        Ok(_) if expected.is_empty() || act == "ioctl" => {}
        Err(errno) if expected.contains(&errno) => tally.did(act, 1),
        result => tally.complain(format!(
            "{act} of {table} at {offset}, {len} bytes: {result:?}"
        )),
    }
    fuzz.compare(tally, &(act, table))
}

/// The result of opening a file to write to it, as of a system call.
fn opened(path: &str) -> isize {
    made(File::options().write(true).open(path))
}

/// The same to have it empty.
fn opened_anew(path: &str) -> isize {
    made(File::options().write(true).truncate(true).open(path))
}

fn made(file: io::Result<File>) -> isize {
    file.map_or(-1, |_| 0)
}
