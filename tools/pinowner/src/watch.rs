// SPDX-License-Identifier: GPL-2.0

//! `pinowner watch`, `unwatch`, `mark` and `forget`: tells the module about pages, by what they are
//! called, after saying how many they are and what that costs.

use crate::cost::{self, Ledger};
use crate::exit::{Exit, Failure};
use crate::kernel::{self, Kernel};
use crate::machine::Machine;
use crate::show::Count;
use crate::tables;
use crate::target::{Found, Places, Target};
use crate::zoneinfo;
use anyhow::{Context, Result};
use nix::errno::Errno;
use page_pin_owner_store::ranges::{MAX_RANGES, Ranges};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::str::FromStr;

const PARAMETERS: &str = "/sys/module/page_pin_owner/parameters";

/// What is to be watched.
#[derive(Debug, clap::Args)]
pub struct Watch {
    /// cma:NAME, block:N, node:N:movable, FIRST-LAST or FIRST+COUNT; without it, what is watched
    #[arg(value_name = "PAGES")]
    pages: Vec<Target>,
    /// Only say what it would cost
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// What is to be marked.
#[derive(Debug, clap::Args)]
pub struct Mark {
    /// cma:NAME, block:N, node:N:movable, FIRST-LAST or FIRST+COUNT
    #[arg(value_name = "PAGES", required = true)]
    pages: Vec<Target>,
    /// Only say which pages these are
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// What is to be left out.
#[derive(Debug, clap::Args)]
pub struct Leave {
    /// As they were given, any part of them, or "all"
    #[arg(value_name = "PAGES", required = true)]
    pages: Vec<Which>,
    /// Only say which pages these are
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Some pages, or all.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Which {
    All,
    Some(Target),
}

impl FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Which::All),
            text => text.parse().map(Which::Some),
        }
    }
}

/// `pinowner watch`.
///
/// # Errors
///
/// There are no such pages, they are too many, or what the kernel says.
pub fn watch(arguments: &Watch) -> Result<Exit> {
    let mut out = io::stdout().lock();
    let files = Files::of_this_machine()?;
    if arguments.pages.is_empty() {
        files.list(&mut out)?;
    }
    for target in &arguments.pages {
        files.watch(target, arguments.dry_run, &mut out)?;
    }
    Ok(Exit::Ok)
}

/// `pinowner unwatch`.
///
/// # Errors
///
/// As [`watch`].
pub fn unwatch(arguments: &Leave) -> Result<Exit> {
    leave(arguments, "watch")
}

/// `pinowner mark`.
///
/// # Errors
///
/// As [`watch`].
pub fn mark(arguments: &Mark) -> Result<Exit> {
    let mut out = io::stdout().lock();
    let files = Files::of_this_machine()?;
    for target in &arguments.pages {
        files.mark(target, arguments.dry_run, &mut out)?;
    }
    Ok(Exit::Ok)
}

/// `pinowner forget`.
///
/// # Errors
///
/// As [`watch`].
pub fn forget(arguments: &Leave) -> Result<Exit> {
    leave(arguments, "mark")
}

fn leave(arguments: &Leave, file: &'static str) -> Result<Exit> {
    let mut out = io::stdout().lock();
    let files = Files::of_this_machine()?;
    for which in &arguments.pages {
        files.leave(file, which, arguments.dry_run, &mut out)?;
    }
    Ok(Exit::Ok)
}

/// Pages and how much memory that is.
struct Size {
    pages: u64,
    page_size: u64,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.pages.saturating_mul(self.page_size);
        write!(f, "{}, {}", Count(self.pages, "page"), Bytes(bytes))
    }
}

/// Bytes in the unit that suits them.
struct Bytes(u64);

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const MIB: u64 = 1 << 20;
        match self.0 {
            bytes if bytes < MIB => write!(f, "{} KiB", bytes.div_ceil(1024)),
            bytes => write!(f, "{}.{} MiB", bytes / MIB, bytes % MIB * 10 / MIB),
        }
    }
}

