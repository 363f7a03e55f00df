// SPDX-License-Identifier: GPL-2.0

//! No reference at all.

use anyhow::Result;

use super::Pin;

/// Pages that are mapped and nothing else.
pub struct Unpinned;

impl Pin for Unpinned {
    fn release(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
