// SPDX-License-Identifier: GPL-2.0

//! The one place where atomics come into the store.

pub(super) use core::sync::atomic::{
    AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
