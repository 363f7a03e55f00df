// SPDX-License-Identifier: GPL-2.0

//! Any file at all.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    pinowner_fuzz::read(data);
});
