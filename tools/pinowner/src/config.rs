// SPDX-License-Identifier: GPL-2.0

//! What the kernel was built with: as its configuration says, or as far as it can be told from
//! outside.

use crate::lines::Lines;
use crate::machine::Machine;
use flate2::read::GzDecoder;
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

/// The module does not load without these.
pub const NEEDED: [Setting; 11] = [
    Setting::new("RUST", Sign::Symbols("rust_helper_")),
    Setting::new("MODULES", Sign::File("/proc/modules")),
    Setting::new("DEBUG_FS", Sign::FileSystem("debugfs")),
    Setting::new("FTRACE", Sign::FileSystem("tracefs")),
    Setting::new("FUNCTION_TRACER", Sign::Symbol("function_trace_init")),
    Setting::new("DYNAMIC_FTRACE", Sign::Symbol("ftrace_location")),
    Setting::new("FPROBE", Sign::Symbol("register_fprobe_syms")),
    Setting::new("TRACEPOINTS", Sign::Symbol("tracepoint_probe_register")),
    Setting::new("STACKTRACE", Sign::Symbol("stack_trace_save")),
    Setting::new("MIGRATION", Sign::Symbol("migrate_pages")),
    Setting::new("DEBUG_PAGE_REF", Sign::Symbol("__page_ref_mod")),
];

/// Of use: without them less is seen.
pub const USEFUL: [(Setting, &str); 3] = [
    (
        Setting::new("CMA_DEBUGFS", Sign::Symbol("cma_debugfs_init")),
        "to watch CMA areas by name, and to try allocations",
    ),
    (
        Setting::new("PAGE_OWNER", Sign::Symbol("init_page_owner")),
        "to know who allocated a page",
    ),
    (
        Setting::new("MEMORY_FAILURE", Sign::Symbol("memory_failure")),
        "for memory errors and soft offlining",
    ),
];

/// Longest configuration, and most of the names of symbols that are looked at.
const LONGEST: u64 = 64 << 20;

/// An option, without `CONFIG_`.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    sign: Sign,
}

/// By what one can see an option where there is no configuration to be read.
#[derive(Clone, Copy, Debug)]
enum Sign {
    /// A function of that name.
    Symbol(&'static str),
    /// Functions that begin so.
    Symbols(&'static str),
    /// A file system that the kernel knows.
    FileSystem(&'static str),
    /// A file.
    File(&'static str),
}

impl Setting {
    const fn new(name: &'static str, sign: Sign) -> Self {
        Setting { name, sign }
    }
}

/// What is known of a kernel's options.
#[derive(Debug)]
pub struct Config {
    /// Where that is from, for a person.
    pub source: String,
    known: Known,
}

#[derive(Debug)]
enum Known {
    /// Those that are set.
    Set(HashSet<String>),
    /// What was seen instead: names of symbols, none if they are not to be had, and file systems.
    Seen {
        symbols: HashSet<&'static str>,
        any_symbol: bool,
        systems: Option<String>,
        files: HashSet<&'static str>,
    },
}

impl Config {
    /// That of the kernel of a machine.
    pub fn of(machine: &Machine, release: &str) -> Self {
        let files = [
            "/proc/config.gz".to_owned(),
            format!("/boot/config-{release}"),
            format!("/lib/modules/{release}/config"),
            format!("/lib/modules/{release}/build/.config"),
        ];
        let found = files.into_iter().find_map(|name| {
            let file = File::open(machine.path(&name)).ok()?;
            let set = match name.ends_with(".gz") {
                true => set(BufReader::new(GzDecoder::new(file).take(LONGEST))),
                false => set(BufReader::new(file.take(LONGEST))),
            };
            // An empty one, or one that is no configuration, tells nothing.
            (!set.is_empty()).then_some(Config {
                source: name,
                known: Known::Set(set),
            })
        });
        found.unwrap_or_else(|| seen(machine))
    }

    /// Is that option set? `None` if that cannot be known.
    pub fn has(&self, option: Setting) -> Option<bool> {
        match (&self.known, option.sign) {
            (Known::Set(set), _) => Some(set.contains(option.name)),
            (
                Known::Seen {
                    symbols,
                    any_symbol,
                    ..
                },
                Sign::Symbol(name) | Sign::Symbols(name),
            ) => any_symbol.then(|| symbols.contains(name)),
            (Known::Seen { systems, .. }, Sign::FileSystem(name)) => {
                let systems = systems.as_deref()?;
                Some(systems.split_ascii_whitespace().any(|word| word == name))
            }
            (Known::Seen { files, .. }, Sign::File(name)) => Some(files.contains(name)),
        }
    }
}

/// Options that are built in, or modules.
fn set(input: impl BufRead) -> HashSet<String> {
    let mut lines = Lines::new(input);
    let mut set = HashSet::new();
    while let Ok(Some(line)) = lines.read() {
        let line = String::from_utf8_lossy(line);
        let option = line.strip_prefix("CONFIG_");
        if let Some((name, "y" | "m")) = option.and_then(|line| line.split_once('=')) {
            set.insert(name.to_owned());
        }
    }
    set
}

/// What can be seen without a configuration.
fn seen(machine: &Machine) -> Config {
    let options = || NEEDED.iter().chain(USEFUL.iter().map(|(option, _)| option));
    let mut symbols = HashSet::new();
    let mut any_symbol = false;
    if let Ok(file) = File::open(machine.path("/proc/kallsyms")) {
        let mut lines = Lines::new(BufReader::with_capacity(256 << 10, file.take(LONGEST)));
        while let Ok(Some(line)) = lines.read() {
            let line = String::from_utf8_lossy(line);
            // Of modules' symbols the name of the module comes last.
            let Some(symbol) = line.split_ascii_whitespace().nth(2) else {
                continue;
            };
            any_symbol = true;
            symbols.extend(options().filter_map(|option| match option.sign {
                Sign::Symbol(name) if name == symbol => Some(name),
                Sign::Symbols(start) if symbol.starts_with(start) => Some(start),
                _ => None,
            }));
        }
    }
    let files = options().filter_map(|option| match option.sign {
        Sign::File(name) if machine.has(name) => Some(name),
        _ => None,
    });
    Config {
        source: "what the kernel shows, as there is no configuration to be read".to_owned(),
        known: Known::Seen {
            symbols,
            any_symbol,
            systems: machine.read("/proc/filesystems").ok(),
            files: files.collect(),
        },
    }
}
