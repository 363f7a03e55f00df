// SPDX-License-Identifier: GPL-2.0

//! putback_movable_pages(): the kernel gives back what it could not move, folio by folio.
//!
//! Each of these puts is recorded, but with the stack from this function on, which is the same for
//! all: the kernel does not pause in this loop, and 60 000 unwindings would keep everybody else
//! waiting for a good part of a second.

use super::by_task::ByTask;
use super::{again, record, DEPOT, MARKS};
use crate::store::depot::Handle;
use crate::sys::context::in_task;
use crate::sys::fprobe::{Arguments, Function, Site};
use core::ffi::CStr;

/// The watched function.
pub(super) struct PutbackMovablePages;

/// Handles of the stacks of the calls under way.
static STACKS: ByTask = ByTask::new();

/// Forgets calls whose end was not seen, as the watch was taken off meanwhile. Context: any.
pub(super) fn forget_calls() {
    STACKS.clear();
}

impl Function for PutbackMovablePages {
    const NAME: &'static CStr = c"putback_movable_pages";
    type Call = ();

    fn enter(_args: &Arguments, site: Site) -> Option<()> {
        if MARKS.is_empty() {
            return None;
        }
        STACKS.leave(DEPOT.save(record()?.return_stack(site)).0);
        Some(())
    }

    fn leave((): &(), _result: i32, _site: Site) {
        STACKS.take();
    }
}

/// The stack of the call of putback_movable_pages() that makes a put, if one does. Context: any.
pub(super) fn stack_of_put() -> Option<Handle> {
    in_task().then(|| STACKS.find()).flatten().and_then(again)
}
