// SPDX-License-Identifier: GPL-2.0

//! Compaction of all memory, over and over.

use super::{Load, write};

pub(super) const LOAD: Load = Load {
    name: "compaction",
    acts: &["compact"],
    run: |worker| {
        while worker.go(500) {
            let done = write("/proc/sys/vm/compact_memory", "1");
            worker.tally.tried("compact", done, &[]);
        }
        Ok(())
    },
};
