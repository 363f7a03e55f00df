// SPDX-License-Identifier: GPL-2.0

//! Ways to hold a reference to pages, one file each.

mod direct;
mod exit;
mod gate;
mod gup;
mod io_uring;
mod longterm;
mod lru_batch;
mod none;
mod packet_ring;
mod perf_ring;
mod pipe;
mod read;
mod ring;
mod splice;
mod vmsplice;
mod writeback;
mod zerocopy;

use anyhow::Result;
use clap::ValueEnum;

pub use longterm::gup_test;

use crate::memory::Mapping;

/// References held on the pages of a mapping.
pub trait Pin {
    /// Gives the references back, and does nothing else to the pages.
    fn release(self: Box<Self>) -> Result<()>;

    /// The pages that are held, if it is not those of the mapping.
    fn memory(&self) -> Option<&Mapping> {
        None
    }
}

/// How the references are taken.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Mechanism {
    /// Not at all: the control run
    None,
    /// vmsplice(2) into pipes: FOLL_GET
    Vmsplice,
    /// process_vm_readv(2) that stands still in a user fault: FOLL_PIN
    Gup,
    /// gup_test: FOLL_PIN | FOLL_LONGTERM, which first moves the pages out of CMA
    Longterm,
    /// As longterm, without the lock of the address space (GUP-fast)
    LongtermFast,
    /// Buffers registered with an io_uring: FOLL_PIN | FOLL_LONGTERM
    IoUring,
    /// splice(2) of the mapped file into pipes: the page cache's pages
    Splice,
    /// tee(2) of such pipes, which are closed then
    Tee,
    /// MSG_ZEROCOPY to a TCP peer that does not read: pages in the send queue
    Zerocopy,
    /// A child that has them in a pipe, and dies
    Exit,
    /// A per-CPU batch of the LRU lists, on the last processor
    LruBatch,
    /// perf's ring buffer: not the memory's pages but the ring's
    PerfRing,
    /// A packet socket's ring buffer: not the memory's pages but the ring's
    PacketRing,
    /// O_DIRECT write(2) to a block device that does not reply: FOLL_PIN
    DirectWrite,
    /// O_DIRECT read(2) from a block device that does not reply: FOLL_PIN
    DirectRead,
    /// read(2) of the file that is mapped, which stands still in a user fault
    Read,
    /// Writeback to a device that does not reply: no reference, but no migration
    Writeback,
}

impl Mechanism {
    /// Takes references to all pages of the mapping, which has to stay mapped.
    pub fn pin(self, memory: &Mapping) -> Result<Box<dyn Pin>> {
        Ok(match self {
            Self::None => Box::new(none::Unpinned),
            Self::Vmsplice => Box::new(vmsplice::Pipes::pin(memory)?),
            Self::Gup => Box::new(gup::StuckRead::pin(memory)?),
            Self::Longterm => Box::new(longterm::GupTest::pin(memory, longterm::Speed::Slow)?),
            Self::LongtermFast => Box::new(longterm::GupTest::pin(memory, longterm::Speed::Fast)?),
            Self::IoUring => Box::new(io_uring::Registered::pin(memory)?),
            Self::Splice => Box::new(splice::Spliced::pin(memory)?),
            Self::Tee => Box::new(splice::Spliced::pin(memory)?.tee(memory)?),
            Self::Zerocopy => Box::new(zerocopy::SendQueue::pin(memory)?),
            Self::Exit => Box::new(exit::Child::pin(memory)?),
            Self::LruBatch => Box::new(lru_batch::Batch::pin(memory)?),
            Self::PerfRing => Box::new(perf_ring::pin(memory)?),
            Self::PacketRing => Box::new(packet_ring::pin(memory)?),
            Self::DirectWrite => Box::new(direct::Transfer::write(memory)?),
            Self::DirectRead => Box::new(direct::Transfer::read(memory)?),
            Self::Read => Box::new(read::StuckReads::pin(memory)?),
            Self::Writeback => Box::new(writeback::Writeback::pin(memory)?),
        })
    }
}
