// SPDX-License-Identifier: GPL-2.0

//! `pinowner record`: traces in an instance of its own, and writes all into one file.

use crate::event::{Event, Line};
use crate::exit::Exit;
use crate::instance::Instance;
use crate::kernel::{self, Kernel};
use crate::lines::Lines;
use crate::names;
use crate::page_owner;
use crate::reasons;
use crate::recording::{Section, Writer};
use crate::say;
use crate::signals::{Ended, Signals};
use crate::tables::{self, Paragraph, Paragraphs};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant, SystemTime};

/// How often events are fetched.
const TICK: Duration = Duration::from_millis(50);
/// How often the file is brought up to date.
const SECOND: Duration = Duration::from_secs(1);
/// Reading the table of stacks may take this part of the time.
const SHARE: u32 = 10;
/// Tasks whose names are looked for at once.
const MOST_UNNAMED: usize = 1 << 12;
/// How long a command that was told to end may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is to be recorded.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only folios that were to be moved for this reason, as in contig_range or memory_hotplug; may
    /// be given more than once
    #[arg(long, value_name = "REASON", value_parser = reason)]
    reason: Vec<String>,
    /// Only folios that begin in this range of pages, decimal or hexadecimal with 0x
    #[arg(long, value_name = "FIRST-LAST", value_parser = pfn_range)]
    pfn: Option<(u64, u64)>,
    /// End after this time, as in 30s or 5m; else with the command, or Ctrl-C
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    time: Option<Duration>,
    /// The file to write; one that is there already is replaced
    #[arg(short, long, value_name = "FILE", default_value = crate::cli::FILE)]
    output: PathBuf,
    /// Room for events, for each processor; the kernel's own default if it is not given
    #[arg(long, value_name = "KIB")]
    buffer_kib: Option<u32>,
    /// Record while this command runs. It may fail: so do allocations
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// A word; the kernel knows which.
fn reason(text: &str) -> Result<String, String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.is_empty() || !text.chars().all(is_word) {
        return Err("a reason is a word, as in contig_range".into());
    }
    Ok(text.to_owned())
}

/// `FIRST-LAST`, or a single page.
fn pfn_range(text: &str) -> Result<(u64, u64), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let pfn = |text| crate::event::pfn_of(text).ok_or("a page is a number, as in 0x91430");
    let (first, last) = (pfn(first)?, pfn(last)?);
    if first > last {
        return Err("the first page comes after the last".into());
    }
    Ok((first, last))
}

impl Arguments {
    /// What the kernel is to leave out; `None` if nothing.
    fn filter(&self) -> Option<String> {
        let reasons: Vec<_> = self
            .reason
            .iter()
            .map(|r| format!("reason == \"{r}\""))
            .collect();
        let reasons = (!reasons.is_empty()).then(|| format!("({})", reasons.join(" || ")));
        let range = self
            .pfn
            .map(|(first, last)| format!("pfn >= {first} && pfn <= {last}"));
        match (reasons, range) {
            (None, None) => None,
            (Some(reasons), Some(range)) => Some(format!("{reasons} && {range}")),
            (one, other) => one.or(other),
        }
    }

    /// What the recording says of itself.
    fn about(&self, instance: &Instance) -> BTreeMap<String, String> {
        let mut about = kernel::describe();
        let mut add = |key: &str, value: String| {
            about.insert(key.to_owned(), value);
        };
        add("pinowner", env!("CARGO_PKG_VERSION").to_owned());
        let now = humantime::format_rfc3339_seconds(SystemTime::now());
        add("started", now.to_string());
        add("clock", instance.clock().unwrap_or_default());
        if !self.command.is_empty() {
            add("command", self.command.join(" "));
        }
        if !self.reason.is_empty() {
            add("reason", self.reason.join(","));
        }
        if let Some((first, last)) = self.pfn {
            add("pfn", format!("0x{first:x}-0x{last:x}"));
        }
        about
    }
}

