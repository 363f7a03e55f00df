// SPDX-License-Identifier: GPL-2.0

//! Probes on entry and exit of the kernel's functions.
//!
//! `struct fprobe` stays in C: the bindings know `struct ftrace_ops` only by name, and a struct
//! built on that would have no room for it.
//!
//! ```ignore
//! struct MigratePages;
//! impl Function for MigratePages {
//!     const NAME: &'static CStr = c"migrate_pages";
//!     type Call = Call;
//!     fn enter(args: &Arguments) -> Option<Call> { .. }
//!     fn leave(call: &Call, result: i32, site: Site) { .. }
//! }
//! let probe = Probe::<MigratePages>::attach()?;
//! ```

use super::bindings;
use core::ffi::CStr;
use core::marker::PhantomData;
use core::ptr::NonNull;
use kernel::bindings::pt_regs;
use kernel::error::{code::ENOMEM, to_result, Result};
use kernel::ffi::{c_int, c_ulong, c_void};

/// Arguments of a call.
pub(crate) struct Arguments(*mut pt_regs);

impl Arguments {
    /// Argument `n`, from 0, if it was passed in a register.
    pub(crate) fn get(&self, n: u32) -> usize {
        // SAFETY: Made by `enter` alone, from the registers of the call.
        unsafe { bindings::ppo_regs_argument(self.0, n) as usize }
    }
}

/// Where in the kernel a call came from.
#[derive(Clone, Copy)]
pub(crate) struct Site {
    /// The function that was called.
    pub(crate) function: usize,
    /// Where it returns to.
    pub(crate) caller: usize,
}

/// A function of the kernel that is watched.
pub(crate) trait Function {
    /// Its symbol.
    const NAME: &'static CStr;
    /// What is remembered of a call until it returns.
    type Call: Copy;

    /// Called at entry, preemption off. `None`: this call is of no interest.
    fn enter(args: &Arguments) -> Option<Self::Call>;

    /// Called at exit of a call that was of interest, preemption off.
    fn leave(call: &Self::Call, result: i32, site: Site);
}

/// A watch that is on as long as this exists.
pub(crate) struct Probe<F: Function>(NonNull<bindings::fprobe>, PhantomData<F>);

// SAFETY: The fprobe is touched in `attach`, `missed` and `drop` only; the kernel locks its own.
unsafe impl<F: Function> Send for Probe<F> {}

impl<F: Function> Probe<F> {
    /// Starts watching. May sleep.
    ///
    /// # Errors
    ///
    /// ENOMEM; what register_fprobe_syms() says, ENOENT or EILSEQ for a function that is not there
    /// or cannot be traced.
    pub(crate) fn attach() -> Result<Self> {
        const { assert!(core::mem::align_of::<F::Call>() <= 8) };
        let size = core::mem::size_of::<F::Call>();
        // SAFETY: Both handlers fit `struct fprobe` and write no more than `size` bytes.
        let fp = unsafe { bindings::ppo_fprobe_new(Some(enter::<F>), Some(leave::<F>), size) };
        let probe = Probe(NonNull::new(fp).ok_or(ENOMEM)?, PhantomData);
        // SAFETY: Not registered yet; the name ends with a NUL.
        to_result(unsafe { bindings::ppo_fprobe_register(fp, F::NAME.as_ptr().cast()) })?;
        Ok(probe)
    }

    /// Calls that were not seen, as too many were under way at once.
    pub(crate) fn missed(&self) -> usize {
        // SAFETY: Valid until dropped.
        unsafe { bindings::ppo_fprobe_missed(self.0.as_ptr()) as usize }
    }
}

impl<F: Function> Drop for Probe<F> {
    fn drop(&mut self) {
        // SAFETY: From `attach`, and not used afterwards.
        unsafe { bindings::ppo_fprobe_free(self.0.as_ptr()) };
    }
}

/// # Safety
///
/// For the fprobe of `Probe<F>` alone, with the arguments it gives.
unsafe extern "C" fn enter<F: Function>(
    _fp: *mut bindings::fprobe,
    _entry_ip: c_ulong,
    _ret_ip: c_ulong,
    regs: *mut pt_regs,
    data: *mut c_void,
) -> c_int {
    match F::enter(&Arguments(regs)) {
        Some(call) => {
            // SAFETY: `data` is memory for one `Call`, as asked for in `attach`.
            unsafe { data.cast::<F::Call>().write(call) };
            0
        }
        // Not zero: the exit is not to be reported.
        None => 1,
    }
}

/// # Safety
///
/// For the fprobe of `Probe<F>` alone, with the arguments it gives.
#[allow(clippy::unnecessary_cast)] // c_ulong is u64 in some kernels.
unsafe extern "C" fn leave<F: Function>(
    _fp: *mut bindings::fprobe,
    entry_ip: c_ulong,
    ret_ip: c_ulong,
    regs: *mut pt_regs,
    data: *mut c_void,
) {
    // SAFETY: Written at entry of the same call.
    let call = unsafe { *data.cast::<F::Call>() };
    // SAFETY: The registers as the function returns. Its result is an int: the low half.
    let result = unsafe { bindings::ppo_regs_return(regs) } as i32;
    let site = Site {
        function: entry_ip as usize,
        caller: ret_ip as usize,
    };
    F::leave(&call, result, site);
}
