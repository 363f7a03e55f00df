// SPDX-License-Identifier: GPL-2.0

//! page_pin_owner: tells who holds the page that would not migrate.
//!
//! At load only the tables in debugfs and the trace events come into being; no hook is attached
//! until one of the events is enabled (see [`hooks`]).
//!
//! Start: parameters, scratch, debugfs, then enabling is allowed. Stop is the reverse; enabled
//! events hold a reference to the module, so that by then no hook is attached.

// Kbuild asks for Rust 1.83, which is later than what the kernel itself does with.
#![allow(clippy::incompatible_msrv)]

mod debugfs;
mod events;
mod hooks;
pub mod store;
mod sys;

use kernel::prelude::*;

module! {
    type: PagePinOwner,
    name: "page_pin_owner",
    author: "The page_pin_owner authors",
    description: "Tells who holds the page that would not migrate",
    license: "GPL",
}

/// Dropped in this order: first nobody can read any more, then there is nothing to read.
struct PagePinOwner {
    _tables: sys::debugfs::Dir,
    _scratch: Scratch,
    _memory: Memory,
}

/// The scratch of all CPUs, and what hooks leave behind.
struct Scratch;

/// Where the memory of marks comes from.
struct Memory;

impl kernel::Module for PagePinOwner {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        sys::params::check()?;
        sys::memory::Marks::init()?;
        let memory = Memory;
        sys::context::init()?;
        let scratch = Scratch;
        let tables = debugfs::create()?;
        hooks::allow();
        Ok(PagePinOwner {
            _tables: tables,
            _scratch: scratch,
            _memory: memory,
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        hooks::stop();
        sys::context::exit();
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        sys::memory::Marks::exit();
    }
}
