// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::machine::made::Made;

const MOUNTS: &str = "debugfs /sys/kernel/debug debugfs rw 0 0\n\
    tracefs /sys/kernel/tracing tracefs rw 0 0\n";
const SYSTEMS: &str = "nodev\ttracefs\nnodev\tdebugfs\n";
const ALL: &str = "CONFIG_RUST=y\nCONFIG_MODULES=y\nCONFIG_DEBUG_FS=y\nCONFIG_FTRACE=y\n\
    CONFIG_FUNCTION_TRACER=y\nCONFIG_DYNAMIC_FTRACE=y\nCONFIG_FPROBE=y\nCONFIG_TRACEPOINTS=y\n\
    CONFIG_STACKTRACE=y\nCONFIG_MIGRATION=y\nCONFIG_DEBUG_PAGE_REF=y\nCONFIG_CMA_DEBUGFS=y\n\
    CONFIG_PAGE_OWNER=y\nCONFIG_MEMORY_FAILURE=y\n";
const STATS: &str = "attached=0\nbroken=none\nmarks=1\nmax_marks=65536\nlost_stacks=0\n\
    watched_pages=0\nledger_bytes=0\nledger_page_bytes=104\nledger_cap_bytes=67108864\n";

fn made() -> Made {
    Made::new()
        .with("proc/self/mounts", MOUNTS)
        .with("proc/filesystems", SYSTEMS)
        .with("boot/config-6.12", ALL)
        .with("sys/module/page_pin_owner/initstate", "live\n")
        .with(
            "sys/kernel/tracing/events/page_pin_owner/report_page_pinners/enable",
            "0\n",
        )
        .with(
            "sys/kernel/tracing/events/page_pin_owner/page_pin_owner_put/enable",
            "0\n",
        )
        .with(
            "sys/kernel/tracing/events/page_pin_owner/page_pin_owner_free/enable",
            "0\n",
        )
        .with("sys/kernel/tracing/trace_clock", "[local] global counter\n")
        .with("sys/kernel/debug/page_pin_owner/stats", STATS)
}

impl Made {
    fn rows(&self, is_root: bool) -> Vec<Row> {
        let machine = self.machine();
        Check::new(&machine, "6.12".to_owned(), is_root).rows()
    }

    /// The exit code, and what is missing with what mends it.
    fn missing(&self) -> (Exit, Vec<String>) {
        let rows = self.rows(true);
        let missing = rows.iter().filter(|row| row.state == State::Missing);
        let lines = missing.map(|row| {
            format!(
                "{}: {} -> {}",
                row.what,
                row.says,
                row.mend.as_deref().unwrap_or("?")
            )
        });
        (exit(&rows), lines.collect())
    }
}

fn has(rows: &[Row], what: &str, state: State, says: &str) -> bool {
    rows.iter()
        .any(|row| row.what == what && row.state == state && row.says.contains(says))
}

#[test]
fn all_there() {
    let made = made();
    assert_eq!(made.missing(), (Exit::Ok, vec![]));
    let rows = made.rows(true);
    assert!(
        has(&rows, "kernel options", State::Ok, "says /boot/config-6.12"),
        "{rows:?}"
    );
    assert!(has(&rows, "page_owner", State::Note, "off"), "{rows:?}");
    assert!(has(&rows, "events", State::Ok, "none enabled"), "{rows:?}");
    let mut out = Vec::new();
    text(&rows, &mut out).expect("text");
    let out = String::from_utf8(out).expect("text");
    assert!(out.starts_with("ok       permission: root\n"), "{out}");
    assert!(out.ends_with("all is there\n"), "{out}");
}

#[test]
fn not_root() {
    let made = made();
    assert_eq!(exit(&made.rows(false)), Exit::Permission);
}

