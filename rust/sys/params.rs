// SPDX-License-Identifier: GPL-2.0

//! Module parameters: what they may be, and what they are.

use super::bindings;
use crate::store::reason::{Reason, ReasonSet};
use core::ffi::CStr;
use core::sync::atomic::{AtomicU32, Ordering};
use kernel::error::{code::EINVAL, Result};
use kernel::ffi::{c_char, c_int};
use kernel::prelude::*;

/// Reasons to mark folios for.
static REASONS: AtomicU32 = AtomicU32::new(ReasonSet::ALL.0);

fn names() -> &'static [*const c_char] {
    // SAFETY: A constant array of this length in C.
    unsafe {
        core::slice::from_raw_parts(
            core::ptr::addr_of!(bindings::ppo_reason_names).cast(),
            bindings::ppo_reason_count as usize,
        )
    }
}

fn name_bytes() -> impl Iterator<Item = &'static [u8]> + Clone {
    names().iter().map(|&name| {
        // SAFETY: Every name is a C string constant.
        unsafe { CStr::from_ptr(name.cast()) }.to_bytes()
    })
}

/// All reasons of this kernel by name, in the order of their numbers.
pub(crate) fn reason_names() -> impl Iterator<Item = &'static str> + Clone {
    name_bytes().map(|name| core::str::from_utf8(name).unwrap_or("?"))
}

/// The name of a reason.
pub(crate) fn reason_name(reason: Reason) -> &'static str {
    reason_names().nth(reason.0.into()).unwrap_or("?")
}

/// The number of a reason by its name, if this kernel has it.
pub(crate) fn reason(name: &str) -> Option<Reason> {
    let index = reason_names().position(|known| known == name)?;
    u8::try_from(index).ok().map(Reason)
}

/// True if folios are to be marked for this reason.
pub(crate) fn wants(reason: Reason) -> bool {
    // A number this kernel has no name for cannot be reported.
    usize::from(reason.0) < names().len()
        && ReasonSet(REASONS.load(Ordering::Relaxed)).contains(reason)
}

/// Frames kept of a stack, 1-64.
pub(crate) fn stack_depth() -> usize {
    // SAFETY: Set at load and checked by `check`.
    unsafe { bindings::ppo_stack_depth as usize }
}

/// Folios marked at once.
pub(crate) fn max_marks() -> u32 {
    // SAFETY: As above.
    unsafe { bindings::ppo_max_marks }
}

/// Cap of the stack depot in bytes.
pub(crate) fn depot_bytes() -> usize {
    // SAFETY: As above.
    unsafe { bindings::ppo_depot_kib as usize * 1024 }
}

/// Checks the parameters given at load.
///
/// # Errors
///
/// EINVAL, with a line in the log that says what is accepted.
pub(crate) fn check() -> Result {
    let within = |name: &str, value: u32, low: u32, high: u32| {
        if (low..=high).contains(&value) {
            return Ok(());
        }
        pr_err!("{name}={value} is out of range, {low} to {high} is accepted\n");
        Err(EINVAL)
    };
    // SAFETY: Written by the kernel before init, and never again.
    unsafe {
        within(
            "max_marks",
            bindings::ppo_max_marks,
            1,
            crate::store::record::MAX_RECORDS,
        )?;
        within("depot_kib", bindings::ppo_depot_kib, 64, 262_144)?;
        within("stack_depth", bindings::ppo_stack_depth, 1, 64)
    }
}

fn set_reasons(text: &[u8]) -> Result {
    match ReasonSet::parse(text, name_bytes()) {
        Ok(set) => {
            REASONS.store(set.0, Ordering::Relaxed);
            Ok(())
        }
        Err(_) => {
            pr_err!(
                "reasons: accepted is 'all' or names, comma-separated, of:{}\n",
                Names
            );
            Err(EINVAL)
        }
    }
}

/// Prints all names, each after a space.
struct Names;

impl core::fmt::Display for Names {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        reason_names().try_for_each(|name| write!(f, " {name}"))
    }
}

/// # Safety
///
/// `text` must be a C string.
#[no_mangle]
unsafe extern "C" fn ppo_rust_reasons_set(text: *const c_char) -> c_int {
    // SAFETY: The kernel hands over a C string, never null as a value is required.
    let text = unsafe { CStr::from_ptr(text.cast()) };
    set_reasons(text.to_bytes()).map_or_else(|e| e.to_errno(), |()| 0)
}

/// # Safety
///
/// `buffer` must have room for `size` bytes.
#[no_mangle]
unsafe extern "C" fn ppo_rust_reasons_get(buffer: *mut c_char, size: usize) -> c_int {
    // SAFETY: The kernel gives a buffer of this size.
    let buffer = unsafe { core::slice::from_raw_parts_mut(buffer.cast::<u8>(), size) };
    let set = ReasonSet(REASONS.load(Ordering::Relaxed));
    let mut len = 0;
    let mut put = |bytes: &[u8]| {
        if let Some(room) = buffer.get_mut(len..len + bytes.len()) {
            room.copy_from_slice(bytes);
            len += bytes.len();
        }
    };
    if set == ReasonSet::ALL {
        put(b"all");
    } else {
        let chosen = (0u8..)
            .zip(name_bytes())
            .filter(|&(i, _)| set.contains(Reason(i)));
        for (n, (_, name)) in chosen.enumerate() {
            if n != 0 {
                put(b",");
            }
            put(name);
        }
    }
    put(b"\n");
    len as c_int
}
