// SPDX-License-Identifier: GPL-2.0

//! `pinowner check`: is everything there? One line for each thing, and for each that is missing one
//! that mends it.

use crate::config::{Config, NEEDED, USEFUL};
use crate::exit::Exit;
use crate::kernel::mounted;
use crate::machine::{Machine, names};
use crate::show::Count;
use crate::tables;
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const MODULE: &str = "/sys/module/page_pin_owner";
const EVENTS: [&str; 3] = [
    "report_page_pinners",
    "page_pin_owner_put",
    "page_pin_owner_free",
];
/// Clocks of the trace by which a time is one in seconds.
const CLOCKS: [&str; 5] = ["local", "global", "mono", "mono_raw", "boot"];

/// How it is to be said.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print JSON: an array of {what, state, says, mend}
    #[arg(long)]
    json: bool,
}

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There.
    Ok,
    /// Not there, and nothing can be recorded without it.
    Missing,
    /// Good to know.
    Note,
}

/// One thing.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Which.
    pub what: &'static str,
    /// How it is.
    pub state: State,
    /// That for a person.
    pub says: String,
    /// What would mend it: a command, or an option.
    pub mend: Option<String>,
    /// The exit code, if it is missing.
    #[serde(skip)]
    pub exit: Exit,
}

/// Does it.
///
/// # Errors
///
/// What writing says.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let is_root = nix::unistd::geteuid().is_root();
    let uname = nix::sys::utsname::uname();
    let release = uname.map_or(String::new(), |u| {
        u.release().to_string_lossy().into_owned()
    });
    let rows = Check::new(&Machine::this(), release, is_root).rows();
    let mut out = io::BufWriter::new(io::stdout().lock());
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &rows).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        text(&rows, &mut out)?;
    }
    out.flush()?;
    Ok(exit(&rows))
}

/// The exit code: that of the first thing that is missing.
pub fn exit(rows: &[Row]) -> Exit {
    let missing = rows.iter().find(|row| row.state == State::Missing);
    missing.map_or(Exit::Ok, |row| row.exit)
}

/// All of it for a person.
///
/// # Errors
///
/// What writing says.
pub fn text(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    for row in rows {
        let state = match row.state {
            State::Ok => "ok",
            State::Missing => "missing",
            State::Note => "note",
        };
        writeln!(out, "{state:<8} {}: {}", row.what, row.says)?;
        if let Some(mend) = &row.mend {
            writeln!(out, "{:<8}   -> {mend}", "")?;
        }
    }
    let missing = rows.iter().filter(|row| row.state == State::Missing);
    match missing.count() as u64 {
        0 => writeln!(out, "all is there"),
        1 => writeln!(out, "1 thing is missing"),
        n => writeln!(out, "{} are missing", Count(n, "thing")),
    }
}

/// What is looked at.
pub struct Check<'a> {
    machine: &'a Machine,
    release: String,
    is_root: bool,
    rows: Vec<Row>,
}

impl<'a> Check<'a> {
    /// One of a machine that runs this kernel.
    pub fn new(machine: &'a Machine, release: String, is_root: bool) -> Self {
        Check {
            machine,
            release,
            is_root,
            rows: Vec::new(),
        }
    }

    fn ok(&mut self, what: &'static str, says: impl Into<String>) {
        self.row(what, State::Ok, says.into(), None, Exit::Ok);
    }

    fn note(&mut self, what: &'static str, says: impl Into<String>, mend: Option<String>) {
        self.row(what, State::Note, says.into(), mend, Exit::Ok);
    }

    fn missing(
        &mut self,
        what: &'static str,
        exit: Exit,
        says: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.row(what, State::Missing, says.into(), Some(mend.into()), exit);
    }

    fn row(
        &mut self,
        what: &'static str,
        state: State,
        says: String,
        mend: Option<String>,
        exit: Exit,
    ) {
        self.rows.push(Row {
            what,
            state,
            says,
            mend,
            exit,
        });
    }