#[test]
fn not_mounted() {
    let made = made().with("proc/self/mounts", "proc /proc proc rw 0 0\n");
    let wanted = vec![
        "debugfs: not mounted -> mount -t debugfs debugfs /sys/kernel/debug".to_owned(),
        "tracefs: not mounted -> mount -t tracefs tracefs /sys/kernel/tracing".to_owned(),
    ];
    assert_eq!(made.missing(), (Exit::Kernel, wanted));
}

#[test]
fn not_loaded() {
    let made = made().without("sys/module/page_pin_owner");
    let (exit, missing) = made.missing();
    assert_eq!(exit, Exit::NoModule);
    assert!(
        missing[0].contains("insmod page_pin_owner.ko"),
        "{missing:?}"
    );
    let made = made.with(
        "lib/modules/6.12/modules.dep",
        "updates/page_pin_owner.ko:\n",
    );
    let wanted = vec!["module: not loaded -> modprobe page_pin_owner".to_owned()];
    assert_eq!(made.missing(), (Exit::NoModule, wanted));
}

#[test]
fn options_that_are_not_there() {
    let made = made().with("boot/config-6.12", &ALL.replace("CONFIG_FPROBE=y", ""));
    let (exit, missing) = made.missing();
    assert_eq!(exit, Exit::Kernel);
    assert!(
        missing[0].ends_with("-> a kernel with CONFIG_FPROBE=y"),
        "{missing:?}"
    );
}

#[test]
fn options_that_can_only_be_seen() {
    let symbols = "0 T rust_helper_mutex_lock\n0 t function_trace_init\n0 T ftrace_location\n\
        0 T tracepoint_probe_register\n0 T stack_trace_save\n0 T migrate_pages\n\
        0 T __page_ref_mod\n0 t x\t[mod]\n";
    let made = made()
        .without("boot/config-6.12")
        .with("proc/modules", "")
        .with("proc/kallsyms", symbols);
    let (exit, missing) = made.missing();
    assert_eq!(exit, Exit::Kernel);
    assert!(
        missing[0].contains("has no FPROBE, says what"),
        "{missing:?}"
    );
    let made = made.with(
        "proc/kallsyms",
        &(symbols.to_owned() + "0 T register_fprobe_syms\n"),
    );
    assert_eq!(made.missing().0, Exit::Ok);
    // The module is loaded, so all is there.
    let made = made.without("proc/kallsyms");
    assert_eq!(made.missing().0, Exit::Ok);
    let made = made.without("sys/module/page_pin_owner");
    let rows = made.rows(true);
    assert!(
        has(&rows, "kernel options", State::Note, "FPROBE"),
        "{rows:?}"
    );
}

#[test]
fn broken_and_lost() {
    let stats = STATS.replace("broken=none", "broken=filter");
    let made = made().with("sys/kernel/debug/page_pin_owner/stats", &stats);
    let (exit, missing) = made.missing();
    assert_eq!(exit, Exit::Failed);
    assert!(
        missing[0].starts_with("state: 'filter' does not hold"),
        "{missing:?}"
    );
    let stats = STATS.replace("lost_stacks=0", "lost_stacks=7");
    let made = made.with("sys/kernel/debug/page_pin_owner/stats", &stats);
    let rows = made.rows(true);
    assert!(has(&rows, "lost", State::Note, "lost_stacks=7"), "{rows:?}");
}

#[test]
fn locked_down_and_switched_off() {
    let made = made().with(
        "sys/kernel/security/lockdown",
        "none integrity [confidentiality]\n",
    );
    assert_eq!(made.missing().0, Exit::Permission);
    let made = made
        .with(
            "sys/kernel/security/lockdown",
            "none [integrity] confidentiality\n",
        )
        .with("proc/sys/kernel/ftrace_enabled", "0\n");
    let (exit, missing) = made.missing();
    assert_eq!(exit, Exit::Kernel);
    assert!(
        missing[0].ends_with("-> sysctl kernel.ftrace_enabled=1"),
        "{missing:?}"
    );
}
