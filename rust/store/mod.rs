// SPDX-License-Identifier: GPL-2.0

//! What is remembered: marks, records and stacks. Pure logic, no kernel API.
//!
//! The kernel module compiles these files as its module `store`; on the host `cargo test` compiles
//! the same files as a crate of their own.
//!
//! Everything is lock-free and may be called from any context. Memory comes from a [`memory::Memory`] and
//! is published once through a [`memory::Slot`]; it goes back when its owner knows that nobody
//! reads any more.
//!
//! ```text
//! pfn -> PageExt: four tables -> Block of 64 pages -> record index -> Records -> Record
//! pfn -> Ledger: three tables -> Chunk of 512 pages -> Entry
//! frames -> Depot: bucket -> chain of stacks in pools -> Handle -> who puts there
//! ```

// Under loom some of what is many otherwise is one, see `sync::sized`.
#![cfg_attr(loom, allow(clippy::modulo_one))]

mod account;
pub mod class;
pub mod command;
pub mod depot;
pub mod invariant;
pub mod ledger;
pub mod limit;
pub mod memory;
#[cfg(all(test, loom))]
mod models;
pub mod page_ext;
mod pairs;
pub mod ranges;
pub mod reason;
pub mod record;
mod sync;
#[cfg(all(test, not(loom)))]
mod tests;
mod version;

pub use depot::Depot;
pub use ledger::Ledger;
pub use limit::Limit;
pub use page_ext::PageExt;
