// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::machine::made::Made;
use std::fs;

const STATS: &str = "broken=none\nmarks=3\nwatched_pages=0\nledger_bytes=0\n\
    ledger_page_bytes=104\nledger_cap_bytes=67108864\n";

fn made() -> Made {
    Made::new()
        .with("sys/kernel/debug/page_pin_owner/stats", STATS)
        .with("sys/kernel/debug/page_pin_owner/watch", "")
        .with("sys/kernel/debug/page_pin_owner/mark", "")
        .with("sys/kernel/debug/cma/reserved/base_pfn", "131072\n")
        .with("sys/kernel/debug/cma/reserved/count", "131072\n")
        .with("proc/meminfo", "MemTotal: 1 kB\nMemAvailable:  819200 kB\n")
}

impl Made {
    fn files(&self) -> Files {
        let debugfs = self.root.join("sys/kernel/debug");
        Files {
            kernel: Kernel {
                tracefs: self.root.join("sys/kernel/tracing"),
                tables: debugfs.join("page_pin_owner"),
            },
            places: Places {
                machine: self.machine(),
                debugfs,
                page_size: 4096,
            },
        }
    }

    fn written(&self, file: &str) -> String {
        fs::read_to_string(self.files().kernel.tables.join(file)).expect("a file")
    }

    fn watch(&self, text: &str) -> Result<String, String> {
        let target = text.parse()?;
        let mut out = Vec::new();
        let done = self.files().watch(&target, false, &mut out);
        done.map_err(|e| e.to_string())?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }
}

#[test]
fn an_area() {
    let made = made();
    let said = made.watch("cma:reserved").expect("watched");
    let lines: Vec<_> = said.lines().collect();
    let pages = "watch cma:reserved: pfn 0x20000-0x3ffff, 131072 pages, 512.0 MiB";
    assert_eq!(lines[0], pages);
    let memory = "  memory: 13.0 MiB (13666304 bytes) for the ledger, 104 bytes a page; \
        64.0 MiB of 64.0 MiB (watch_kib) is free, 800.0 MiB of the machine's memory";
    assert_eq!(lines[1], memory);
    assert_eq!(made.written("watch"), "0x20000 131072");
}

#[test]
fn only_said() {
    let made = made();
    let mut out = Vec::new();
    let target = "0x10+16".parse().expect("pages");
    made.files().watch(&target, true, &mut out).expect("said");
    made.files().mark(&target, true, &mut out).expect("said");
    for which in ["all", "0x10"] {
        let which = which.parse().expect("pages");
        made.files()
            .leave("watch", &which, true, &mut out)
            .expect("said");
    }
    assert_eq!(made.written("watch") + &made.written("mark"), "");
}

#[test]
fn what_fits() {
    let made = made();
    let made = made.with("sys/module/page_pin_owner/parameters/entries", "2\n");
    let made = made.with("sys/module/page_pin_owner/parameters/watch_kib", "64\n");
    let error = "131072 pages are too many for watch_kib=64: the first 1536 fit: pinowner watch \
        0x20000+1536; or load the module with watch_kib=4130";
    assert_eq!(made.watch("cma:reserved"), Err(error.to_owned()));
    assert_eq!(made.written("watch"), "");
    assert!(made.watch("0x20000+1536").is_ok());
}

#[test]
fn little_memory() {
    let made = made();
    let made = made.with("proc/meminfo", "MemAvailable:  1024 kB\n");
    let error = "the ledger would take 13.0 MiB, and the machine has 1.0 MiB left";
    assert_eq!(made.watch("cma:reserved"), Err(error.to_owned()));
}

#[test]
fn too_many_ranges() {
    let made = made();
    let table: String = (0..16)
        .map(|n| format!("pfn=0x{:x} pages=1\n\n", n * 16))
        .collect();
    let made = made.with("sys/kernel/debug/page_pin_owner/watch", &table);
    assert!(
        made.watch("5")
            .is_err_and(|e| e.starts_with("16 ranges are watched"))
    );
}

#[test]
fn left_out() {
    let made = made();
    let mut out = Vec::new();
    for (file, which, written) in [
        ("watch", "cma:reserved", "-0x20000 131072"),
        ("mark", "0x10", "-0x10 1"),
        ("mark", "all", "clear"),
    ] {
        let which = which.parse().expect("pages");
        made.files()
            .leave(file, &which, false, &mut out)
            .expect("done");
        assert_eq!(made.written(file), written);
    }
}

#[test]
fn errors_in_words() {
    let made = made();
    let explain = |file, errno, text| {
        let error = made.files().explain(file, errno, text, &(16..32));
        error.map(|e| e.to_string()).unwrap_or_default()
    };
    let busy = explain("mark", Errno::EBUSY, "0x10 16");
    assert!(busy.contains("pinowner record"), "{busy}");
    assert!(explain("watch", Errno::EINVAL, "-0x10 16").contains("watched"));
    assert!(explain("mark", Errno::EINVAL, "-0x10 16").contains("marked"));
    assert!(explain("mark", Errno::EINVAL, "0x10 16").contains("in use"));
    let range = explain("watch", Errno::ERANGE, "0x10 16");
    assert!(range.starts_with("0x10-0x1f is not in memory"), "{range}");
    assert_eq!(explain("watch", Errno::EPERM, "0x10 16"), "");
}
