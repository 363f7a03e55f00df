// SPDX-License-Identifier: GPL-2.0

//! The little there is of the NBD protocol between a kernel and a server that
//! were connected by hand: requests of 28 bytes, replies of 16, data behind them.

use std::io::{self, Read};

const REQUEST_MAGIC: u32 = 0x2560_9513;
const REPLY_MAGIC: u32 = 0x6744_6698;

/// What a request wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send these bytes
    Read,
    /// Store the bytes that follow
    Write,
    /// End, without a reply
    Disconnect,
    /// Nothing we have told the kernel we can do
    Unknown(u16),
}

/// What the kernel sends, without the data of a write.
#[derive(Debug)]
pub struct Request {
    /// What to do
    pub command: Command,
    /// What the reply has to name
    cookie: u64,
    /// The first byte
    pub offset: u64,
    /// How many
    pub len: u32,
}

impl Request {
    /// Waits for the next one.
    pub fn receive(stream: &mut impl Read) -> io::Result<Self> {
        if take(stream).map(u32::from_be_bytes)? != REQUEST_MAGIC {
            return Err(io::Error::other("no NBD request"));
        }
        let _flags: [u8; 2] = take(stream)?;
        Ok(Self {
            command: match take(stream).map(u16::from_be_bytes)? {
                0 => Command::Read,
                1 => Command::Write,
                2 => Command::Disconnect,
                other => Command::Unknown(other),
            },
            cookie: take(stream).map(u64::from_be_bytes)?,
            offset: take(stream).map(u64::from_be_bytes)?,
            len: take(stream).map(u32::from_be_bytes)?,
        })
    }

    /// The reply to it, 0 being no error; the data of a read go behind it.
    pub fn reply(&self, errno: i32) -> Vec<u8> {
        let mut reply = Vec::with_capacity(16);
        reply.extend(REPLY_MAGIC.to_be_bytes());
        reply.extend(errno.to_be_bytes());
        reply.extend(self.cookie.to_be_bytes());
        reply
    }
}

fn take<const N: usize>(stream: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}