    /// All there is to say.
    pub fn rows(mut self) -> Vec<Row> {
        self.permission();
        let mounts = std::fs::read(self.machine.path("/proc/self/mounts")).unwrap_or_default();
        let debugfs = self.mount(&mounts, "debugfs", "/sys/kernel/debug");
        let tracefs = self.mount(&mounts, "tracefs", "/sys/kernel/tracing");
        let is_loaded = self.machine.has(MODULE);
        let config = Config::of(self.machine, &self.release);
        self.options(&config, is_loaded);
        self.ftrace();
        self.module(is_loaded);
        if !self.is_root {
            let says = "cannot be seen by who is not root";
            self.note("the rest", says, None);
            return self.rows;
        }
        if let Some(tracefs) = &tracefs {
            if is_loaded {
                self.events(tracefs);
            }
            self.clock(tracefs);
        }
        if let Some(debugfs) = &debugfs {
            if is_loaded {
                self.stats(&debugfs.join("page_pin_owner/stats"));
            }
            self.cma(debugfs, &config);
            self.page_owner(debugfs, &config);
        }
        self.rows
    }

    fn permission(&mut self) {
        if self.is_root {
            self.ok("permission", "root");
        } else {
            let says = "not root: tracefs and debugfs cannot be read";
            self.missing("permission", Exit::Permission, says, "sudo pinowner check");
        }
        let lockdown = self.machine.read("/sys/kernel/security/lockdown");
        let Some(lockdown) = lockdown.ok().as_deref().and_then(chosen).map(str::to_owned) else {
            return;
        };
        let how = "boot without Secure Boot, or with lockdown=none";
        match &*lockdown {
            "none" => (),
            "confidentiality" => self.missing(
                "lockdown",
                Exit::Permission,
                "confidentiality: no event can be enabled",
                how,
            ),
            // One that is signed can be loaded still.
            other => self.note(
                "lockdown",
                format!(
                    "{other}: an unsigned module cannot be loaded, nor pages watched or marked"
                ),
                Some(how.to_owned()),
            ),
        }
    }

    /// Where a file system is mounted.
    fn mount(&mut self, mounts: &[u8], kind: &'static str, usual: &str) -> Option<PathBuf> {
        let found = mounted(mounts, kind.as_bytes());
        if let Some(path) = &found {
            self.ok(kind, path.display().to_string());
        } else if self.is_unknown_to_kernel(kind) {
            let option = if kind == "debugfs" {
                "DEBUG_FS"
            } else {
                "FTRACE"
            };
            let says = "the kernel does not know it";
            let how = format!("a kernel with CONFIG_{option}, booted without {kind}=off");
            self.missing(kind, Exit::Kernel, says, how);
        } else {
            let how = format!("mount -t {kind} {kind} {usual}");
            self.missing(kind, Exit::Kernel, "not mounted", how);
        }
        found.map(|path| self.machine.path(path))
    }

    fn is_unknown_to_kernel(&self, kind: &str) -> bool {
        let known = self.machine.read("/proc/filesystems");
        known.is_ok_and(|known| !known.split_ascii_whitespace().any(|word| word == kind))
    }

    fn options(&mut self, config: &Config, is_loaded: bool) {
        const WHAT: &str = "kernel options";
        // What is not known is there if the module could be loaded.
        let of = |option| config.has(option).or(is_loaded.then_some(true));
        let not = |has| NEEDED.iter().filter(move |option| of(**option) == has);
        let names = |has| not(has).map(|option| option.name).collect::<Vec<_>>();
        let (absent, unknown) = (names(Some(false)), names(None));
        let release = &self.release;
        if !absent.is_empty() {
            let says = format!(
                "{release} has no {}, says {}",
                absent.join(" "),
                config.source
            );
            let options: Vec<_> = absent
                .iter()
                .map(|name| format!("CONFIG_{name}=y"))
                .collect();
            let how = format!("a kernel with {}", options.join(" "));
            self.missing(WHAT, Exit::Kernel, says, how);
        } else if !unknown.is_empty() {
            let says = format!(
                "{release}: it cannot be seen whether it has {}",
                unknown.join(" ")
            );
            self.note(WHAT, says, Some("loading the module tells".to_owned()));
        } else {
            let says = format!("{release} has all that are needed, says {}", config.source);
            self.ok(WHAT, says);
        }
        for (option, what_for) in USEFUL {
            if config.has(option) == Some(false) {
                let says = format!("no {}, {what_for}", option.name);
                let how = format!("a kernel with CONFIG_{}=y", option.name);
                self.note(WHAT, says, Some(how));
            }
        }
    }

