// SPDX-License-Identifier: GPL-2.0

//! Names of the kernel's functions.

use super::{array::Array, bindings};
use crate::store::class::Class;
use core::ffi::CStr;
use kernel::error::Result;

const LEN: usize = bindings::ppo_sizes_PPO_SYMBOL_LEN as usize;

/// Room for one name: too large for the stack.
pub(crate) struct Symbol(Array<u8>);

impl Symbol {
    /// Makes the room. May sleep.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn new() -> Result<Self> {
        let mut room = Array::new(LEN)?;
        while room.push(0) {}
        Ok(Symbol(room))
    }

    /// The name of the function that has this return address; empty if there is none. A function
    /// of a module has that behind its name, as in `vfat_fill_super [vfat]`.
    pub(crate) fn of(&mut self, address: u64) -> &str {
        // SAFETY: Room for as much as C writes. A call that never returns may be the last thing in
        // a function: what counts is where the call is, as for the kernel's %pB.
        unsafe { bindings::ppo_symbol(address.wrapping_sub(1), self.0.as_mut_ptr().cast()) };
        CStr::from_bytes_until_nul(&self.0)
            .ok()
            .and_then(|name| name.to_str().ok())
            .and_then(|name| name.split(' ').next())
            .unwrap_or("")
    }

    /// Who takes or gives back references with this stack, by the names of its functions.
    pub(crate) fn class(&mut self, mut frames: impl Iterator<Item = u64>) -> Class {
        frames
            .find_map(|frame| Class::told_by(self.of(frame)))
            .unwrap_or(Class::Holder)
    }
}