fn len(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

/// As one writes it to the module, and to this program.
fn first_and_count(range: &Range<u64>) -> String {
    format!("0x{:x}+{}", range.start, len(range))
}

fn failure(exit: Exit, sentence: String) -> anyhow::Error {
    Failure::new(exit, sentence).into()
}

/// The files that all of that is about.
struct Files {
    kernel: Kernel,
    places: Places,
}

impl Files {
    fn of_this_machine() -> Result<Self> {
        let kernel = Kernel::find()?;
        let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?;
        let size = size.and_then(|size| u64::try_from(size).ok());
        let debugfs = kernel.tables.parent().map(ToOwned::to_owned);
        let places = Places {
            machine: Machine::this(),
            debugfs: debugfs.unwrap_or_default(),
            page_size: size.unwrap_or(4096),
        };
        Ok(Files { kernel, places })
    }

    /// Looks the pages up, and says which they are.
    fn find(&self, verb: &str, target: &Target, out: &mut impl Write) -> Result<Range<u64>> {
        let Found { pages, note } = self.places.find(target)?;
        writeln!(
            out,
            "{verb} {target}: pfn 0x{:x}-0x{:x}, {}",
            pages.start,
            pages.end.saturating_sub(1),
            self.size(len(&pages))
        )?;
        if let Some(note) = note {
            writeln!(out, "  {note}")?;
        }
        Ok(pages)
    }

    fn size(&self, pages: u64) -> Size {
        Size {
            pages,
            page_size: self.places.page_size,
        }
    }

    fn stats(&self) -> Result<BTreeMap<String, u64>> {
        Ok(tables::stats(&self.kernel.table("stats")?))
    }

    /// What is watched. Of more ranges than the module can have the rest is left out.
    fn watched(&self) -> Result<Ranges> {
        let mut ranges = Ranges::new();
        for paragraph in tables::paragraphs(&self.kernel.table("watch")?) {
            let range = paragraph.pfn().zip(paragraph.number::<u64>("pages"));
            if let Some((pfn, pages)) = range {
                let _ = ranges.set(pfn..pfn.saturating_add(pages), true);
            }
        }
        Ok(ranges)
    }

    fn parameter(&self, name: &str) -> Option<u64> {
        let text = self.places.machine.read(format!("{PARAMETERS}/{name}"));
        text.ok()?.trim().parse().ok()
    }

    /// The ledger as it is, or as it will be when the first page is watched.
    fn ledger(&self) -> Result<Ledger> {
        let stats = self.stats()?;
        let stat = |name: &str| stats.get(name).copied();
        let absent = |name| {
            let stats = self.kernel.tables.join("stats");
            format!("{} has no {name}", stats.display())
        };
        let entries = self.parameter("entries").map(cost::page_bytes);
        let kib = self.parameter("watch_kib");
        let cap = kib.map(|kib| kib.saturating_mul(1024));
        let page_bytes = entries.or_else(|| stat("ledger_page_bytes"));
        Ok(Ledger {
            page_bytes: page_bytes.with_context(|| absent("ledger_page_bytes"))?,
            bytes: stat("ledger_bytes").with_context(|| absent("ledger_bytes"))?,
            cap: cap
                .or_else(|| stat("ledger_cap_bytes"))
                .with_context(|| absent("ledger_cap_bytes"))?,
        })
    }

    /// Bytes of memory that programs could have.
    fn available(&self) -> Option<u64> {
        let text = self.places.machine.read("/proc/meminfo").ok()?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("MemAvailable:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kib.checked_mul(1024)
    }

    /// The ranges that are watched, and what they take.
    fn list(&self, out: &mut impl Write) -> Result<()> {
        let watched = self.watched()?;
        for range in watched.iter() {
            let (first, last, size) = (range.start, range.end - 1, self.size(len(&range)));
            writeln!(out, "pfn 0x{first:x}-0x{last:x}, {size}")?;
        }
        self.tell_watched(out)
    }

    /// How much is watched now.
    fn tell_watched(&self, out: &mut impl Write) -> Result<()> {
        let ledger = self.ledger()?;
        let pages = self.stats()?.get("watched_pages").copied().unwrap_or(0);
        let (bytes, cap) = (ledger.bytes, Bytes(ledger.cap));
        let in_use = Bytes(bytes);
        writeln!(
            out,
            "watched: {}; the ledger takes {in_use} ({bytes} bytes) of {cap}",
            self.size(pages)
        )?;
        Ok(())
    }

    fn watch(&self, target: &Target, is_dry: bool, out: &mut impl Write) -> Result<()> {
        let pages = self.find("watch", target, out)?;
        let (ledger, watched) = (self.ledger()?, self.watched()?);
        self.tell_cost(&pages, &ledger, &watched, out)?;
        self.admit(&pages, &ledger, &watched)?;
        if is_dry {
            return Ok(());
        }
        self.command(
            "watch",
            &format!("0x{:x} {}", pages.start, len(&pages)),
            &pages,
        )?;
        self.tell_watched(out)
    }

    fn tell_cost(
        &self,
        pages: &Range<u64>,
        ledger: &Ledger,
        watched: &Ranges,
        out: &mut impl Write,
    ) -> Result<()> {
        let bytes = ledger.bytes_of(pages, watched);
        let (room, cap) = (Bytes(ledger.room()), Bytes(ledger.cap));
        write!(
            out,
            "  memory: {} ({bytes} bytes) for the ledger, {} a page; {room} of {cap} (watch_kib) is free",
            Bytes(bytes),
            Count(ledger.page_bytes, "byte"),
        )?;
        match self.available() {
            Some(available) => writeln!(out, ", {} of the machine's memory", Bytes(available))?,
            None => writeln!(out)?,
        }
        writeln!(
            out,
            "  time: a get of a watched page takes some 1670 instructions, a put 2240; \
             a put of any other page 47 instead of 39"
        )?;
        Ok(())
    }

    /// Is there room for them?
    fn admit(&self, pages: &Range<u64>, ledger: &Ledger, watched: &Ranges) -> Result<()> {
        let bytes = ledger.bytes_of(pages, watched);
        if bytes > ledger.room() {
            let kib = ledger.bytes.saturating_add(bytes).div_ceil(1024);
            let fit = ledger.fitting(pages, watched);
            let part = pages.start..pages.start.saturating_add(fit);
            let how = match fit {
                0 => "none of them fits".to_owned(),
                _ => format!(
                    "the first {fit} fit: pinowner watch {}",
                    first_and_count(&part)
                ),
            };
            let sentence = format!(
                "{} are too many for watch_kib={}: {how}; or load the module with watch_kib={kib}",
                Count(len(pages), "page"),
                ledger.cap / 1024
            );
            return Err(failure(Exit::Failed, sentence));
        }
        let available = self.available();
        if let Some(available) = available.filter(|available| bytes > *available) {
            let sentence = format!(
                "the ledger would take {}, and the machine has {} left",
                Bytes(bytes),
                Bytes(available)
            );
            return Err(failure(Exit::Failed, sentence));
        }
        if watched.clone().set(pages.clone(), true).is_err() {
            let sentence = format!(
                "{MAX_RANGES} ranges are watched, and there can be no more: pinowner unwatch some"
            );
            return Err(failure(Exit::Failed, sentence));
        }
        Ok(())
    }

    fn mark(&self, target: &Target, is_dry: bool, out: &mut impl Write) -> Result<()> {
        let pages = self.find("mark", target, out)?;
        if is_dry {
            return Ok(());
        }
        self.command(
            "mark",
            &format!("0x{:x} {}", pages.start, len(&pages)),
            &pages,
        )?;
        self.tell_marked(out)
    }

    fn tell_marked(&self, out: &mut impl Write) -> Result<()> {
        let marks = self.stats()?.get("marks").copied().unwrap_or(0);
        writeln!(out, "marked: {}", Count(marks, "folio"))?;
        Ok(())
    }

    fn leave(
        &self,
        file: &'static str,
        which: &Which,
        is_dry: bool,
        out: &mut impl Write,
    ) -> Result<()> {
        let verb = if file == "watch" { "unwatch" } else { "forget" };
        match which {
            Which::All if is_dry => writeln!(out, "{verb} all")?,
            Which::All => self.command(file, "clear", &(0..0))?,
            Which::Some(target) => {
                let pages = self.find(verb, target, out)?;
                if !is_dry {
                    let text = format!("-0x{:x} {}", pages.start, len(&pages));
                    self.command(file, &text, &pages)?;
                }
            }
        }
        match (is_dry, file) {
            (true, _) => Ok(()),
            (_, "watch") => self.tell_watched(out),
            _ => self.tell_marked(out),
        }
    }

    /// One write to a file of the module's.
    fn command(&self, file: &str, text: &str, pages: &Range<u64>) -> Result<()> {
        let path = self.kernel.tables.join(file);
        std::fs::write(&path, text).map_err(|error| {
            let errno = error.raw_os_error().map(Errno::from_raw);
            let told = errno.and_then(|errno| self.explain(file, errno, text, pages));
            told.unwrap_or_else(|| {
                kernel::failed(
                    &error,
                    format!("'{text}' is not taken by {}", path.display()),
                )
            })
        })
    }

    /// What the module means by that, where it is more than the errno says.
    fn explain(
        &self,
        file: &str,
        errno: Errno,
        text: &str,
        pages: &Range<u64>,
    ) -> Option<anyhow::Error> {
        let is_removal = text.starts_with('-');
        let sentence = match errno {
            Errno::EBUSY => format!(
                "marks live while an event is enabled, and none is: \
                 \"pinowner record\" enables them, or echo 1 >{}",
                self.kernel
                    .tracefs
                    .join("events/page_pin_owner/enable")
                    .display()
            ),
            Errno::ERANGE => {
                let zones = self
                    .places
                    .machine
                    .read("/proc/zoneinfo")
                    .unwrap_or_default();
                let end = zoneinfo::end_of_memory(&zoneinfo::zones(&zones));
                format!(
                    "0x{:x}-0x{:x} is not in memory, which ends at pfn 0x{end:x}",
                    pages.start,
                    pages.end.saturating_sub(1)
                )
            }
            Errno::EINVAL if file == "watch" && is_removal => {
                "no page there is watched; \"pinowner watch\" shows what is".to_owned()
            }
            Errno::EINVAL if is_removal => "no page there is marked".to_owned(),
            Errno::EINVAL if file == "mark" => {
                "no page there is in use, or it is the kernel's own".to_owned()
            }
            Errno::ENOSPC => "it does not fit any more; dmesg says how much would".to_owned(),
            Errno::ENOMEM => "there is no memory for that; nothing has changed".to_owned(),
            Errno::EIO => "the module has switched itself off after a bug of its own: \
                 rmmod page_pin_owner, load it again, and report what dmesg says"
                .to_owned(),
            _ => return None,
        };
        Some(failure(Exit::Failed, sentence))
    }
}

#[cfg(test)]
mod tests;