    /// Functions can be traced, or the module sees nothing.
    fn ftrace(&mut self) {
        let enabled = self.machine.read("/proc/sys/kernel/ftrace_enabled");
        if enabled.is_ok_and(|enabled| enabled.trim() == "0") {
            let says = "kernel.ftrace_enabled is 0: no function can be hooked";
            let how = "sysctl kernel.ftrace_enabled=1";
            self.missing("ftrace", Exit::Kernel, says, how);
        }
    }

    fn module(&mut self, is_loaded: bool) {
        const WHAT: &str = "module";
        if !is_loaded {
            let deps = format!("/lib/modules/{}/modules.dep", self.release);
            let deps = self.machine.read(deps).unwrap_or_default();
            let how = if deps.contains("page_pin_owner.ko") {
                "modprobe page_pin_owner"
            } else {
                "insmod page_pin_owner.ko, which \"make\" builds for the running kernel"
            };
            self.missing(WHAT, Exit::NoModule, "not loaded", how);
            return;
        }
        let state = self.machine.read(format!("{MODULE}/initstate"));
        if let Ok(state) = state.as_deref().map(str::trim) {
            if state != "live" {
                let how = "wait, or look at dmesg";
                self.missing(WHAT, Exit::NoModule, format!("is {state}"), how);
                return;
            }
        }
        let version = ["version", "srcversion"].iter().find_map(|name| {
            let value = self.machine.read(format!("{MODULE}/{name}")).ok()?;
            Some(format!(", {name} {}", value.trim()))
        });
        let id = std::fs::read(
            self.machine
                .path(format!("{MODULE}/notes/.note.gnu.build-id")),
        );
        // Sizes, type, and the name "GNU" come first.
        let id = id.ok().filter(|note| note.len() > 16).map(|note| {
            let digits = note[16..].iter().take(20);
            let digits: String = digits.map(|byte| format!("{byte:02x}")).collect();
            format!(", build {digits}")
        });
        let version = version.or(id).unwrap_or_default();
        self.ok(WHAT, format!("loaded{version}"));
    }

    fn events(&mut self, tracefs: &Path) {
        const WHAT: &str = "events";
        let events = tracefs.join("events/page_pin_owner");
        let absent: Vec<_> = EVENTS
            .into_iter()
            .filter(|name| !events.join(name).exists())
            .collect();
        if !absent.is_empty() {
            let says = format!(
                "{} cannot be seen in {}",
                absent.join(" "),
                events.display()
            );
            let how = "rmmod page_pin_owner, and load it again";
            self.missing(WHAT, Exit::Kernel, says, how);
            return;
        }
        let is_on = |name: &&str| {
            let state = crate::machine::read(&events.join(name).join("enable"));
            state.is_ok_and(|state| state.starts_with('1'))
        };
        let on: Vec<_> = EVENTS.into_iter().filter(is_on).collect();
        let how = match on.len() {
            0 => "present, none enabled in the main trace".to_owned(),
            3 => "present, all enabled in the main trace".to_owned(),
            _ => format!("present, enabled in the main trace: {}", on.join(" ")),
        };
        self.ok(WHAT, how);
    }

    fn clock(&mut self, tracefs: &Path) {
        let Ok(clocks) = crate::machine::read(&tracefs.join("trace_clock")) else {
            return;
        };
        let Some(clock) = chosen(&clocks) else {
            return;
        };
        if CLOCKS.contains(&clock) {
            self.ok("trace clock", clock);
        } else {
            let says = format!("{clock}: times in the main trace are no seconds");
            let how = format!("echo local >{}/trace_clock", tracefs.display());
            self.note("trace clock", says, Some(how));
        }
    }

