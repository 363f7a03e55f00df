// SPDX-License-Identifier: GPL-2.0

//! What the running kernel prints, beside the module, and what somebody calls some pages.

#![no_main]

use pinowner::target::Target;
use pinowner::{page_owner, zoneinfo};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    zoneinfo::end_of_memory(&zoneinfo::zones(text));
    if let Some((_, allocation)) = page_owner::parse(text) {
        page_owner::telling(&allocation.frames);
    }
    let _ = text.parse::<Target>();
});
