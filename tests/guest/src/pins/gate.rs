// SPDX-License-Identifier: GPL-2.0

//! Where a system call that copies to our memory stands still: a page nobody has
//! filled yet, registered with userfaultfd.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, FromRawFd};

use anyhow::{Context, Result, ensure};
use libc::c_int;
use linux_raw_sys::general::{
    UFFD_API, UFFD_EVENT_PAGEFAULT, UFFDIO_REGISTER_MODE_MISSING, uffd_msg, uffdio_api,
    uffdio_range, uffdio_register, uffdio_zeropage,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::mman::MapFlags;

use crate::memory::Mapping;

/// Much longer than a thread needs to get as far as the fault, in ms.
const PATIENCE: u16 = 15_000;

nix::ioctl_readwrite!(uffdio_api_ioctl, 0xaa, 0x3f, uffdio_api);
nix::ioctl_readwrite!(uffdio_register_ioctl, 0xaa, 0x00, uffdio_register);
nix::ioctl_readwrite!(uffdio_zeropage_ioctl, 0xaa, 0x04, uffdio_zeropage);

/// A page on which whoever writes to it waits until the gate is opened.
pub struct Gate {
    uffd: File,
    page: Mapping,
}

impl Gate {
    /// A closed one.
    pub fn new() -> Result<Self> {
        // poll works on a non-blocking one only.
        // SAFETY: a system call without pointers.
        let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | libc::O_NONBLOCK) }
            as c_int;
        nix::errno::Errno::result(fd).context("userfaultfd")?;
        // SAFETY: just opened, and nobody else's.
        let uffd = unsafe { File::from_raw_fd(fd) };
        let page = Mapping::anonymous(1, MapFlags::MAP_PRIVATE)?;

        let mut api = uffdio_api {
            api: UFFD_API.into(),
            features: 0,
            ioctls: 0,
        };
        // SAFETY: the argument is of the type this ioctl reads and writes.
        unsafe { uffdio_api_ioctl(fd, &mut api) }.context("UFFDIO_API")?;
        let mut register = uffdio_register {
            range: range_of(&page),
            mode: UFFDIO_REGISTER_MODE_MISSING.into(),
            ioctls: 0,
        };
        // SAFETY: as above.
        unsafe { uffdio_register_ioctl(fd, &mut register) }.context("UFFDIO_REGISTER")?;
        Ok(Self { uffd, page })
    }

    /// Where the page is.
    pub fn address(&self) -> usize {
        self.page.address()
    }

    /// Waits until so many threads stand at the gate.
    pub fn wait(&mut self, threads: usize) -> Result<()> {
        (0..threads).try_for_each(|_| self.wait_for_one())
    }

    fn wait_for_one(&mut self) -> Result<()> {
        let mut fds = [PollFd::new(self.uffd.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut fds, PollTimeout::from(PATIENCE)).context("poll")?;
        ensure!(ready == 1, "the system call did not get as far as copying");
        let mut message = [0; size_of::<uffd_msg>()];
        self.uffd
            .read_exact(&mut message)
            .context("cannot read the userfaultfd")?;
        // The event is the first byte of the message.
        ensure!(
            u32::from(message[0]) == UFFD_EVENT_PAGEFAULT,
            "not a page fault: {}",
            message[0]
        );
        Ok(())
    }

    /// Lets pass whoever waits.
    pub fn open(&self) -> Result<()> {
        let mut zeropage = uffdio_zeropage {
            range: range_of(&self.page),
            mode: 0,
            zeropage: 0,
        };
        // SAFETY: the argument is of the type this ioctl reads and writes.
        unsafe { uffdio_zeropage_ioctl(self.uffd.as_raw_fd(), &mut zeropage) }
            .context("UFFDIO_ZEROPAGE")?;
        Ok(())
    }
}

fn range_of(page: &Mapping) -> uffdio_range {
    uffdio_range {
        start: page.address() as u64,
        len: page.len() as u64,
    }
}
