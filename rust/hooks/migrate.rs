// SPDX-License-Identifier: GPL-2.0

//! migrate_pages(): what is left on its list when it returns could not be migrated.

use super::{record, Attempt, ISOLATION};
use crate::store::reason::{Reason, Stage};
use crate::sys::folio::on_list;
use crate::sys::fprobe::{Arguments, Function, Site};
use crate::sys::params;
use core::ffi::CStr;
use kernel::bindings::list_head;

/// The watched function.
pub(super) struct MigratePages;

/// One call of it.
#[derive(Clone, Copy)]
pub(super) struct Call {
    from: *mut list_head,
    reason: Reason,
}

/// Position of the arguments that we read.
const FROM: u32 = 0;
const REASON: u32 = 5;

impl Function for MigratePages {
    const NAME: &'static CStr = c"migrate_pages";
    type Call = Call;

    fn enter(args: &Arguments) -> Option<Call> {
        let reason = Reason(u8::try_from(args.get(REASON)).ok()?);
        params::wants(reason).then(|| Call {
            from: args.get(FROM) as *mut list_head,
            reason,
        })
    }

    fn leave(call: &Call, result: i32, site: Site) {
        if result == 0 {
            return;
        }
        let Some(mut context) = record() else {
            return;
        };
        let attempt = Attempt::new(&mut context, call.reason, Stage::Migrate, result, site);
        // SAFETY: The list is the caller's, who waits for migrate_pages() to return; each folio on
        // it has the reference of the one who isolated it.
        for page in unsafe { on_list(call.from) } {
            let folio = page.read();
            // With an error it gave up: what is as it should be was never tried.
            if result < 0 && folio.count <= folio.expected + ISOLATION {
                continue;
            }
            attempt.mark(page, 0);
        }
    }
}
