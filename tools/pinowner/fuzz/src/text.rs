// SPDX-License-Identifier: GPL-2.0

//! A recording, as it is when it has been unpacked: what is made up gets past gzip and the first
//! line.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    pinowner_fuzz::read(&[b"pinowner recording 1\n", data].concat());
});
