// SPDX-License-Identifier: GPL-2.0

//! Files in debugfs: tables that print one paragraph after the other, however many there are, and
//! files that take commands.
//!
//! ```ignore
//! struct Stacks;
//! impl Table for Stacks {
//!     const NAME: &'static CStr = c"stacks";
//!     type Open = ();
//!     fn open() -> Result { Ok(()) }
//!     fn find(_: &(), at: u64) -> Option<u64> { .. }   // the first position that holds something
//!     fn show(_: &mut (), at: u64, out: &mut Out) { .. }   // that paragraph
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
use kernel::bindings::{
    dentry, file, file_operations, inode, loff_t, seq_file, seq_operations, umode_t,
};
use kernel::error::{
    code::{EFAULT, ENODEV, ENOMEM},
    from_err_ptr, Result,
};
use kernel::ffi::{c_char, c_int, c_void};

/// A file of paragraphs.
pub(crate) trait Table {
    /// Name of the file.
    const NAME: &'static CStr;

    /// What is kept while the file is open.
    type Open: Send;

    /// Opens the file. May sleep.
    ///
    /// # Errors
    ///
    /// What the reader gets to see.
    fn open() -> Result<Self::Open>;

    /// The first position from `at` on that has something to show. May sleep.
    fn find(open: &Self::Open, at: u64) -> Option<u64>;

    /// Shows what is at a position that `find` gave; nothing, if it is gone since. May sleep.
    fn show(open: &mut Self::Open, at: u64, out: &mut Out);
}

/// A file that takes commands.
pub(crate) trait Commands {
    /// Name of the file.
    const NAME: &'static CStr;

    /// Does what was written to the file in one write; what is empty, or was too long, is an error.
    /// May sleep.
    ///
    /// # Errors
    ///
    /// What the writer gets to see; then nothing was done.
    fn run(text: &[u8]) -> Result;
}

