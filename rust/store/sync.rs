// SPDX-License-Identifier: GPL-2.0

//! The one place where atomics come into the store: core's, or loom's under its models.

#[cfg(not(loom))]
pub(super) use core::sync::atomic::{
    fence, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
#[cfg(loom)]
pub(super) use loom::sync::atomic::{
    fence, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

/// A function that is `const`, but under loom: its atomics are made at run time.
macro_rules! const_unless_loom {
    ($(#[$attr:meta])* $vis:vis fn $name:ident() -> $ret:ty $body:block) => {
        #[cfg(not(loom))]
        $(#[$attr])*
        $vis const fn $name() -> $ret $body

        #[cfg(loom)]
        $(#[$attr])*
        $vis fn $name() -> $ret $body
    };
}
pub(super) use const_unless_loom;

/// `[const { value }; len]`, which loom's atomics cannot be.
macro_rules! array {
    ($value:expr; $len:expr) => {{
        #[cfg(not(loom))]
        let array = [const { $value }; $len];
        #[cfg(loom)]
        let array = core::array::from_fn::<_, { $len }, _>(|_| $value);
        array
    }};
}
pub(super) use array;

/// `usual`, or what is large enough under loom: a model explores every order of all accesses.
pub(super) const fn sized(usual: usize, in_models: usize) -> usize {
    if cfg!(loom) {
        in_models
    } else {
        usual
    }
}
