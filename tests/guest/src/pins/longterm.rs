// SPDX-License-Identifier: GPL-2.0

//! References held by the kernel's own gup_test.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;

use anyhow::{Context, Result};

use super::Pin;
use crate::memory::Mapping;

const GUP_TEST: &str = "/sys/kernel/debug/gup_test";

/// `struct pin_longterm_test` of mm/gup_test.h.
#[repr(C)]
struct PinLongtermTest {
    addr: u64,
    size: u64,
    flags: u32,
}

/// PIN_LONGTERM_TEST_FLAG_USE_WRITE.
const USE_WRITE: u32 = 1;
/// PIN_LONGTERM_TEST_FLAG_USE_FAST.
const USE_FAST: u32 = 2;

/// How gup_test gets at the pages.
#[derive(Clone, Copy)]
pub enum Speed {
    /// pin_user_pages()
    Slow,
    /// pin_user_pages_fast()
    Fast,
}

nix::ioctl_write_ptr!(pin_longterm_test_start, b'g', 7, PinLongtermTest);
nix::ioctl_none!(pin_longterm_test_stop, b'g', 8);

/// gup_test's file, which stays open as long as this program runs: its release gives up the
/// pin there is, whoever took it, without gup_test's lock. A child that has not got to its
/// exec yet would do that when it closes the file of an earlier pin, and free the array of
/// one that is just being taken.
pub fn gup_test() -> Result<&'static File> {
    static FILE: OnceLock<File> = OnceLock::new();
    if let Some(file) = FILE.get() {
        return Ok(file);
    }
    let file = File::options()
        .read(true)
        .write(true)
        .open(GUP_TEST)
        .with_context(|| format!("cannot open {GUP_TEST}"))?;
    Ok(FILE.get_or_init(|| file))
}

/// The one pin gup_test can hold at a time.
pub struct GupTest {
    file: &'static File,
}

impl GupTest {
    /// Has gup_test pin the pages.
    pub fn pin(memory: &Mapping, speed: Speed) -> Result<Self> {
        let file = gup_test()?;
        let request = PinLongtermTest {
            addr: memory.address() as u64,
            size: memory.len() as u64,
            flags: match speed {
                Speed::Slow => USE_WRITE,
                Speed::Fast => USE_WRITE | USE_FAST,
            },
        };
        // SAFETY: the request is of the type this ioctl reads.
        unsafe { pin_longterm_test_start(file.as_raw_fd(), &request) }
            .context("PIN_LONGTERM_TEST_START")?;
        Ok(Self { file })
    }
}

impl Pin for GupTest {
    fn release(self: Box<Self>) -> Result<()> {
        // SAFETY: no argument.
        unsafe { pin_longterm_test_stop(self.file.as_raw_fd()) }
            .context("PIN_LONGTERM_TEST_STOP")?;
        Ok(())
    }
}
