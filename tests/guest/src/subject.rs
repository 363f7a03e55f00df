// SPDX-License-Identifier: GPL-2.0

//! The module under test: where its files are, loading and unloading it.

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nix::kmod::{DeleteModuleFlags, ModuleInitFlags, delete_module, finit_module};

/// Where events are switched on and off.
pub const TRACEFS: &str = "/sys/kernel/tracing";
/// The module's own files.
pub const DEBUGFS: &str = "/sys/kernel/debug/page_pin_owner";
/// The module itself.
pub const FILE: &str = "/page_pin_owner.ko";
/// Its events.
pub const EVENTS: [&str; 3] = [
    "report_page_pinners",
    "page_pin_owner_put",
    "page_pin_owner_free",
];

const NAME: &CStr = c"page_pin_owner";

/// The file of one of the events.
pub fn event_file(event: &str, name: &str) -> String {
    format!("{TRACEFS}/events/page_pin_owner/{event}/{name}")
}

/// The file of a parameter.
pub fn parameter(name: &str) -> String {
    format!("/sys/module/page_pin_owner/parameters/{name}")
}

/// Loads a module.
pub fn insmod(file: &str, parameters: &str) -> Result<()> {
    let file = File::open(file).context(file.to_owned())?;
    finit_module(&file, &CString::new(parameters)?, ModuleInitFlags::empty())?;
    Ok(())
}

/// Unloads the module, unless somebody uses it.
pub fn rmmod() -> nix::Result<()> {
    delete_module(NAME, DeleteModuleFlags::O_NONBLOCK)
}

/// Whether nothing of the module is there.
pub fn absent() -> Result<()> {
    for path in [
        DEBUGFS,
        "/sys/module/page_pin_owner",
        "/sys/kernel/tracing/events/page_pin_owner",
    ] {
        ensure!(!Path::new(path).exists(), "unloaded, and there is {path}");
    }
    let functions = fs::read_to_string(format!("{TRACEFS}/enabled_functions"))?;
    for name in ["migrate_pages ", "test_pages_isolated ", "unpoison_memory "] {
        ensure!(
            !functions.contains(name),
            "unloaded, and {name}is still watched"
        );
    }
    Ok(())
}
