// SPDX-License-Identifier: GPL-2.0

//! Module parameters: what they may be, and what they are.

use super::bindings;
use crate::store::reason::{Reason, ReasonSet};
use core::ffi::CStr;
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use kernel::error::{code::EINVAL, Result};
use kernel::ffi::{c_char, c_int};
use kernel::prelude::*;

/// Reasons to mark folios for.
static REASONS: AtomicU32 = AtomicU32::new(ReasonSet::ALL.0);

/// A folio is forgotten as soon as its references are back to what is expected.
static UNTIL_UNPINNED: AtomicBool = AtomicBool::new(false);

/// The hooks of puts are attached only while a folio is marked.
static ON_DEMAND: AtomicBool = AtomicBool::new(false);

/// Seconds after which a folio is forgotten, 0: never.
static MAX_AGE: AtomicU32 = AtomicU32::new(0);

/// Reports a second, 0: any number.
static REPORT_RATE: AtomicU32 = AtomicU32::new(1000);

/// Milliseconds after which a reference is a long one.
static LONGTERM_MS: AtomicU32 = AtomicU32::new(1000);

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

/// The reason of this name, if folios are to be marked for it.
pub(crate) fn wanted(name: &str) -> Option<Reason> {
    reason(name).filter(|&reason| wants(reason))
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

/// Cap of the ledger in bytes.
pub(crate) fn watch_bytes() -> usize {
    // SAFETY: As above.
    unsafe { bindings::ppo_watch_kib as usize * 1024 }
}

/// References kept of a watched page.
pub(crate) fn entries() -> u32 {
    // SAFETY: As above.
    unsafe { bindings::ppo_entries }
}

/// Milliseconds after which a reference to a watched page is a long one.
pub(crate) fn longterm_ms() -> u32 {
    LONGTERM_MS.load(Ordering::Relaxed)
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
        within("stack_depth", bindings::ppo_stack_depth, 1, 64)?;
        within("watch_kib", bindings::ppo_watch_kib, 64, 16 << 20)?;
        let entries = bindings::ppo_entries;
        if !matches!(entries, 2 | 4 | 6 | 8) {
            pr_err!("entries={entries} is out of range, 2, 4, 6 or 8 is accepted\n");
            return Err(EINVAL);
        }
    }
    Ok(())
}

/// True if a folio is to be forgotten as soon as its references are back to what is expected.
pub(crate) fn until_unpinned() -> bool {
    UNTIL_UNPINNED.load(Ordering::Relaxed)
}

/// True if the hooks of puts are to be attached only while a folio is marked. Context: any.
pub(crate) fn on_demand() -> bool {
    ON_DEMAND.load(Ordering::Relaxed)
}

/// Nanoseconds after which a folio is to be forgotten, if any.
pub(crate) fn max_age() -> Option<u64> {
    match MAX_AGE.load(Ordering::Relaxed) {
        0 => None,
        seconds => Some(u64::from(seconds) * 1_000_000_000),
    }
}

