// SPDX-License-Identifier: GPL-2.0

//! What the guest programs share: memory of a known kind, where it lies, and
//! ways to hold a reference to it.

pub mod memory;
pub mod physical;
pub mod pins;
