// SPDX-License-Identifier: GPL-2.0

//! A ring buffer of the kernel's that is mapped by the user: pages that are not the
//! user's memory, with a reference for each mapping.

use std::fs::File;

use anyhow::{Context, Result};

use super::Pin;
use crate::memory::Mapping;

/// A ring and its owner, which goes with the mapping.
pub struct Ring {
    pages: Mapping,
}

impl Ring {
    /// Maps the ring of so many pages that the file has.
    pub fn map(owner: File, pages: usize) -> Result<Self> {
        let pages = Mapping::shared(owner, pages).context("cannot map the ring")?;
        pages.look();
        Ok(Self { pages })
    }
}

impl Pin for Ring {
    fn release(self: Box<Self>) -> Result<()> {
        drop(self.pages);
        Ok(())
    }

    fn memory(&self) -> Option<&Mapping> {
        Some(&self.pages)
    }
}
