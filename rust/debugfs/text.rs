// SPDX-License-Identifier: GPL-2.0

//! How values look in all tables.

use crate::store::record::Task;
use crate::sys::debugfs::{out, Out};
use core::fmt;

/// A task's name on one line, whatever it calls itself; `-` if it has none.
pub(super) struct Comm<'a>(pub(super) &'a Task);

impl fmt::Display for Comm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.comm.iter().flat_map(|word| word.to_ne_bytes());
        let mut empty = true;
        for byte in bytes.take_while(|&byte| byte != 0) {
            empty = false;
            let plain = byte.is_ascii_graphic();
            fmt::Write::write_char(f, if plain { char::from(byte) } else { '_' })?;
        }
        if empty {
            f.write_str("-")?;
        }
        Ok(())
    }
}

/// The handle of a stack; `lost` if there was no room for it.
pub(super) struct Handle(pub(super) u32);

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("lost"),
            handle => write!(f, "{handle}"),
        }
    }
}

/// Says so if the paragraph was changed all the time it was read.
pub(super) struct Whole(pub(super) bool);

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "" } else { " torn=1" })
    }
}

/// The frames of a stack, and the end of the paragraph.
pub(super) fn frames(out: &mut Out, frames: impl Iterator<Item = u64>) {
    for frame in frames {
        out.frame(frame);
    }
    out!(out, "\n");
}
