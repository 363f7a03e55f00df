// SPDX-License-Identifier: GPL-2.0

//! A block device of our own: the kernel's NBD client, with the server in a thread
//! of this process.

mod ioctl;
mod protocol;
mod server;

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;

use ioctl::{
    nbd_clear_sock, nbd_disconnect, nbd_do_it, nbd_set_blksize, nbd_set_size_blocks, nbd_set_sock,
};
pub use protocol::Command;
pub use server::Server;

/// Who connects here, to ppo-nbd, has it hold back its replies to writes until the
/// connection ends. It is told by a byte when this has begun.
pub const CONTROL: &str = "/tmp/ppo-nbd.socket";

const BLOCK_SIZE: u64 = 4096;

/// Much longer than the kernel needs to start a device.
const PATIENCE: Duration = Duration::from_secs(15);

/// A block device, there until dropped.
pub struct Device {
    path: PathBuf,
    node: File,
    server: Arc<Server>,
    /// One is the server, one is in the kernel for as long as the device is there.
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Device {
    /// Makes a device with the contents of the file.
    pub fn new(storage: File) -> Result<Self> {
        let blocks = storage.metadata()?.len() / BLOCK_SIZE;
        let (ours, kernels) = UnixStream::pair().context("socketpair")?;
        let (name, node) = claim(kernels.as_raw_fd())?;
        let fd = node.as_raw_fd();
        // SAFETY: these take no pointer.
        unsafe {
            nbd_set_blksize(fd, BLOCK_SIZE.try_into()?).context("NBD_SET_BLKSIZE")?;
            nbd_set_size_blocks(fd, blocks.try_into()?).context("NBD_SET_SIZE_BLOCKS")?;
        }

        let mut device = Self {
            path: Path::new("/dev").join(&name),
            node,
            server: Arc::new(Server::new(ours, storage)),
            threads: Vec::new(),
        };
        let server = Arc::clone(&device.server);
        device.spawn("ppo-nbd", move || server.run().context("the server"))?;
        let node = device.node.try_clone()?;
        device.spawn("ppo-nbd-client", move || {
            // SAFETY: no argument.
            unsafe {
                nbd_do_it(node.as_raw_fd()).context("NBD_DO_IT")?;
                nbd_clear_sock(node.as_raw_fd()).context("NBD_CLEAR_SOCK")?;
            }
            Ok(())
        })?;
        device.wait_for_size(&name)?;
        Ok(device)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who serves it.
    pub fn server(&self) -> &Server {
        &self.server
    }

    fn spawn(
        &mut self,
        name: &str,
        run: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let thread = thread::Builder::new()
            .name(name.into())
            .spawn(run)
            .context("cannot start a thread")?;
        self.threads.push(thread);
        Ok(())
    }

    /// NBD_DO_IT does not return; the last it does at the start is to set the size.
    fn wait_for_size(&self, name: &str) -> Result<()> {
        let began = Instant::now();
        while fs::read_to_string(format!("/sys/block/{name}/size"))?.trim() == "0" {
            ensure!(began.elapsed() < PATIENCE, "{name} does not start");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// Finds a device that nobody uses, and gives it the socket.
fn claim(socket: RawFd) -> Result<(String, File)> {
    for number in 0.. {
        let name = format!("nbd{number}");
        // Not for writing: what is open for that the kernel may refuse to mount.
        let node = match File::open(format!("/dev/{name}")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            node => node.with_context(|| format!("cannot open {name}"))?,
        };
        if Path::new(&format!("/sys/block/{name}/pid")).exists() {
            continue;
        }
        // SAFETY: no pointer.
        match unsafe { nbd_set_sock(node.as_raw_fd(), socket) } {
            Err(Errno::EBUSY) => {}
            result => {
                result.context("NBD_SET_SOCK")?;
                return Ok((name, node));
            }
        }
    }
    bail!("no /dev/nbd* is free")
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.server.release();
        // SAFETY: no argument.
        let disconnected = unsafe { nbd_disconnect(self.node.as_raw_fd()) };
        debug_assert!(disconnected.is_ok());
        for thread in self.threads.drain(..) {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => eprintln!("{}: {error:#}", self.path.display()),
                Err(_) => eprintln!("{}: a thread panicked", self.path.display()),
            }
        }
    }
}
