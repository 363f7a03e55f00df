// SPDX-License-Identifier: GPL-2.0

//! References held by process_vm_readv(2), which pins what it reads from
//! (pin_user_pages_remote) and then copies. Copying to a page nobody has filled
//! yet, registered with userfaultfd, it stands still for as long as we like.

use std::fs::File;
use std::io::{IoSliceMut, Read};
use std::os::fd::{AsFd, AsRawFd, FromRawFd};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow, ensure};
use libc::c_int;
use linux_raw_sys::general::{
    UFFD_API, UFFD_EVENT_PAGEFAULT, UFFDIO_REGISTER_MODE_MISSING, uffd_msg, uffdio_api,
    uffdio_range, uffdio_register, uffdio_zeropage,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::mman::MapFlags;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::getpid;

use super::Pin;
use crate::memory::{Mapping, PAGE_SIZE};

/// What process_vm_readv pins at once (PVM_MAX_USER_PAGES).
const MAX_PAGES: usize = 1024;

/// Much longer than the reader needs to get as far as the fault, in ms.
const PATIENCE: u16 = 5_000;

nix::ioctl_readwrite!(uffdio_api_ioctl, 0xaa, 0x3f, uffdio_api);
nix::ioctl_readwrite!(uffdio_register_ioctl, 0xaa, 0x00, uffdio_register);
nix::ioctl_readwrite!(uffdio_zeropage_ioctl, 0xaa, 0x04, uffdio_zeropage);

/// A thread that holds the pages while it waits for its fault to be resolved.
pub struct StuckRead {
    reader: JoinHandle<nix::Result<usize>>,
    gate: Gate,
}

impl StuckRead {
    /// Starts the thread and waits until it has the pages.
    pub fn pin(memory: &Mapping) -> Result<Self> {
        ensure!(
            memory.len() <= MAX_PAGES * PAGE_SIZE,
            "gup holds at most {MAX_PAGES} pages"
        );
        let mut gate = Gate::new()?;
        let remote = [RemoteIoVec {
            base: memory.address(),
            len: memory.len(),
        }];
        let local = gate.page.address();
        let reader = thread::Builder::new()
            .name("ppo-gup".into())
            .spawn(move || {
                // SAFETY: the gate's page stays mapped until this thread is joined,
                // and nothing else refers to its contents.
                let page = unsafe { std::slice::from_raw_parts_mut(local as *mut u8, PAGE_SIZE) };
                process_vm_readv(getpid(), &mut [IoSliceMut::new(page)], &remote)
            })
            .context("cannot start a thread")?;
        if let Err(error) = gate.wait() {
            if reader.is_finished() {
                join(reader)?;
            }
            return Err(error);
        }
        Ok(Self { reader, gate })
    }
}

impl Pin for StuckRead {
    fn release(self: Box<Self>) -> Result<()> {
        self.gate.open()?;
        join(self.reader)
    }
}

/// What became of the read.
fn join(reader: JoinHandle<nix::Result<usize>>) -> Result<()> {
    reader
        .join()
        .map_err(|_| anyhow!("the reading thread panicked"))?
        .context("process_vm_readv")?;
    Ok(())
}

/// A page on which whoever writes to it waits until the gate is opened.
struct Gate {
    uffd: File,
    page: Mapping,
}

impl Gate {
    fn new() -> Result<Self> {
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

    /// Waits until somebody stands at the gate.
    fn wait(&mut self) -> Result<()> {
        let mut fds = [PollFd::new(self.uffd.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut fds, PollTimeout::from(PATIENCE)).context("poll")?;
        ensure!(ready == 1, "process_vm_readv did not get as far as copying");
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
    fn open(&self) -> Result<()> {
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
