// SPDX-License-Identifier: GPL-2.0

//! References held by a TCP socket that sends without copying (MSG_ZEROCOPY) to a
//! peer that does not read: the pages stay in the send queue, behind more ordinary
//! data than the peer has room for.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};
use nix::sys::socket::sockopt::{Linger, RcvBuf, SetBool, SndBufForce};
use nix::sys::socket::{MsgFlags, send, setsockopt};

use super::Pin;
use crate::memory::{Mapping, PAGE_SIZE};

/// Room for what the peer does not read. The kernel doubles it.
const ROOM: usize = 128 << 10;

/// Much more than that.
const AHEAD: usize = 8 * ROOM;

/// Whether the socket may send without copying.
#[derive(Clone)]
struct ZeroCopy;

nix::setsockopt_impl!(ZeroCopy, libc::SOL_SOCKET, libc::SO_ZEROCOPY, bool, SetBool);

/// Both ends of a connection over the loopback device, which has to be up.
pub struct SendQueue {
    sender: TcpStream,
    receiver: TcpStream,
}

impl SendQueue {
    /// Connects, and sends until the pages are in the queue.
    pub fn pin(memory: &Mapping) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen")?;
        // The connection inherits it, and it does not grow.
        setsockopt(&listener, RcvBuf, &ROOM).context("SO_RCVBUF")?;
        let sender = TcpStream::connect(listener.local_addr()?)
            .context("cannot connect: is the loopback device up?")?;
        let (receiver, _) = listener.accept().context("cannot accept")?;

        setsockopt(&sender, SndBufForce, &(2 * (AHEAD + memory.len())))
            .context("SO_SNDBUFFORCE")?;
        setsockopt(&sender, ZeroCopy, &true).context("SO_ZEROCOPY")?;
        sender.set_nonblocking(true)?;
        // After the end of a record a packet of its own begins: one reference for each.
        send_all(&sender, &vec![0; AHEAD], MsgFlags::MSG_EOR)?;
        let zerocopy = MsgFlags::from_bits_retain(libc::MSG_ZEROCOPY);
        for page in memory.bytes().chunks(PAGE_SIZE) {
            send_all(&sender, page, MsgFlags::MSG_EOR | zerocopy)?;
        }
        Ok(Self { sender, receiver })
    }
}

fn send_all(sender: &TcpStream, bytes: &[u8], flags: MsgFlags) -> Result<()> {
    let sent = send(sender.as_raw_fd(), bytes, flags).context("send")?;
    ensure!(
        sent == bytes.len(),
        "send took {sent} of {} bytes",
        bytes.len()
    );
    Ok(())
}

impl Pin for SendQueue {
    fn release(self: Box<Self>) -> Result<()> {
        // Otherwise the sender would go on trying to send.
        let at_once = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        setsockopt(&self.sender, Linger, &at_once).context("SO_LINGER")?;
        drop(self.sender);
        drop(self.receiver);
        Ok(())
    }
}