/// Longest command.
const MAX_COMMAND: usize = 64;

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
        self.create(T::NAME, 0o400, &Reading::<T>::OPS.0);
    }

    /// Adds a file that root may write to. Failing to leaves the file out.
    pub(crate) fn add_commands<C: Commands>(&self) {
        self.create(C::NAME, 0o200, &Writing::<C>::OPS.0);
    }

    /// Adds a file that root may read, and write commands to. Failing to leaves the file out.
    pub(crate) fn add_both<F: Table + Commands>(&self) {
        self.create(<F as Table>::NAME, 0o600, &Both::<F>::OPS.0);
    }

    fn create(&self, name: &CStr, mode: umode_t, ops: &'static file_operations) {
        // SAFETY: All pointers are to statics that live as long as the module, and `Dir` is
        // dropped, with the file, before that ends.
        unsafe {
            bindings::debugfs_create_file(name.as_ptr().cast(), mode, self.0, null_mut(), ops)
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

struct Reading<T>(PhantomData<T>);

impl<T: Table> Reading<T> {
    const OPS: &'static Constant<file_operations> = &Constant(file_operations {
        owner: module::this(),
        open: Some(Self::open),
        read: Some(kernel::bindings::seq_read),
        llseek: Some(kernel::bindings::seq_lseek),
        release: Some(Self::release),
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
    /// For debugfs alone, with the arguments it gives.
    unsafe extern "C" fn open(_inode: *mut inode, file: *mut file) -> c_int {
        const { assert!(core::mem::align_of::<T::Open>() <= 8) };
        let open = match T::open() {
            Ok(open) => open,
            Err(e) => return e.to_errno(),
        };
        let size = core::mem::size_of::<T::Open>();
        // SAFETY: The kernel's file, being opened; the table of functions is a static.
        let place = unsafe { kernel::bindings::__seq_open_private(file, &Self::SEQ.0, size as _) };
        if place.is_null() {
            return ENOMEM.to_errno();
        }
        // SAFETY: `place` has this size, and is nobody else's.
        unsafe { place.cast::<T::Open>().write(open) };
        0
    }

    /// # Safety
    ///
    /// For debugfs alone, with the arguments it gives.
    unsafe extern "C" fn release(inode: *mut inode, file: *mut file) -> c_int {
        // SAFETY: seq_file keeps itself there.
        let m = unsafe { (*file).private_data.cast::<seq_file>() };
        // SAFETY: Written in `open`, and nobody reads the file any more.
        unsafe { core::ptr::drop_in_place((*m).private.cast::<T::Open>()) };
        // SAFETY: Opened with its counterpart.
        unsafe { kernel::bindings::seq_release_private(inode, file) }
    }

    /// # Safety
    ///
    /// `m` must be a file that `open` has opened, and its lock be held, as it is in all that seq_file
    /// calls. One use at a time.
    unsafe fn opened<'a>(m: *mut seq_file) -> &'a mut T::Open {
        // SAFETY: Written in `open`, and there until `release`; the lock excludes others.
        unsafe { &mut *(*m).private.cast::<T::Open>() }
    }

    /// The position of the next paragraph, as seq_file wants it: `pos` moved, and not null.
    ///
    /// # Safety
    ///
    /// With the arguments that seq_file gave.
    unsafe fn seek(m: *mut seq_file, pos: *mut loff_t, from: u64) -> *mut c_void {
        // SAFETY: As the caller promises.
        match T::find(unsafe { Self::opened(m) }, from) {
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
    unsafe extern "C" fn start(m: *mut seq_file, pos: *mut loff_t) -> *mut c_void {
        // SAFETY: As above.
        unsafe { Self::seek(m, pos, *pos as u64) }
    }

    /// # Safety
    ///
    /// For seq_file alone, with the arguments it gives.
    unsafe extern "C" fn next(m: *mut seq_file, _v: *mut c_void, pos: *mut loff_t) -> *mut c_void {
        // SAFETY: As above. Past the end the position must have moved too.
        unsafe {
            *pos += 1;
            Self::seek(m, pos, *pos as u64)
        }
    }

    /// # Safety
    ///
    /// For seq_file alone, with the arguments it gives.
    unsafe extern "C" fn show(m: *mut seq_file, v: *mut c_void) -> c_int {
        // SAFETY: `v` is the pointer to the position that `seek` returned.
        let at = unsafe { *v.cast::<loff_t>() } as u64;
        // SAFETY: As above.
        T::show(unsafe { Self::opened(m) }, at, &mut Out(m));
        0
    }

    /// # Safety
    ///
    /// For seq_file alone, with the arguments it gives.
    unsafe extern "C" fn stop(_m: *mut seq_file, _v: *mut c_void) {}
}

struct Both<F>(PhantomData<F>);

impl<F: Table + Commands> Both<F> {
    const OPS: &'static Constant<file_operations> = &Constant(file_operations {
        owner: module::this(),
        open: Some(Reading::<F>::open),
        read: Some(kernel::bindings::seq_read),
        llseek: Some(kernel::bindings::seq_lseek),
        release: Some(Reading::<F>::release),
        write: Some(Writing::<F>::write),
        // SAFETY: Function pointers and integers: all may be zero.
        ..unsafe { core::mem::zeroed() }
    });
}

struct Writing<C>(PhantomData<C>);

impl<C: Commands> Writing<C> {
    const OPS: &'static Constant<file_operations> = &Constant(file_operations {
        owner: module::this(),
        write: Some(Self::write),
        // SAFETY: Function pointers and integers: all may be zero.
        ..unsafe { core::mem::zeroed() }
    });

    /// # Safety
    ///
    /// For debugfs alone, with the arguments it gives.
    unsafe extern "C" fn write(
        _file: *mut file,
        from: *const c_char,
        len: usize,
        _pos: *mut loff_t,
    ) -> isize {
        let mut text = [0u8; MAX_COMMAND];
        // Each write is a command of its own, wherever the file is.
        let mut start: loff_t = 0;
        // What is too long is refused as what is empty is: neither is a command.
        let taken = if len > MAX_COMMAND { 0 } else { len };
        // SAFETY: `text` has this size; the kernel gives what the writer wrote.
        let got = unsafe {
            kernel::bindings::simple_write_to_buffer(
                text.as_mut_ptr().cast(),
                MAX_COMMAND as _,
                &mut start,
                from.cast(),
                taken as _,
            )
        };
        if got < 0 {
            return got as isize;
        }
        // Part of it could not be read: the other part is not what was meant.
        if got as usize != taken {
            return EFAULT.to_errno() as isize;
        }
        match C::run(&text[..got as usize]) {
            Ok(()) => len as isize,
            Err(e) => e.to_errno() as isize,
        }
    }
}
