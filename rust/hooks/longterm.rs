// SPDX-License-Identifier: GPL-2.0

//! folio_isolate_lru() for a long-term pin: what could not be isolated, and so not be migrated
//! out of CMA or movable memory.
//!
//! The kernel then just tries again, for as long as it takes.

use super::{record, Attempt};
use crate::store::reason::{Reason, Stage};
use crate::sys::bindings::ppo_sizes_PPO_PIN_REFS as PIN_REFS;
use crate::sys::folio::{pins_longterm, Page};
use crate::sys::fprobe::{Arguments, Function, Site};
use crate::sys::params;
use core::ffi::CStr;

/// The watched function.
pub(super) struct FolioIsolateLru;

/// One call of it.
#[derive(Clone, Copy)]
pub(super) struct Call {
    page: Page,
    reason: Reason,
}

impl Function for FolioIsolateLru {
    const NAME: &'static CStr = c"folio_isolate_lru";
    type Call = Call;

    fn enter(args: &Arguments, _site: Site) -> Option<Call> {
        // SAFETY: Its argument is a folio.
        let page = unsafe { Page::from_raw(args.get(0) as *mut _) };
        if page.is_on_lru() {
            return None;
        }
        params::wanted("longterm_pin").map(|reason| Call { page, reason })
    }

    fn leave(call: &Call, result: i32, site: Site) {
        // It returns a bool: the rest of the register is anything.
        if result & 1 != 0 || !pins_longterm(site.caller) {
            return;
        }
        let Some(mut context) = record() else {
            return;
        };
        // What a pin of a large folio adds is counted elsewhere.
        let pin = match call.page.read().order {
            0 | 1 => PIN_REFS as i32,
            _ => 1,
        };
        Attempt::new(&mut context, call.reason, Stage::Isolate, 0, site).mark(call.page, pin);
    }
}
