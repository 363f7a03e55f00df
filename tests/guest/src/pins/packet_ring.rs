// SPDX-License-Identifier: GPL-2.0

//! A packet socket's ring buffer: pages of the kernel's own, which are mapped by the
//! user.

use std::fs::File;

use anyhow::{Context, Result};
use nix::sys::socket::sockopt::SetStruct;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket};

use super::ring::Ring;
use crate::memory::{Mapping, PAGE_SIZE};

/// The ring for packets that come in.
#[derive(Clone)]
struct RxRing;

nix::setsockopt_impl!(
    RxRing,
    libc::SOL_PACKET,
    libc::PACKET_RX_RING,
    libc::tpacket_req,
    SetStruct<libc::tpacket_req>
);

/// A socket that receives nothing, with as many pages as the memory has.
pub fn pin(memory: &Mapping) -> Result<Ring> {
    let socket = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .context("packet socket")?;
    let pages = memory.len() / PAGE_SIZE;
    let request = libc::tpacket_req {
        tp_block_size: PAGE_SIZE.try_into()?,
        tp_block_nr: pages.try_into()?,
        tp_frame_size: PAGE_SIZE.try_into()?,
        tp_frame_nr: pages.try_into()?,
    };
    setsockopt(&socket, RxRing, &request).context("PACKET_RX_RING")?;
    Ring::map(File::from(socket), pages)
}
