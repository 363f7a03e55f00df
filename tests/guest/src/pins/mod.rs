// SPDX-License-Identifier: GPL-2.0

//! Ways to hold a reference to pages, one file each.

mod gup;
mod longterm;
mod none;
mod vmsplice;

use anyhow::Result;
use clap::ValueEnum;

use crate::memory::Mapping;

/// References held on the pages of a mapping.
pub trait Pin {
    /// Gives the references back, and does nothing else to the pages.
    fn release(self: Box<Self>) -> Result<()>;
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
}

impl Mechanism {
    /// Takes references to all pages of the mapping, which has to stay mapped.
    pub fn pin(self, memory: &Mapping) -> Result<Box<dyn Pin>> {
        Ok(match self {
            Self::None => Box::new(none::Unpinned),
            Self::Vmsplice => Box::new(vmsplice::Pipes::pin(memory)?),
            Self::Gup => Box::new(gup::StuckRead::pin(memory)?),
            Self::Longterm => Box::new(longterm::GupTest::pin(memory)?),
        })
    }
}
