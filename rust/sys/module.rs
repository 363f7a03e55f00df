// SPDX-License-Identifier: GPL-2.0

//! The module itself.

use super::bindings;
use kernel::error::{to_result, Result};

extern "C" {
    // Only its address is taken.
    static __this_module: kernel::types::Opaque<u8>;
}

/// What C calls THIS_MODULE.
pub(crate) const fn this() -> *mut kernel::bindings::module {
    core::ptr::addr_of!(__this_module).cast_mut().cast()
}

/// Keeps the module from being unloaded.
///
/// # Errors
///
/// ENODEV while it is being unloaded.
pub(crate) fn get() -> Result {
    // SAFETY: About this module itself.
    to_result(unsafe { bindings::ppo_module_get() })
}

/// Gives back what [`get`] took.
pub(crate) fn put() {
    // SAFETY: Follows a successful `get`.
    unsafe { bindings::ppo_module_put() };
}