    fn stats(&mut self, path: &Path) {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) => {
                let says = format!("{} cannot be read: {error}", path.display());
                let how = "rmmod page_pin_owner, and load it again";
                self.missing("tables", Exit::Kernel, says, how);
                return;
            }
        };
        let broken = broken(&text);
        if broken != "none" {
            let says =
                format!("'{broken}' does not hold in its tables, it has switched itself off");
            let how = "rmmod page_pin_owner, load it again, and report what dmesg says";
            self.missing("state", Exit::Failed, says, how);
        }
        let stats = tables::stats(&text);
        let stat = |name| stats.get(name).copied().unwrap_or(0);
        if broken == "none" {
            let attached = if stat("attached") == 1 {
                "attached"
            } else {
                "not attached, as no event is enabled"
            };
            self.ok("state", attached);
        }
        let (marks, most) = (stat("marks"), stat("max_marks"));
        self.ok("marks", format!("{} of {most}", Count(marks, "folio")));
        let (watched, bytes) = (stat("watched_pages"), stat("ledger_bytes"));
        let cap = stat("ledger_cap_bytes");
        if watched == 0 {
            let how = "pinowner watch cma:NAME names also who never lets go";
            self.note("watched", "no page", Some(how.to_owned()));
        } else {
            let says = format!(
                "{}, {} KiB of ledger of {} KiB",
                Count(watched, "page"),
                bytes.div_ceil(1024),
                cap / 1024
            );
            self.ok("watched", says);
        }
        self.losses(&stats);
    }

    fn losses(&mut self, stats: &BTreeMap<String, u64>) {
        let lost = stats
            .iter()
            .filter(|(name, n)| name.starts_with("lost_") && **n > 0);
        let mut any = false;
        for (name, count) in lost {
            any = true;
            let how = match name.as_str() {
                "lost_marks_full" | "lost_marks_blocks" => Some("load it with a larger max_marks="),
                "lost_stacks" | "lost_put_stacks" => Some("load it with a larger depot_kib="),
                "lost_reports" => Some("echo 0 >/sys/module/page_pin_owner/parameters/report_rate"),
                "lost_unarmed_puts" => {
                    Some("echo always >/sys/module/page_pin_owner/parameters/arming")
                }
                _ => None,
            };
            let says = format!("{name}={count} since the module was loaded");
            self.note("lost", says, how.map(str::to_owned));
        }
        if !any {
            self.ok("lost", "nothing since the module was loaded");
        }
    }

    fn cma(&mut self, debugfs: &Path, config: &Config) {
        let areas = names(&debugfs.join("cma"));
        if !areas.is_empty() {
            self.ok("CMA areas", areas.join(" "));
        } else if config.has(USEFUL[0].0) != Some(false) {
            let how = "boot with cma=SIZE on a kernel with CONFIG_CMA_DEBUGFS=y";
            self.note("CMA areas", "none", Some(how.to_owned()));
        }
    }

    fn page_owner(&mut self, debugfs: &Path, config: &Config) {
        if debugfs.join("page_owner").exists() {
            self.ok("page_owner", "on: it says who allocated a page");
        } else if config.has(USEFUL[1].0) != Some(false) {
            let how = "boot with page_owner=on";
            self.note("page_owner", "off", Some(how.to_owned()));
        }
    }
}

/// The word in brackets.
fn chosen(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0)
}

/// What `stats` says of a bug of the module's.
fn broken(stats: &[u8]) -> String {
    let mut lines = stats.split(|&c| c == b'\n');
    let found = lines.find_map(|line| line.strip_prefix(b"broken="));
    found.map_or("none".into(), |value| {
        String::from_utf8_lossy(value).trim().to_owned()
    })
}

#[cfg(test)]
mod tests;
