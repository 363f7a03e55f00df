// SPDX-License-Identifier: GPL-2.0

//! The file that `pinowner record` writes: text, compressed with gzip, so that `zcat` shows it.
//!
//! ```text
//! pinowner recording 1
//! [meta]                    key=value: kernel, module, host, command, filters, clock...
//! [events]                  lines of trace_pipe as they come
//! [stacks]                  stacks that are new since, as in the table `stacks`
//! [tasks]                   names of tasks that their events do not have: PID NAME
//! [events] ...              and so on, each second
//! [stacks] [marked] [holders] [ledger] [watch] [stats]    the tables at the end
//! [page_owner]              records of page_owner, of folios that are marked still
//! [lost]                    events=N: those that the buffers of the trace lost; those of the
//!                           module's counters lost_* that grew, and by how much
//! [end]                     the command's status; without it the recording is cut off
//! ```
//!
//! A section that is not known is passed over, so that later versions can add some; what changes
//! those that are here has another number in the first line.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write};
use std::str::from_utf8;

/// The format's number.
pub const FORMAT: u32 = 1;

const FIRST_LINE: &[u8] = b"pinowner recording ";

/// What a line is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// How it was recorded.
    Meta,
    /// Events.
    Events,
    /// The table `stacks`.
    Stacks,
    /// Names of tasks.
    Tasks,
    /// The table `marked`.
    Marked,
    /// The table `holders`.
    Holders,
    /// The table `ledger`.
    Ledger,
    /// What is watched.
    Watch,
    /// The table `stats`.
    Stats,
    /// Records of page_owner.
    PageOwner,
    /// What was lost meanwhile.
    Lost,
    /// The end.
    End,
    /// Of a later version.
    Unknown,
}

impl Section {
    const NAMES: [(Section, &'static str); 12] = [
        (Section::Meta, "meta"),
        (Section::Events, "events"),
        (Section::Stacks, "stacks"),
        (Section::Tasks, "tasks"),
        (Section::Marked, "marked"),
        (Section::Holders, "holders"),
        (Section::Ledger, "ledger"),
        (Section::Watch, "watch"),
        (Section::Stats, "stats"),
        (Section::PageOwner, "page_owner"),
        (Section::Lost, "lost"),
        (Section::End, "end"),
    ];

    fn name(self) -> &'static str {
        let known = Section::NAMES.iter().find(|(section, _)| *section == self);
        known.map_or("unknown", |(_, name)| name)
    }

    /// The section that begins with this line, if one does.
    pub fn begun_by(line: &[u8]) -> Option<Self> {
        let name = line.strip_prefix(b"[")?.strip_suffix(b"]")?;
        let known = Section::NAMES.iter().find(|(_, n)| n.as_bytes() == name);
        Some(known.map_or(Section::Unknown, |(section, _)| *section))
    }
}

/// The format's number, if this is the first line of a recording.
pub fn format_of(first_line: &[u8]) -> Option<u32> {
    let number = first_line.strip_prefix(FIRST_LINE)?;
    from_utf8(number).ok()?.parse().ok()
}

/// Writes a recording.
pub struct Writer<W: Write> {
    out: GzEncoder<W>,
    section: Option<Section>,
}

impl<W: Write> Writer<W> {
    /// Begins one.
    ///
    /// # Errors
    ///
    /// What writing says, as in all that follow.
    pub fn new(out: W) -> io::Result<Self> {
        let mut out = GzEncoder::new(out, Compression::fast());
        out.write_all(FIRST_LINE)?;
        writeln!(out, "{FORMAT}")?;
        Ok(Writer { out, section: None })
    }

    /// Adds a line, which may not have its end, to a section.
    ///
    /// # Errors
    ///
    /// What writing says.
    pub fn line(&mut self, section: Section, line: &[u8]) -> io::Result<()> {
        self.begin(section)?;
        // A task may have any name, also that of a section.
        if Section::begun_by(line).is_some() {
            self.out.write_all(b" ")?;
        }
        self.out.write_all(line)?;
        self.out.write_all(b"\n")
    }

    /// Adds `key=value`, on one line whatever the value is.
    ///
    /// # Errors
    ///
    /// What writing says.
    pub fn pair(&mut self, section: Section, key: &str, value: &str) -> io::Result<()> {
        let line = format!("{key}={value}").replace(['\n', '\r'], " ");
        self.line(section, line.as_bytes())
    }

    /// Adds all lines of a table.
    ///
    /// # Errors
    ///
    /// What writing says.
    pub fn table(&mut self, section: Section, text: &[u8]) -> io::Result<()> {
        self.begin(section)?;
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        if text.is_empty() {
            return Ok(());
        }
        text.split(|&c| c == b'\n')
            .try_for_each(|line| self.line(section, line))
    }

    fn begin(&mut self, section: Section) -> io::Result<()> {
        if self.section != Some(section) {
            self.section = Some(section);
            writeln!(self.out, "[{}]", section.name())?;
        }
        Ok(())
    }

    /// Brings all so far into the file, so that it can be read however this program ends.
    ///
    /// # Errors
    ///
    /// What writing says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Ends it. What is written is returned.
    ///
    /// # Errors
    ///
    /// What writing says.
    pub fn finish(mut self) -> io::Result<W> {
        self.begin(Section::End)?;
        self.out.finish()
    }
}
