// SPDX-License-Identifier: GPL-2.0

//! What the guest programs share: memory of a known kind, where it lies, and
//! ways to hold a reference to it, and what can be done with it.

pub mod acts;
pub mod files;
pub mod fuzz;
pub mod memory;
pub mod nbd;
pub mod numa;
pub mod physical;
pub mod pins;
pub mod subject;
mod tally;
pub mod torture;
