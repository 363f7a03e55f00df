// SPDX-License-Identifier: GPL-2.0

//! Probes on the kernel's tracepoints, found by name: not all that we need are exported.
//!
//! ```ignore
//! let frees = Probe::attach(c"mm_page_free", mm_page_free as *mut c_void)?;
//! drop(frees);
//! synchronize(); // nobody is in mm_page_free any more
//! ```

use super::bindings;
use core::ffi::CStr;
use core::ptr::NonNull;
use kernel::error::{code::ENOENT, to_result, Result};
use kernel::ffi::c_void;

/// A probe that is attached as long as this exists.
pub(crate) struct Probe {
    tp: NonNull<bindings::tracepoint>,
    probe: *mut c_void,
}

// SAFETY: Tracepoints are static, and registering is under the kernel's own mutex.
unsafe impl Send for Probe {}

fn find(name: &CStr) -> Option<NonNull<bindings::tracepoint>> {
    // SAFETY: `name` ends with a NUL.
    NonNull::new(unsafe { bindings::ppo_tracepoint_find(name.as_ptr().cast()) })
}

/// Address of the function that calls the probes of a tracepoint where there are several.
pub(crate) fn iterator(name: &CStr) -> Option<usize> {
    let tp = find(name)?;
    // SAFETY: `tp` is one of the kernel's.
    Some(unsafe { bindings::ppo_tracepoint_iterator(tp.as_ptr()) as usize })
}

/// Addresses of the functions through which the page_ref_* tracepoints are reached.
pub(crate) fn page_ref_functions() -> [usize; 6] {
    // SAFETY: Only asks for addresses.
    [0, 1, 2, 3, 4, 5].map(|n| unsafe { bindings::ppo_page_ref_function(n) as usize })
}

impl Probe {
    /// Attaches `probe`. May sleep.
    ///
    /// # Safety
    ///
    /// `probe` must be an `extern "C"` function with the tracepoint's arguments after a `void *`.
    ///
    /// # Errors
    ///
    /// ENOENT if there is no such tracepoint; what tracepoint_probe_register() says.
    pub(crate) unsafe fn attach(name: &CStr, probe: *mut c_void) -> Result<Self> {
        let tp = find(name).ok_or(ENOENT)?;
        // SAFETY: `tp` is one of the kernel's; the caller promises that `probe` fits it.
        to_result(unsafe { bindings::ppo_tracepoint_register(tp.as_ptr(), probe) })?;
        Ok(Probe { tp, probe })
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // SAFETY: Registered in `attach` with these arguments.
        unsafe { bindings::ppo_tracepoint_unregister(self.tp.as_ptr(), self.probe) };
    }
}

/// Waits until nobody runs a detached probe any more. May sleep.
pub(crate) fn synchronize() {
    // SAFETY: No argument, and the caller may sleep.
    unsafe { bindings::ppo_tracepoint_synchronize() };
}
