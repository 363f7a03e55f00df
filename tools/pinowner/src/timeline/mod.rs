// SPDX-License-Identifier: GPL-2.0

//! `pinowner timeline`: a bar for each folio, from its first failure until it was let go; those of
//! one holder below each other.

mod axis;
mod draw;
mod group;

pub use draw::{STYLE, end_ns, svg};
pub use group::held_us;

/// Folios that have a bar of their own, in a file.
pub const MOST_ROWS: usize = 200;
