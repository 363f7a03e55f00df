// SPDX-License-Identifier: GPL-2.0

//! A probe on entry and exit of functions of the kernel.
//!
//! One for all of them: to take one off makes ftrace wait for a tenth of a second.
//!
//! `struct fprobe` stays in C: the bindings know `struct ftrace_ops` only by name, and a struct
//! built on that would have no room for it.
//!
//! ```ignore
//! struct MigratePages;
//! impl Function for MigratePages {
//!     const NAME: &'static CStr = c"migrate_pages";
//!     type Call = Call;
//!     fn enter(args: &Arguments, site: Site) -> Option<Call> { .. }
//!     fn leave(call: &Call, result: i32, site: Site) { .. }
//! }
//! static WATCHED: [Watched; 1] = [Watched::new::<MigratePages>()];
//! let probe = Probe::attach(&WATCHED)?;
//! ```

use super::bindings;
use core::ffi::CStr;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use kernel::bindings::pt_regs;
use kernel::error::{code::ENOMEM, to_result, Result};
use kernel::ffi::{c_char, c_int, c_ulong, c_void};

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

impl Site {
    #[allow(clippy::unnecessary_cast)] // c_ulong is u64 in some kernels.
    fn new(entry_ip: c_ulong, ret_ip: c_ulong) -> Self {
        Site {
            function: entry_ip as usize,
            caller: ret_ip as usize,
        }
    }
}

/// A function of the kernel that is watched.
pub(crate) trait Function {
    /// Its symbol.
    const NAME: &'static CStr;
    /// What is remembered of a call until it returns.
    type Call: Copy;

    /// Called at entry, preemption off. `None`: this call is of no interest.
    fn enter(args: &Arguments, site: Site) -> Option<Self::Call>;

    /// Called at exit of a call that was of interest, preemption off.
    fn leave(call: &Self::Call, result: i32, site: Site);
}

/// One of the functions that a [`Probe`] watches.
pub(crate) struct Watched {
    name: &'static CStr,
    /// Where it is, once it was called.
    address: AtomicUsize,
    size: usize,
    enter: unsafe fn(&Arguments, Site, *mut c_void) -> bool,
    leave: unsafe fn(*const c_void, i32, Site),
}

impl Watched {
    /// To watch `F`.
    pub(crate) const fn new<F: Function>() -> Self {
        const { assert!(core::mem::align_of::<F::Call>() <= 8) };
        Watched {
            name: F::NAME,
            address: AtomicUsize::new(0),
            size: core::mem::size_of::<F::Call>(),
            enter: enter::<F>,
            leave: leave::<F>,
        }
    }

    /// True if it is the function at `address`. Context: any.
    fn is_at(&self, address: usize) -> bool {
        match self.address.load(Ordering::Relaxed) {
            0 => {
                // SAFETY: Any address may be asked for; the name ends with a NUL.
                let found =
                    unsafe { bindings::ppo_symbol_is(address as u64, self.name.as_ptr().cast()) };
                if found {
                    self.address.store(address, Ordering::Relaxed);
                }
                found
            }
            known => known == address,
        }
    }
}

/// # Safety
///
/// `data` must have room for one `F::Call`.
unsafe fn enter<F: Function>(args: &Arguments, site: Site, data: *mut c_void) -> bool {
    let Some(call) = F::enter(args, site) else {
        return false;
    };
    // SAFETY: As the caller promises.
    unsafe { data.cast::<F::Call>().write(call) };
    true
}

/// # Safety
///
/// `data` must be as `enter::<F>` has left it.
unsafe fn leave<F: Function>(data: *const c_void, result: i32, site: Site) {
    // SAFETY: As the caller promises.
    let call = unsafe { *data.cast::<F::Call>() };
    F::leave(&call, result, site);
}

/// A watch that is on as long as this exists.
pub(crate) struct Probe(NonNull<bindings::fprobe>);

// SAFETY: The fprobe is touched in `attach`, `missed` and `drop` only; the kernel locks its own.
unsafe impl Send for Probe {}

impl Probe {
    /// Starts watching all functions, or none. May sleep.
    ///
    /// # Errors
    ///
    /// ENOMEM; what register_fprobe_syms() says, ENOENT or EILSEQ for a function that is not there
    /// or cannot be traced.
    pub(crate) fn attach<const N: usize>(functions: &'static [Watched; N]) -> Result<Self> {
        let size = functions.iter().map(|f| f.size).max().unwrap_or(0);
        let mut names: [*const c_char; N] = functions.each_ref().map(|f| f.name.as_ptr().cast());
        // SAFETY: Both handlers fit `struct fprobe` and write no more than `size` bytes; they get
        // back what is given here as private.
        let fp = unsafe {
            bindings::ppo_fprobe_new(Some(entry), Some(exit), size, functions.as_ptr().cast(), N)
        };
        let probe = Probe(NonNull::new(fp).ok_or(ENOMEM)?);
        // SAFETY: Not registered yet; so many names, which end with a NUL.
        to_result(unsafe { bindings::ppo_fprobe_register(fp, names.as_mut_ptr(), N as c_int) })?;
        Ok(probe)
    }

    /// Calls that were not seen, as too many were under way at once.
    pub(crate) fn missed(&self) -> usize {
        // SAFETY: Valid until dropped.
        unsafe { bindings::ppo_fprobe_missed(self.0.as_ptr()) as usize }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // SAFETY: From `attach`, and not used afterwards.
        unsafe { bindings::ppo_fprobe_free(self.0.as_ptr()) };
    }
}

/// The watched function at `address`.
///
/// # Safety
///
/// `fp` must be that of a [`Probe`].
unsafe fn watched(fp: *mut bindings::fprobe, address: usize) -> Option<&'static Watched> {
    let mut len = 0;
    // SAFETY: What `attach` has given, a slice that stays.
    let functions = unsafe {
        let first = bindings::ppo_fprobe_functions(fp, &mut len).cast::<Watched>();
        core::slice::from_raw_parts(first, len)
    };
    functions.iter().find(|function| function.is_at(address))
}

/// # Safety
///
/// For the fprobe of a [`Probe`] alone, with the arguments it gives.
unsafe extern "C" fn entry(
    fp: *mut bindings::fprobe,
    entry_ip: c_ulong,
    ret_ip: c_ulong,
    regs: *mut pt_regs,
    data: *mut c_void,
) -> c_int {
    let site = Site::new(entry_ip, ret_ip);
    // SAFETY: The fprobe of a `Probe`.
    let interest = unsafe { watched(fp, site.function) }.is_some_and(|function| {
        // SAFETY: `data` has room for the largest `Call` of all, as asked for in `attach`.
        unsafe { (function.enter)(&Arguments(regs), site, data) }
    });
    // Not zero: the exit is not to be reported.
    c_int::from(!interest)
}

/// # Safety
///
/// For the fprobe of a [`Probe`] alone, with the arguments it gives.
unsafe extern "C" fn exit(
    fp: *mut bindings::fprobe,
    entry_ip: c_ulong,
    ret_ip: c_ulong,
    regs: *mut pt_regs,
    data: *mut c_void,
) {
    // SAFETY: The registers as the function returns. Its result is an int: the low half.
    let result = unsafe { bindings::ppo_regs_return(regs) } as i32;
    let site = Site::new(entry_ip, ret_ip);
    // SAFETY: The fprobe of a `Probe`.
    if let Some(function) = unsafe { watched(fp, site.function) } {
        // SAFETY: `data` was written at entry of the same call of the same function.
        unsafe { (function.leave)(data, result, site) };
    }
}
