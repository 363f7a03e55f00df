// SPDX-License-Identifier: GPL-2.0

//! What a report of a million events takes: `cargo build --release` for what is measured, then
//! `cargo run --release --example million [EVENTS]`.
//! Writes a recording and a trace that look like a machine's whose CMA area is full of pinned
//! pages, has them reported, and says how long each took and how much memory.

use pinowner::recording::{Section, Writer};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Puts of a folio by the kernel that tries to move it, as captured: mapcount, count, stack.
const ATTEMPT: [(i32, i32, u32); 9] = [
    (0, 3, 11),
    (0, 3, 12),
    (0, 3, 11),
    (0, 3, 12),
    (0, 3, 11),
    (0, 3, 12),
    (0, 3, 11),
    (1, 4, 13),
    (1, 3, 14),
];
const HOLDERS: u64 = 300;
const FUNCTIONS: [&str; 9] = [
    "bio_release_pages",
    "page_cache_pipe_buf_release",
    "try_to_migrate_one",
    "try_to_migrate_one",
    "remove_migration_ptes",
    "folio_batch_move_lru",
    "alloc_contig_range_noprof",
    "skb_release_data",
    "do_syscall_64",
];

/// All lines of the trace, to `line`.
fn events(events: u64, mut line: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
    let mut written = 0;
    let mut now = 1_000_000u64;
    for folio in 0.. {
        let pfn = 0x10_0000 + folio % 60_000;
        let start = now;
        let task = folio % HOLDERS;
        let mut event = |now: u64, who: &str, event: &str| {
            let (s, us) = (now / 1_000_000, now % 1_000_000);
            written += 1;
            line(&format!(
                "{who:>16}-{:<7} [{:03}] ..... {s:5}.{us:06}: {event}",
                1000 + task,
                task % 8
            ))?;
            Ok::<_, io::Error>(written >= events)
        };
        let page = |count, mapcount| {
            format!(
                "pfn=0x{pfn:x} flags=referenced|uptodate|dirty|lru|swapbacked count={count} \
                 mapcount={mapcount} mapping=00000000ddcb0d99 mt=5 reason=contig_range"
            )
        };
        let report = format!(
            "report_page_pinners: {} err=1 stage=migrate expected=3 order=0 stack=16",
            page(4, 1)
        );
        if event(now, "kworker/3:1", &report)? {
            return Ok(());
        }
        let put = |count, mapcount, age: u64, last: bool, stack| {
            format!(
                "page_pin_owner_put: {} stage=migrate refs=1 age_us={age} last={} stack={stack}",
                page(count, mapcount),
                u8::from(last),
            )
        };
        for (mapcount, count, stack) in ATTEMPT {
            now += 37;
            if event(
                now,
                "kworker/3:1",
                &put(count, mapcount, now - start, false, stack),
            )? {
                return Ok(());
            }
        }
        now += 1 + folio % 5000;
        let stack = 100 + u32::try_from(task).unwrap_or(0);
        let name = format!("worker {task}");
        if event(now, &name, &put(2, 1, now - start, false, stack))?
            || event(now, &name, &put(0, 0, now - start, true, 17))?
        {
            return Ok(());
        }
        let age = now - start;
        let free = format!(
            "page_pin_owner_free: pfn=0x{pfn:x} reason=contig_range stage=migrate puts=11 \
             age_us={age} cause=freed"
        );
        if event(now, &name, &free)? {
            return Ok(());
        }
    }
    Ok(())
}

fn stacks() -> String {
    let handles = (11..18).chain(100..100 + HOLDERS as usize);
    let mut text = String::new();
    for handle in handles {
        text += &format!("stack={handle} hits=1\n");
        let first = match handle {
            11 | 12 => 2,
            13 => 4,
            14 => 5,
            16 => 6,
            _ => handle % 2,
        };
        text += &format!(" {}+0x42/0x80\n", FUNCTIONS[first]);
        for depth in 0..10 {
            text += &format!(" function_{}_{depth}+0x1c2/0x5e0 [driver]\n", handle % 60);
        }
        text += " do_syscall_64+0x47/0x110\n\n";
    }
    text
}

fn recording(path: &Path, count: u64) -> io::Result<()> {
    let mut writer = Writer::new(BufWriter::new(File::create(path)?))?;
    events(count, |line| writer.line(Section::Events, line.as_bytes()))?;
    writer.table(Section::Stacks, stacks().as_bytes())?;
    writer.table(Section::Marked, b"")?;
    writer.finish()?.flush()
}

fn trace(path: &Path, count: u64) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    writeln!(out, "# tracer: nop\n#")?;
    events(count, |line| writeln!(out, "{line}"))?;
    out.flush()
}

/// The most memory that a process had, in KiB.
fn peak_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Reports the file; it is looked at again and again how much memory that takes.
fn measure(program: &Path, file: &Path, option: &str) -> io::Result<()> {
    let began = Instant::now();
    let mut command = Command::new(program);
    command.arg("report").arg(file).stdout(Stdio::null());
    if !option.is_empty() {
        command.arg(option);
    }
    let mut child = command.spawn()?;
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        peak = peak.max(peak_kib(child.id()).unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    println!(
        "{:12} {option:9} {:5.2} s, {:4} MB at most",
        file.extension().unwrap_or_default().to_string_lossy(),
        began.elapsed().as_secs_f64(),
        peak / 1000,
    );
    Ok(())
}

fn main() -> io::Result<()> {
    let count = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(1_000_000);
    let program: PathBuf = std::env::current_exe()?.with_file_name("../pinowner");
    if !program.exists() {
        eprintln!("what is to be measured is not there: cargo build --release");
        std::process::exit(1);
    }
    let dir = std::env::temp_dir();
    let files =
        ["ppo", "trace"].map(|ending| dir.join(format!("million-{}.{ending}", std::process::id())));
    recording(&files[0], count)?;
    trace(&files[1], count)?;
    for file in &files {
        println!(
            "{count} events, {} MB:",
            std::fs::metadata(file)?.len() / 1_000_000
        );
        for option in ["", "--json", "--folded"] {
            measure(&program, file, option)?;
        }
        std::fs::remove_file(file)?;
    }
    Ok(())
}
