// SPDX-License-Identifier: GPL-2.0

//! Tables in debugfs: files that print one paragraph after the other, however many there are.
//!
//! ```ignore
//! struct Stacks;
//! impl Table for Stacks {
//!     const NAME: &'static CStr = c"stacks";
//!     fn find(at: u64) -> Option<u64> { .. }      // the first position that holds something
//!     fn show(at: u64, out: &mut Out) { .. }      // that paragraph
//! }
//! let dir = Dir::new(c"page_pin_owner")?;
//! dir.add::<Stacks>();
//! ```
//!
//! A file that is open keeps the module from being unloaded.

use super::{bindings, module};
use core::ffi::CStr;
use core::fmt::{self, Write};
use core::marker::PhantomData;
use core::ptr::null_mut;
use kernel::bindings::{dentry, file, file_operations, inode, loff_t, seq_file, seq_operations};
use kernel::error::{code::ENODEV, from_err_ptr, Result};
use kernel::ffi::{c_int, c_void};

/// A file of paragraphs.
pub(crate) trait Table {
    /// Name of the file.
    const NAME: &'static CStr;

    /// The first position from `at` on that has something to show. May sleep.
    fn find(at: u64) -> Option<u64>;

    /// Shows what is at a position that `find` gave; nothing, if it is gone since. May sleep.
    fn show(at: u64, out: &mut Out);
}

/// Where a table is printed to.
pub(crate) struct Out(*mut seq_file);

impl Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: The seq_file is ours while `show` runs. A full buffer makes the kernel come back
        // with a larger one, so that nothing is lost here.
        unsafe { kernel::bindings::seq_write(self.0, text.as_ptr().cast(), text.len()) };
        Ok(())
    }
}

impl Out {
    /// A line with the symbol of a return address.
    pub(crate) fn frame(&mut self, address: u64) {
        // SAFETY: As above; any address may be printed, as `%pS` does.
        unsafe { bindings::ppo_seq_frame(self.0, address) };
    }
}

/// Prints, as `write!` does. The kernel's seq_file does not fail.
macro_rules! out {
    ($out:expr, $($args:tt)*) => {
        let _ = core::fmt::Write::write_fmt($out, format_args!($($args)*));
    };
}
pub(crate) use out;

/// The module's directory, gone with all its files when this is dropped.
pub(crate) struct Dir(*mut dentry);

// SAFETY: The dentry is only handed back to debugfs, which locks for itself.
unsafe impl Send for Dir {}
// SAFETY: As above.
unsafe impl Sync for Dir {}

impl Dir {
    /// Makes the directory. May sleep.
    ///
    /// # Errors
    ///
    /// What debugfs says, ENODEV if the kernel has it switched off.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        // SAFETY: The name ends with a NUL; null is the root of debugfs.
        let dir = from_err_ptr(unsafe {
            bindings::debugfs_create_dir(name.as_ptr().cast(), null_mut())
        })?;
        if dir.is_null() {
            return Err(ENODEV);
        }
        Ok(Dir(dir))
    }

    /// Adds a file that root may read. Failing to leaves the file out, as debugfs intends.
    pub(crate) fn add<T: Table>(&self) {
        // SAFETY: All pointers are to statics that live as long as the module, and `Dir` is
        // dropped, with the file, before that ends.
        unsafe {
            bindings::debugfs_create_file(
                T::NAME.as_ptr().cast(),
                0o400,
                self.0,
                null_mut(),
                &Files::<T>::OPS.0,
            )
        };
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // SAFETY: Made in `new`.
        unsafe { bindings::debugfs_remove(self.0) };
    }
}

/// Tables of functions that C keeps pointers to.
struct Constant<T>(T);

// SAFETY: Never written.
unsafe impl<T> Sync for Constant<T> {}

struct Files<T>(PhantomData<T>);

impl<T: Table> Files<T> {
    const OPS: &'static Constant<file_operations> = &Constant(file_operations {
        owner: module::this(),
        open: Some(Self::open),
        read: Some(kernel::bindings::seq_read),
        llseek: Some(kernel::bindings::seq_lseek),
        release: Some(kernel::bindings::seq_release),
        // SAFETY: Function pointers and integers: all may be zero.
        ..unsafe { core::mem::zeroed() }
    });

    const SEQ: &'static Constant<seq_operations> = &Constant(seq_operations {
        start: Some(Self::start),
        stop: Some(Self::stop),
        next: Some(Self::next),
        show: Some(Self::show),
    });

    /// # Safety
    ///
    /// For seq_file alone, with the arguments it gives.
    unsafe extern "C" fn open(_inode: *mut inode, file: *mut file) -> c_int {
        // SAFETY: The kernel's file, being opened; the table of functions is a static.
        unsafe { kernel::bindings::seq_open(file, &Self::SEQ.0) }
    }

    /// The position of the next paragraph, as seq_file wants it: `pos` moved, and not null.
    fn seek(pos: *mut loff_t, from: u64) -> *mut c_void {
        match T::find(from) {
            Some(at) => {
                // SAFETY: The kernel's place for the position.
                unsafe { *pos = at as loff_t };
                pos.cast()
            }
            None => null_mut(),
        }
    }

    /// # Safety
    ///
    /// For seq_file alone, with the arguments it gives.
    unsafe extern "C" fn start(_m: *mut seq_file, pos: *mut loff_t) -> *mut c_void {
        // SAFETY: As above.
        Self::seek(pos, unsafe { *pos } as u64)
    }

    /// # Safety
    ///
    /// For seq_file alone, with the arguments it gives.
    unsafe extern "C" fn next(_m: *mut seq_file, _v: *mut c_void, pos: *mut loff_t) -> *mut c_void {
        // SAFETY: As above.
        let next = unsafe { *pos } as u64 + 1;
        // SAFETY: As above. Past the end it must have moved too.
        unsafe { *pos = next as loff_t };
        Self::seek(pos, next)
    }

    /// # Safety
    ///
    /// For seq_file alone, with the arguments it gives.
    unsafe extern "C" fn show(m: *mut seq_file, v: *mut c_void) -> c_int {
        // SAFETY: `v` is the pointer to the position that `seek` returned.
        let at = unsafe { *v.cast::<loff_t>() } as u64;
        T::show(at, &mut Out(m));
        0
    }

    /// # Safety
    ///
    /// For seq_file alone, with the arguments it gives.
    unsafe extern "C" fn stop(_m: *mut seq_file, _v: *mut c_void) {}
}