/// Does it.
///
/// # Errors
///
/// What the kernel, the disk and starting the command say. The instance is gone in any case.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let kernel = Kernel::find()?;
    let signals = Signals::catch().context("signals cannot be caught")?;
    let mut recorder = Recorder::start(kernel, arguments)?;
    let mut work = Work::start(&arguments.command)?;
    let deadline = arguments.time.map(|time| Instant::now() + time);
    if work.child.is_none() && deadline.is_none() && io::stderr().is_terminal() {
        say!("recording until Ctrl-C");
    }
    let recorded = watch(&mut recorder, &mut work, &signals, deadline);
    // Also if there is no room on the disk any more.
    let status = work.end();
    recorded?;
    recorder.finish(status?, arguments)
}

/// Records until the command, the time or the user's patience ends.
fn watch(
    recorder: &mut Recorder,
    work: &mut Work,
    signals: &Signals,
    deadline: Option<Instant>,
) -> Result<()> {
    loop {
        recorder.tick()?;
        let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if work.has_ended()? || is_late || signals.wait(TICK)? == Ended::Yes {
            return Ok(());
        }
    }
}

/// The command that is run meanwhile.
struct Work {
    child: Option<Child>,
    status: Option<ExitStatus>,
}

impl Work {
    fn start(command: &[String]) -> Result<Self> {
        let child = match command.split_first() {
            Some((program, arguments)) => Some(
                Command::new(program)
                    .args(arguments)
                    .spawn()
                    .with_context(|| format!("{program} cannot be started"))?,
            ),
            None => None,
        };
        Ok(Work {
            child,
            status: None,
        })
    }

    fn has_ended(&mut self) -> Result<bool> {
        if let (Some(child), None) = (&mut self.child, self.status) {
            self.status = child.try_wait().context("the command is gone")?;
        }
        Ok(self.status.is_some())
    }

    /// Ends it, if that has not come yet: politely, and without waiting for ever.
    fn end(&mut self) -> Result<Option<ExitStatus>> {
        if !self.has_ended()? {
            if let Some(child) = &self.child {
                let pid = i32::try_from(child.id()).context("no process has that number")?;
                let pid = nix::unistd::Pid::from_raw(pid);
                // It may end at this very moment.
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
                let patience = Instant::now() + PATIENCE;
                while !self.has_ended()? {
                    if Instant::now() > patience {
                        say!("the command (pid {pid}) does not end, and is left alone");
                        break;
                    }
                    std::thread::sleep(TICK);
                }
            }
        }
        Ok(self.status)
    }
}

/// What is written, and what of it there is so far. The pipe is closed before the instance is
/// removed, which would be busy else.
struct Recorder {
    pipe: Lines<BufReader<File>>,
    instance: Instance,
    kernel: Kernel,
    out: Writer<File>,
    name: String,
    progress: bool,
    began: Instant,
    brought: Instant,
    /// Handles of stacks that are in the file, or were seen in events and are not.
    known: HashSet<u32>,
    missing: HashSet<u32>,
    /// Tasks whose events came before the kernel kept their names.
    unnamed: HashSet<u32>,
    /// When the table of stacks may be read again.
    stacks_at: Instant,
    stats: BTreeMap<String, u64>,
    events: u64,
    failures: u64,
    lost: u64,
}

/// Begins a recording with what it says of itself.
fn begin(file: File, about: &BTreeMap<String, String>) -> io::Result<Writer<File>> {
    let mut out = Writer::new(file)?;
    for (key, value) in about {
        out.pair(Section::Meta, key, value)?;
    }
    out.flush()?;
    Ok(out)
}

