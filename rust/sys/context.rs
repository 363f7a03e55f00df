// SPDX-License-Identifier: GPL-2.0

//! Where we run: this CPU's scratch at this context level, the stack that led here, the task.

use super::bindings;
use super::fprobe::Site;
use crate::store::class::{is_telling, Class};
use crate::store::ledger::{Function, Functions};
use crate::store::record::Task;
use core::ffi::CStr;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use kernel::error::{to_result, Result};

/// Makes the scratch of all CPUs. May sleep.
///
/// # Errors
///
/// ENOMEM.
pub(crate) fn init() -> Result {
    // SAFETY: Called once, at load.
    to_result(unsafe { bindings::ppo_context_init() })
}

/// Frees the scratch. No [`Context`] may exist nor come into being.
pub(crate) fn exit() {
    // SAFETY: Called once, at unload, when all hooks are detached.
    unsafe { bindings::ppo_context_exit() };
}

/// A stack that led somewhere.
pub(crate) enum Stack<'a> {
    /// It has this handle.
    Known(u32),
    /// Its frames.
    New(&'a [u64]),
}

/// This CPU's scratch at this context level. Preemption is off as long as it exists.
pub(crate) struct Context(NonNull<bindings::ppo_context>);

impl Context {
    /// Takes the scratch; `None` if it is in use: what we do has called us. Context: any.
    #[inline]
    pub(crate) fn enter() -> Option<Self> {
        // SAFETY: `init` was called: hooks are attached after it.
        NonNull::new(unsafe { bindings::ppo_context_enter() }).map(Context)
    }

    fn unwind(&mut self) -> &mut [usize] {
        // SAFETY: The frames belong to this context, which we hold, and are as many as C says.
        unsafe {
            let frames = self.0.as_ref().frames;
            let nr = bindings::ppo_stack_here(frames);
            core::slice::from_raw_parts_mut(frames.cast(), nr as usize)
        }
    }

    /// The stack that led here, without our own frames and those of the functions in `hooks`.
    pub(crate) fn caller_stack(&mut self, hooks: &[Text]) -> &[u64] {
        without(hooks, self.unwind())
    }

    /// The same; or the handle it was given, if it is the last one, which is known without
    /// unwinding. To be called from one place alone, so that `hooks` are those of the last one.
    #[inline(always)]
    pub(crate) fn put_stack(&mut self, hooks: &[Text]) -> Stack<'_> {
        let mut known = 0;
        // SAFETY: The frames belong to this context, which we hold, and are as many as C says.
        let frames: &[usize] = unsafe {
            let nr = bindings::ppo_stack_new(self.0.as_ptr(), &mut known);
            core::slice::from_raw_parts(self.0.as_ref().frames.cast(), nr as usize)
        };
        if known != 0 {
            Stack::Known(known)
        } else {
            Stack::New(without(hooks, frames))
        }
    }

    /// The stack that [`Context::put_stack`] has just given has that handle for ever; 0: none.
    pub(crate) fn remember(&mut self, handle: u32) {
        // SAFETY: We hold the context.
        unsafe { bindings::ppo_stack_remember(self.0.as_ptr(), handle) };
    }

    /// The stack of a function that is just returning, itself first.
    pub(crate) fn return_stack(&mut self, site: Site) -> &[u64] {
        let frames = self.unwind();
        let caller = frames.iter().position(|&frame| frame == site.caller);
        let first = match caller {
            Some(at @ 1..) => {
                frames[at - 1] = site.function;
                at - 1
            }
            _ => 0,
        };
        as_words(limited(&frames[first..]))
    }
}

impl Functions for Context {
    fn of(&self, address: u64) -> Option<Function> {
        let mut start = 0;
        // SAFETY: We hold the context, and with it the room for the name; any address may be asked
        // for.
        let (size, name) = unsafe {
            let size = bindings::ppo_function_of(self.0.as_ptr(), address, &mut start);
            (size, CStr::from_ptr(self.0.as_ref().name.cast()))
        };
        let name = name.to_str().unwrap_or("");
        (size != 0).then(|| Function {
            start,
            size: u32::try_from(size).unwrap_or(u32::MAX),
            is_telling: is_telling(name),
            is_batch: Class::told_by(name) == Some(Class::Lru),
        })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: From `enter`, on the same CPU and level, as preemption was off since.
        unsafe { bindings::ppo_context_leave(self.0.as_ptr()) };
    }
}

/// The frames below our own and those of the functions in `hooks`.
fn without<'a>(hooks: &[Text], frames: &'a [usize]) -> &'a [u64] {
    let first = frames
        .iter()
        .position(|&frame| !is_ours(frame) && !hooks.iter().any(|text| text.contains(frame)));
    // Better too much than nothing.
    as_words(limited(&frames[first.unwrap_or(0)..]))
}

fn limited(frames: &[usize]) -> &[usize] {
    &frames[..frames.len().min(super::params::stack_depth())]
}

#[cfg(target_pointer_width = "64")]
fn as_words(frames: &[usize]) -> &[u64] {
    // SAFETY: usize and u64 are one and the same here.
    unsafe { core::slice::from_raw_parts(frames.as_ptr().cast(), frames.len()) }
}

fn is_ours(frame: usize) -> bool {
    // SAFETY: Only compares the address.
    unsafe { bindings::ppo_text_is_ours(frame as u64) }
}

/// True if no interrupt is being served on this CPU. Context: any.
pub(crate) fn in_task() -> bool {
    // SAFETY: Looks at this CPU's state alone.
    unsafe { bindings::ppo_in_task() }
}

/// The text of one function of the kernel; empty until [`Text::find`].
pub(crate) struct Text {
    start: AtomicUsize,
    len: AtomicUsize,
}

impl Text {
    /// No text.
    pub(crate) const fn new() -> Self {
        Text {
            start: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
        }
    }

    /// Makes this the function that starts at `start`. It stays empty if its length is not known.
    pub(crate) fn find(&self, start: usize) {
        // SAFETY: Any address may be asked for.
        let len = unsafe { bindings::ppo_function_size(start as u64) };
        self.start.store(start, Ordering::Relaxed);
        self.len.store(len as usize, Ordering::Relaxed);
    }

    fn contains(&self, address: usize) -> bool {
        address.wrapping_sub(self.start.load(Ordering::Relaxed)) < self.len.load(Ordering::Relaxed)
    }
}

/// Who runs on this CPU. In an interrupt, whom it interrupted. Context: any.
pub(crate) fn task() -> Task {
    let mut task = bindings::ppo_task::default();
    // SAFETY: `task` is a place to write to.
    unsafe { bindings::ppo_task_read(&mut task) };
    Task {
        comm: task.comm,
        pid: task.pid,
    }
}

/// The pid of who runs on this CPU, -1 in an interrupt. Context: any.
pub(crate) fn pid() -> i32 {
    if in_task() {
        task().pid
    } else {
        -1
    }
}

/// The task with this pid, if it is older than `then`, in nanoseconds since boot. Context: any.
pub(crate) fn task_of(pid: i32, then: u64) -> Option<Task> {
    let mut task = bindings::ppo_task::default();
    // SAFETY: `task` is a place to write to.
    unsafe { bindings::ppo_task_of(pid, then, &mut task) }.then_some(Task {
        comm: task.comm,
        pid: task.pid,
    })
}
