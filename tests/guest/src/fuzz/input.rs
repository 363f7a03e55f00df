// SPDX-License-Identifier: GPL-2.0

//! What is written, and where it lies.

use std::fmt;
use std::os::fd::RawFd;

use fastrand::Rng;
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mprotect};

use crate::memory::{Mapping, PAGE_SIZE};

/// Longest of it that is near to something.
const LONG: usize = 70_000;

/// What is put in, beside what the target has.
const TOKENS: &[&[u8]] = &[
    b" ",
    b"\n",
    b"\0",
    b"-",
    b"+",
    b"0x",
    b",",
    b"\t",
    b"0",
    b"9",
    b"x",
    b"=",
    b"%s",
    b"%n",
    b"\xff",
    b"\xc3\xa4",
    b"18446744073709551615",
    b"4294967296",
    b"\x1b[2J",
    b"\r\n",
    b"..",
    b"*",
    b"'",
    b"\"",
    b"\\",
];

/// Bytes to be written, and how.
pub(super) struct Input {
    pub(super) bytes: Vec<u8>,
    /// Where in the file, if not where it stands.
    pub(super) offset: Option<i64>,
    /// That many of the bytes can be read; then comes memory that is not there.
    pub(super) readable: Option<usize>,
}

impl Input {
    /// Plain bytes.
    pub(super) fn of(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            offset: None,
            readable: None,
        }
    }

    /// One of the examples changed here and there, or nothing like them.
    pub(super) fn near(rng: &mut Rng, examples: &[String]) -> Self {
        let mut bytes = examples[rng.usize(0..examples.len())].clone().into_bytes();
        match rng.u32(0..40) {
            0 => bytes = (0..rng.usize(0..80)).map(|_| rng.u8(..)).collect(),
            1 => bytes = (0..rng.usize(0..LONG)).map(|_| rng.u8(..)).collect(),
            2 => {
                let times = LONG / bytes.len().max(1);
                bytes = bytes.repeat(rng.usize(1..=times.max(1)));
            }
            3 => {
                let len = [63, 64, 65, 4095, 4096, 4097][rng.usize(0..6)];
                bytes.resize(len, b" 0\n"[rng.usize(0..3)]);
            }
            _ => {}
        }
        for _ in 0..[0, 0, 1, 1, 1, 2, 3, 8][rng.usize(0..8)] {
            change(rng, &mut bytes, examples);
        }
        let mut input = Self::of(bytes);
        match rng.u32(0..24) {
            0 => input.offset = Some(rng.i64(0..=i64::MAX) >> rng.u32(0..63)),
            1 if !input.bytes.is_empty() => {
                input.readable = Some(rng.usize(0..input.bytes.len().min(PAGE_SIZE)));
            }
            _ => {}
        }
        input
    }

    /// Writes it in one call.
    pub(super) fn give(&self, file: RawFd) -> Result<usize, Errno> {
        let beside_a_hole = self
            .readable
            .map(|readable| Hole::new(&self.bytes[..readable]));
        let start = match &beside_a_hole {
            Some(hole) => hole.start(),
            None => self.bytes.as_ptr(),
        };
        // SAFETY: the kernel looks itself at what it can read of it, which is the point.
        let result = unsafe {
            match self.offset {
                None => libc::write(file, start.cast(), self.bytes.len()),
                Some(offset) => libc::pwrite(file, start.cast(), self.bytes.len(), offset),
            }
        };
        Errno::result(result).map(|written| written as usize)
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = &self.bytes[..self.bytes.len().min(80)];
        write!(f, "'{}' ({} bytes", most.escape_ascii(), self.bytes.len())?;
        if let Some(offset) = self.offset {
            write!(f, ", at {offset}")?;
        }
        if let Some(readable) = self.readable {
            write!(f, ", {readable} of them there")?;
        }
        write!(f, ")")
    }
}

/// One change.
fn change(rng: &mut Rng, bytes: &mut Vec<u8>, examples: &[String]) {
    let at = rng.usize(0..=bytes.len());
    let end = (at + rng.usize(0..12)).min(bytes.len());
    match rng.u32(0..8) {
        0 if at < bytes.len() => bytes[at] ^= 1 << rng.u32(0..8),
        1 if at < bytes.len() => bytes[at] = rng.u8(..),
        2 => drop(bytes.drain(at..end)),
        3 => bytes.truncate(at),
        4 => {
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
        5 => {
            let other = examples[rng.usize(0..examples.len())].bytes();
            bytes.splice(at..at, other);
        }
        _ => {
            let token = TOKENS[rng.usize(0..TOKENS.len())];
            bytes.splice(at..at, token.iter().copied());
        }
    }
}

/// Bytes that end where no memory is.
struct Hole {
    memory: Mapping,
    len: usize,
}

impl Hole {
    fn new(bytes: &[u8]) -> Self {
        let memory = Mapping::anonymous(2, MapFlags::MAP_PRIVATE).expect("memory for two pages");
        let start = (memory.address() + PAGE_SIZE - bytes.len()) as *mut u8;
        // SAFETY: at the end of the first page, which nobody else knows of; the second is not used.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len());
            let second = std::ptr::NonNull::new((memory.address() + PAGE_SIZE) as *mut _);
            mprotect(second.expect("not null"), PAGE_SIZE, ProtFlags::PROT_NONE)
                .expect("a page can be closed");
        }
        Self {
            memory,
            len: bytes.len(),
        }
    }

    fn start(&self) -> *const u8 {
        (self.memory.address() + PAGE_SIZE - self.len) as *const u8
    }
}
