// SPDX-License-Identifier: GPL-2.0

//! Safe wrappers of what the module uses of the kernel.
//!
//! All that differs between kernels, architectures and configurations is in here, and nearly all
//! `unsafe`.

pub(crate) mod array;
pub(crate) mod context;
pub(crate) mod debugfs;
pub(crate) mod deferred;
pub(crate) mod folio;
pub(crate) mod fprobe;
pub(crate) mod lock;
pub(crate) mod memory;
pub(crate) mod module;
pub(crate) mod params;
pub(crate) mod symbol;
pub(crate) mod trace;
pub(crate) mod tracepoint;

#[allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]
#[rustfmt::skip]
#[path = "bindings_generated.rs"]
pub(crate) mod bindings;

// A type that bindgen did not see whole would be too small, and only show when memory is gone.
macro_rules! assert_size {
    ($($ty:ty => $size:ident),* $(,)?) => {
        $(const _: () = assert!(
            core::mem::size_of::<$ty>() == bindings::$size as usize,
            concat!(stringify!($ty), " has another size in C"),
        );)*
    };
}

assert_size! {
    bindings::ppo_folio => ppo_sizes_PPO_SIZE_FOLIO,
    bindings::ppo_task => ppo_sizes_PPO_SIZE_TASK,
    bindings::ppo_report => ppo_sizes_PPO_SIZE_REPORT,
    bindings::ppo_put => ppo_sizes_PPO_SIZE_PUT,
    bindings::ppo_free => ppo_sizes_PPO_SIZE_FREE,
    bindings::ppo_context => ppo_sizes_PPO_SIZE_CONTEXT,
    kernel::bindings::page => ppo_sizes_PPO_SIZE_PAGE,
    kernel::bindings::file_operations => ppo_sizes_PPO_SIZE_FOPS,
    kernel::bindings::seq_operations => ppo_sizes_PPO_SIZE_SEQ_OPS,
    kernel::bindings::seq_file => ppo_sizes_PPO_SIZE_SEQ_FILE,
}

/// Lets others run. True if the task was told to stop what it does. May sleep.
pub(crate) fn pause() -> bool {
    // SAFETY: The caller may sleep.
    unsafe { bindings::ppo_pause() }
}

/// Nanoseconds of the monotonic clock. Context: any, NMI included.
pub(crate) fn now() -> u64 {
    // SAFETY: Safe in every context by its contract.
    unsafe { kernel::bindings::ktime_get_mono_fast_ns() }
}

/// The same in milliseconds; wraps in 49 days.
pub(crate) fn now_ms() -> u32 {
    (now() / 1_000_000) as u32
}
