// SPDX-License-Identifier: GPL-2.0

//! The server of a block device, which can hold back its replies.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};

use super::protocol::{Command, Request};

/// Much longer than a request needs to get here.
const PATIENCE: Duration = Duration::from_secs(15);

/// Serves what is in a file to whoever is at the other end of a socket.
pub struct Server {
    stream: UnixStream,
    storage: File,
    replies: Mutex<Replies>,
    more: Condvar,
}

#[derive(Default)]
struct Replies {
    /// Requests of this kind get no reply for now
    hold: Option<Command>,
    held: Vec<Vec<u8>>,
    /// What the requests that are held are about
    held_bytes: u64,
}

impl Server {
    /// Serves the file, once [`Self::run`] runs.
    pub fn new(stream: UnixStream, storage: File) -> Self {
        Self {
            stream,
            storage,
            replies: Mutex::default(),
            more: Condvar::new(),
        }
    }

    /// Does what the kernel asks for until it disconnects, then so does the server.
    pub fn run(&self) -> io::Result<()> {
        let result = self.serve();
        self.stream.shutdown(Shutdown::Both)?;
        result
    }

    fn serve(&self) -> io::Result<()> {
        loop {
            let request = match Request::receive(&mut &self.stream) {
                Ok(request) if request.command == Command::Disconnect => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                request => request?,
            };
            let reply = self.answer_to(&request)?;
            let mut replies = self.replies();
            if replies.hold == Some(request.command) {
                replies.held.push(reply);
                replies.held_bytes += u64::from(request.len);
                self.more.notify_all();
            } else {
                (&self.stream).write_all(&reply)?;
            }
        }
    }

    /// From now on such requests are received, and get no reply.
    pub fn hold(&self, command: Command) {
        self.replies().hold = Some(command);
    }

    /// Waits until requests for so many bytes are held.
    pub fn wait_for(&self, bytes: u64) -> Result<()> {
        let (replies, _) = self
            .more
            .wait_timeout_while(self.replies(), PATIENCE, |replies| {
                replies.held_bytes < bytes
            })
            .unwrap_or_else(PoisonError::into_inner);
        ensure!(
            replies.held_bytes >= bytes,
            "only {} of {bytes} bytes got as far as the device",
            replies.held_bytes
        );
        Ok(())
    }

    /// Sends what was held back, and holds back no more.
    pub fn release(&self) -> io::Result<()> {
        let mut replies = self.replies();
        replies.hold = None;
        replies.held_bytes = 0;
        for reply in replies.held.drain(..) {
            (&self.stream).write_all(&reply)?;
        }
        Ok(())
    }

    fn answer_to(&self, request: &Request) -> io::Result<Vec<u8>> {
        let mut data = vec![0; request.len as usize];
        let done = match request.command {
            Command::Read => self.storage.read_exact_at(&mut data, request.offset),
            Command::Write => {
                (&self.stream).read_exact(&mut data)?;
                self.storage.write_all_at(&data, request.offset)
            }
            _ => return Ok(request.reply(libc::EINVAL)),
        };
        let mut reply = request.reply(if done.is_ok() { 0 } else { libc::EIO });
        if request.command == Command::Read && done.is_ok() {
            reply.append(&mut data);
        }
        Ok(reply)
    }

    /// Nothing is left half done where a thread could panic with it.
    fn replies(&self) -> MutexGuard<'_, Replies> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