impl Recorder {
    fn start(kernel: Kernel, arguments: &Arguments) -> Result<Self> {
        reasons::check(&kernel.tracefs, &arguments.reason)?;
        let name = arguments.output.display().to_string();
        let instance = Instance::create(&kernel.tracefs)?;
        if let Some(kib) = arguments.buffer_kib {
            instance.set_buffer(kib)?;
        }
        if let Some(filter) = arguments.filter() {
            instance.set_filter(&filter)?;
        }
        let pipe = Lines::new(BufReader::with_capacity(64 << 10, instance.pipe()?));
        let stats = tables::stats(&kernel.table("stats")?);
        // For its owner alone: names of tasks, and of what they do.
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&arguments.output)
            .with_context(|| format!("{name} cannot be written"))?;
        let out = begin(file, &arguments.about(&instance))
            .with_context(|| format!("{name} cannot be written"))?;
        instance.enable()?;
        let now = Instant::now();
        Ok(Recorder {
            pipe,
            instance,
            kernel,
            out,
            name,
            progress: io::stderr().is_terminal(),
            began: now,
            brought: now,
            known: HashSet::new(),
            missing: HashSet::new(),
            unnamed: HashSet::new(),
            stacks_at: now,
            stats,
            events: 0,
            failures: 0,
            lost: 0,
        })
    }

    fn written(&self, result: io::Result<()>) -> Result<()> {
        result.with_context(|| format!("{} cannot be written", self.name))
    }

    /// Takes what events there are; each second brings all else up to date.
    fn tick(&mut self) -> Result<()> {
        self.events(Some(Instant::now() + SECOND))?;
        if self.brought.elapsed() >= SECOND {
            self.brought = Instant::now();
            if Instant::now() >= self.stacks_at {
                self.stacks()?;
            }
            self.tasks()?;
            let flushed = self.out.flush();
            self.written(flushed)?;
            self.show()?;
        }
        Ok(())
    }

    /// Takes events until there are none, or for so long.
    fn events(&mut self, until: Option<Instant>) -> Result<()> {
        loop {
            let line = match self.pipe.read() {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(kernel::failed(&error, "the trace cannot be read")),
            };
            if let Line::Event(header, event) = Line::parse(line) {
                self.events += 1;
                if header.comm == names::UNKNOWN.as_bytes() && self.unnamed.len() < MOST_UNNAMED {
                    self.unnamed.insert(header.pid);
                }
                let stack = match event {
                    Event::Report(report) => {
                        self.failures += 1;
                        report.stack
                    }
                    Event::Put(put) => put.stack,
                    Event::Free(_) => 0,
                };
                if stack != 0 && !self.known.contains(&stack) {
                    self.missing.insert(stack);
                }
            }
            let written = self.out.line(Section::Events, line);
            written.with_context(|| format!("{} cannot be written", self.name))?;
            let is_round = self.events % 1024 == 0;
            if is_round && until.is_some_and(|until| Instant::now() >= until) {
                return Ok(());
            }
        }
    }

    /// Writes the stacks of events that are not in the file yet.
    fn stacks(&mut self) -> Result<()> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let path = self.kernel.tables.join("stacks");
        let file = File::open(&path).map_err(|e| kernel::failed(&e, path.display()))?;
        let mut lines = Lines::new(BufReader::new(file));
        let mut paragraphs = Paragraphs::default();
        loop {
            let line = lines
                .read()
                .map_err(|e| kernel::failed(&e, path.display()))?;
            let is_end = line.is_none();
            let paragraph = match line {
                Some(line) => paragraphs.line(line),
                None => paragraphs.end(),
            };
            if let Some(paragraph) = paragraph {
                let written = self.stack(&paragraph);
                self.written(written)?;
            }
            if is_end {
                break;
            }
        }
        self.stacks_at = Instant::now() + began.elapsed() * SHARE;
        Ok(())
    }

    fn stack(&mut self, paragraph: &Paragraph) -> io::Result<()> {
        let handle = paragraph.handle("stack");
        if !self.missing.remove(&handle) {
            return Ok(());
        }
        self.known.insert(handle);
        let lines = paragraph.to_string();
        self.out.table(Section::Stacks, lines.as_bytes())
    }

    /// Writes the names of those who had none in their events: the kernel keeps a name when its
    /// task next makes room for another one, which may be after the event was read.
    fn tasks(&mut self) -> Result<()> {
        if self.unnamed.is_empty() {
            return Ok(());
        }
        let saved = self.kernel.saved_names()?;
        let found: Vec<_> = self
            .unnamed
            .iter()
            .filter_map(|&pid| {
                let name = saved.get(&pid).cloned();
                Some((pid, name.or_else(|| kernel::name_of(pid))?))
            })
            .collect();
        for (pid, name) in found {
            self.unnamed.remove(&pid);
            let line = [pid.to_string().as_bytes(), &name].join(&b' ');
            let written = self.out.line(Section::Tasks, &line);
            self.written(written)?;
        }
        Ok(())
    }

    fn show(&mut self) -> Result<()> {
        self.lost = self.instance.lost()?;
        if self.progress {
            let mut err = io::stderr();
            let _ = write!(
                err,
                "\r\x1b[K{} s: {} events, {} failures, {} lost ",
                self.began.elapsed().as_secs(),
                self.events,
                self.failures,
                self.lost
            );
            let _ = err.flush();
        }
        Ok(())
    }

    /// Reads the tables, while events are enabled and so folios are marked, and ends the file.
    fn finish(mut self, status: Option<ExitStatus>, arguments: &Arguments) -> Result<Exit> {
        self.instance.pause()?;
        self.events(None)?;
        self.show()?;
        if self.progress {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
        let tables = [
            (Section::Marked, "marked"),
            (Section::Holders, "holders"),
            (Section::Ledger, "ledger"),
            (Section::Watch, "watch"),
        ];
        for (section, name) in tables {
            let table = self.kernel.table(name)?;
            let paragraphs = tables::paragraphs(&table);
            if section == Section::Marked {
                self.owners(&paragraphs)?;
            }
            for paragraph in paragraphs {
                let handles = ["stack", "put_stack", "owner"].map(|key| paragraph.handle(key));
                let new = handles
                    .iter()
                    .filter(|h| **h != 0 && !self.known.contains(*h));
                self.missing.extend(new);
            }
            let written = self.out.table(section, &table);
            self.written(written)?;
        }
        self.stacks()?;
        self.tasks()?;
        let stats = self.kernel.table("stats")?;
        let lost = self.module_lost(&tables::stats(&stats));
        let incomplete = self.lost > 0 || !lost.is_empty();
        let written = self.end(&stats, &lost, status);
        self.written(written)?;
        self.tell(status, &lost, arguments);
        let Recorder {
            out,
            instance,
            pipe,
            name,
            ..
        } = self;
        drop((pipe, instance));
        let file = out.finish().and_then(|file| {
            // A pipe cannot be.
            if file.metadata()?.is_file() {
                file.sync_all()?;
            }
            Ok(())
        });
        file.with_context(|| format!("{name} cannot be written"))?;
        Ok(if incomplete {
            Exit::Incomplete
        } else {
            Exit::Ok
        })
    }

    /// The module's own counters of losses, by how much they grew.
    fn module_lost(&self, now: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
        let lost = now.iter().filter(|(name, _)| name.starts_with("lost_"));
        lost.filter_map(|(name, count)| {
            let before = self.stats.get(name).copied().unwrap_or(0);
            let grown = count.saturating_sub(before);
            (grown > 0).then(|| (name.clone(), grown))
        })
        .collect()
    }

    /// Who allocated what is marked, where the kernel knows that.
    fn owners(&mut self, marked: &[Paragraph]) -> Result<()> {
        let debugfs = self.kernel.tables.parent().map(ToOwned::to_owned);
        for record in page_owner::records(&debugfs.unwrap_or_default(), marked) {
            // They end with an empty line; this one is sure to.
            let record = format!("{}\n\n", record.trim_end());
            let written = self.out.table(Section::PageOwner, record.as_bytes());
            self.written(written)?;
        }
        Ok(())
    }

    fn end(
        &mut self,
        stats: &[u8],
        lost: &BTreeMap<String, u64>,
        status: Option<ExitStatus>,
    ) -> io::Result<()> {
        self.out.table(Section::Stats, stats)?;
        let events = self.lost.to_string();
        self.out.pair(Section::Lost, "events", &events)?;
        for (name, count) in lost {
            self.out.pair(Section::Lost, name, &count.to_string())?;
        }
        let now = humantime::format_rfc3339_seconds(SystemTime::now());
        self.out.pair(Section::End, "ended", &now.to_string())?;
        if let Some(status) = status {
            self.out.pair(Section::End, "status", &status.to_string())?;
        }
        Ok(())
    }

    fn tell(
        &self,
        status: Option<ExitStatus>,
        lost: &BTreeMap<String, u64>,
        arguments: &Arguments,
    ) {
        if let Some(status) = status.filter(|status| !status.success()) {
            let command = arguments.command.first().map_or("", String::as_str);
            say!("{command} ended with {status}");
        }
        let Recorder {
            events,
            failures,
            name,
            ..
        } = self;
        say!("{events} events, {failures} of them failures, are in {name}");
        if self.lost > 0 {
            let lost = self.lost;
            say!(
                "{lost} events were lost: --buffer-kib makes room, --reason and --pfn leave out some"
            );
        }
        for (name, count) in lost {
            say!("the module could not record all: {name}={count}");
        }
    }
}