/// How many reports there may be in a second, 0: any number.
pub(crate) fn report_rate() -> u32 {
    REPORT_RATE.load(Ordering::Relaxed)
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

fn get_reasons(out: &mut Buffer<'_>) -> core::fmt::Result {
    let set = ReasonSet(REASONS.load(Ordering::Relaxed));
    if set == ReasonSet::ALL {
        return out.write_str("all");
    }
    write!(out, "{}", Reasons(set))
}

/// True if the text is the second of the two words the parameter takes.
fn second(name: &str, words: [&str; 2], text: &[u8]) -> Result<bool> {
    let given = text.trim_ascii();
    match words.map(|word| word.as_bytes() == given) {
        [false, false] => {
            pr_err!("{name}: accepted is '{}' or '{}'\n", words[0], words[1]);
            Err(EINVAL)
        }
        [_, is_second] => Ok(is_second),
    }
}

fn set_until(text: &[u8]) -> Result {
    UNTIL_UNPINNED.store(
        second("until", ["free", "unpinned"], text)?,
        Ordering::Relaxed,
    );
    Ok(())
}

fn get_until(out: &mut Buffer<'_>) -> core::fmt::Result {
    out.write_str(if until_unpinned() { "unpinned" } else { "free" })
}

fn set_arming(text: &[u8]) -> Result {
    ON_DEMAND.store(
        second("arming", ["always", "on_demand"], text)?,
        Ordering::Relaxed,
    );
    crate::hooks::arming_changed();
    Ok(())
}

fn get_arming(out: &mut Buffer<'_>) -> core::fmt::Result {
    out.write_str(if on_demand() { "on_demand" } else { "always" })
}

/// Reads a number with nothing else around it than white space.
fn number(text: &[u8]) -> Option<u32> {
    core::str::from_utf8(text.trim_ascii())
        .ok()
        // No sign: u32's own parser would take a plus.
        .filter(|text| text.bytes().all(|c| c.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
}

fn set_max_age(text: &[u8]) -> Result {
    let Some(seconds) = number(text) else {
        pr_err!("max_age: accepted are seconds, 0 (never) to {}\n", u32::MAX);
        return Err(EINVAL);
    };
    MAX_AGE.store(seconds, Ordering::Relaxed);
    crate::hooks::max_age_changed();
    Ok(())
}

fn get_max_age(out: &mut Buffer<'_>) -> core::fmt::Result {
    write!(out, "{}", MAX_AGE.load(Ordering::Relaxed))
}

fn set_report_rate(text: &[u8]) -> Result {
    let Some(rate) = number(text) else {
        pr_err!(
            "report_rate: accepted are reports a second, 0 (no limit) to {}\n",
            u32::MAX
        );
        return Err(EINVAL);
    };
    REPORT_RATE.store(rate, Ordering::Relaxed);
    Ok(())
}

fn get_report_rate(out: &mut Buffer<'_>) -> core::fmt::Result {
    write!(out, "{}", report_rate())
}

fn set_longterm_ms(text: &[u8]) -> Result {
    let Some(ms) = number(text) else {
        pr_err!(
            "longterm_ms: accepted are milliseconds, 0 to {}\n",
            u32::MAX
        );
        return Err(EINVAL);
    };
    LONGTERM_MS.store(ms, Ordering::Relaxed);
    Ok(())
}

fn get_longterm_ms(out: &mut Buffer<'_>) -> core::fmt::Result {
    write!(out, "{}", longterm_ms())
}

/// Prints the names of a set of reasons, comma-separated.
pub(crate) struct Reasons(pub(crate) ReasonSet);

impl core::fmt::Display for Reasons {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let chosen = (0u8..)
            .zip(reason_names())
            .filter(|&(i, _)| self.0.contains(Reason(i)));
        for (n, (_, name)) in chosen.enumerate() {
            if n != 0 {
                f.write_str(",")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

/// Prints all names, each after a space.
struct Names;

impl core::fmt::Display for Names {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        reason_names().try_for_each(|name| write!(f, " {name}"))
    }
}

/// Text that is no longer than its room.
struct Buffer<'a> {
    room: &'a mut [u8],
    len: usize,
}

impl Write for Buffer<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.len + text.len();
        let room = self.room.get_mut(self.len..end).ok_or(core::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// # Safety
///
/// `text` must be a C string.
unsafe fn set_from_c(text: *const c_char, set: fn(&[u8]) -> Result) -> c_int {
    // SAFETY: As the caller promises.
    let text = unsafe { CStr::from_ptr(text.cast()) };
    set(text.to_bytes()).map_or_else(|e| e.to_errno(), |()| 0)
}

/// # Safety
///
/// `buffer` must have room for `size` bytes.
unsafe fn get_for_c(
    buffer: *mut c_char,
    size: usize,
    get: fn(&mut Buffer<'_>) -> core::fmt::Result,
) -> c_int {
    // SAFETY: As the caller promises.
    let room = unsafe { core::slice::from_raw_parts_mut(buffer.cast::<u8>(), size) };
    let mut out = Buffer { room, len: 0 };
    match get(&mut out).and_then(|()| out.write_str("\n")) {
        Ok(()) => out.len as c_int,
        Err(_) => EINVAL.to_errno(),
    }
}

/// The two functions that C calls for a parameter, see PPO_PARAM in `params.c`.
macro_rules! parameter {
    ($set_c:ident => $set:ident, $get_c:ident => $get:ident) => {
        /// # Safety
        ///
        /// `text` must be a C string.
        #[no_mangle]
        unsafe extern "C" fn $set_c(text: *const c_char) -> c_int {
            // SAFETY: The kernel hands over a C string, never null as a value is required.
            unsafe { set_from_c(text, $set) }
        }

        /// # Safety
        ///
        /// `buffer` must have room for `size` bytes.
        #[no_mangle]
        unsafe extern "C" fn $get_c(buffer: *mut c_char, size: usize) -> c_int {
            // SAFETY: The kernel gives a buffer of this size.
            unsafe { get_for_c(buffer, size, $get) }
        }
    };
}

parameter!(ppo_rust_reasons_set => set_reasons, ppo_rust_reasons_get => get_reasons);
parameter!(ppo_rust_until_set => set_until, ppo_rust_until_get => get_until);
parameter!(ppo_rust_arming_set => set_arming, ppo_rust_arming_get => get_arming);
parameter!(ppo_rust_max_age_set => set_max_age, ppo_rust_max_age_get => get_max_age);
parameter!(ppo_rust_report_rate_set => set_report_rate, ppo_rust_report_rate_get => get_report_rate);
parameter!(ppo_rust_longterm_ms_set => set_longterm_ms, ppo_rust_longterm_ms_get => get_longterm_ms);
