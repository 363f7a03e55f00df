// SPDX-License-Identifier: GPL-2.0

//! What can be read: a recording of `pinowner record`, the text of a trace, compressed or not, also
//! as `perf script` prints it, and `trace.dat` of `trace-cmd record`.

use crate::event::Line;
use crate::exit::{Exit, Failure};
use crate::gather::Gatherer;
use crate::lines::Lines;
use crate::recording::{self, FORMAT, Section};
use crate::story::Findings;
use anyhow::{Context, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

/// The name that stands for standard input.
pub const STDIN: &str = "-";

const BUFFER: usize = 256 << 10;
const GZIP: &[u8] = &[0x1f, 0x8b];
const TRACE_DAT: &[u8] = b"\x17\x08\x44tracing";
const PERF_DATA: &[&[u8]] = &[b"PERFILE2", b"2ELIFREP"];
/// As many bytes tell what it is.
const MAGIC: u64 = 10;
/// Lines within which a trace shows that it is one.
const PATIENCE: u64 = 100_000;

fn foreign(sentence: String) -> anyhow::Error {
    Failure::new(Exit::Foreign, sentence).into()
}

fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("{} cannot be opened", path.display()))
}

/// One that knows the stacks of a saved table `stacks`, or of that of the running kernel: those of a
/// trace that has handles only.
///
/// # Errors
///
/// What reading the file says.
pub fn stacks(path: &Path) -> Result<Gatherer> {
    let mut gatherer = Gatherer::new();
    let mut lines = Lines::new(BufReader::with_capacity(BUFFER, open(path)?));
    while let Some(line) = lines
        .read()
        .with_context(|| format!("{} cannot be read", path.display()))?
    {
        gatherer.section_line(Section::Stacks, line);
    }
    Ok(gatherer)
}

/// Reads a file, or standard input, whatever it is.
///
/// # Errors
///
/// [`Exit::Foreign`] if it is nothing that can be read here, and what opening it says.
pub fn read(path: &Path, gatherer: Gatherer) -> Result<Findings> {
    let shown = path.display();
    if path == Path::new(STDIN) {
        return read_from(io::stdin().lock(), "standard input", None, gatherer);
    }
    read_from(open(path)?, &shown.to_string(), Some(path), gatherer)
}

/// Reads an input, which is that file if it is one.
///
/// # Errors
///
/// As in [`read`].
pub fn read_from(
    mut input: impl Read,
    shown: &str,
    path: Option<&Path>,
    gatherer: Gatherer,
) -> Result<Findings> {
    let mut magic = Vec::new();
    input
        .by_ref()
        .take(MAGIC)
        .read_to_end(&mut magic)
        .with_context(|| format!("{shown} cannot be read"))?;
    if magic.is_empty() {
        return Err(foreign(format!("{shown} is empty")));
    }
    if magic.starts_with(TRACE_DAT) {
        let path = path.ok_or_else(|| {
            foreign("a trace.dat can be read from a file only, not from standard input".into())
        })?;
        return trace_dat(path, gatherer);
    }
    if PERF_DATA.iter().any(|perf| magic.starts_with(perf)) {
        return Err(foreign(format!(
            "{shown} is of perf record: give \"perf script -i {shown}\" to \"pinowner report -\""
        )));
    }
    let is_gzip = magic.starts_with(GZIP);
    let input = io::Cursor::new(magic).chain(input);
    if is_gzip {
        let input = MultiGzDecoder::new(BufReader::with_capacity(BUFFER, input));
        lines(BufReader::with_capacity(BUFFER, input), shown, gatherer)
    } else {
        lines(BufReader::with_capacity(BUFFER, input), shown, gatherer)
    }
}

/// Reads text: a recording or a trace.
fn lines(input: impl BufRead, shown: &str, gatherer: Gatherer) -> Result<Findings> {
    let mut lines = Lines::new(input);
    let first = match lines.read() {
        Ok(line) => line.unwrap_or_default().to_owned(),
        Err(error) if is_damage(&error) => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("{shown} cannot be read")),
    };
    match recording::format_of(&first) {
        Some(FORMAT) => sections(lines, shown, gatherer),
        Some(format) => Err(foreign(format!(
            "{shown} is a recording of format {format}, and this pinowner knows {FORMAT} only"
        ))),
        None => trace(&first, lines, shown, gatherer),
    }
}

/// Compressed data that ends or is wrong somewhere; what comes before is good.
fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | InvalidData | InvalidInput)
}

/// The sections of a recording.
fn sections(
    mut lines: Lines<impl BufRead>,
    shown: &str,
    mut gatherer: Gatherer,
) -> Result<Findings> {
    let mut section = Section::Unknown;
    loop {
        match lines.read() {
            Ok(Some(line)) => match Section::begun_by(line) {
                Some(begun) => {
                    section = begun;
                    gatherer.begin(section);
                }
                None => gatherer.section_line(section, line),
            },
            Ok(None) => break,
            Err(error) if is_damage(&error) => {
                section = Section::Unknown;
                break;
            }
            Err(error) => return Err(error).with_context(|| format!("{shown} cannot be read")),
        }
    }
    if section != Section::End {
        gatherer.cut_off();
    }
    Ok(gatherer.finish())
}

/// The text of a trace.
fn trace(
    first: &[u8],
    mut lines: Lines<impl BufRead>,
    shown: &str,
    mut gatherer: Gatherer,
) -> Result<Findings> {
    let is_heading = |line: &[u8]| line.starts_with(b"# tracer:") || line.starts_with(b"cpus=");
    let mut is_trace = is_heading(first);
    let mut others = 0;
    is_trace |= !matches!(gatherer.trace_line(first), Line::Other(_) | Line::Comment);
    loop {
        match lines.read() {
            Ok(Some(line)) => {
                let heading = !is_trace && is_heading(line);
                let what = gatherer.trace_line(line);
                is_trace |= heading || !matches!(what, Line::Other(_) | Line::Comment);
                others += 1;
            }
            Ok(None) => break,
            Err(error) if is_damage(&error) => {
                gatherer.cut_off();
                break;
            }
            Err(error) => return Err(error).with_context(|| format!("{shown} cannot be read")),
        }
        if !is_trace && others > PATIENCE {
            break;
        }
    }
    if !is_trace {
        return Err(foreign(format!(
            "{shown} is neither a recording of pinowner nor a trace with events of page_pin_owner"
        )));
    }
    Ok(gatherer.finish())
}

/// What `trace-cmd` makes of its file.
fn trace_dat(path: &Path, gatherer: Gatherer) -> Result<Findings> {
    let shown = path.display();
    let child = Command::new("trace-cmd")
        .args(["report", "-t", "-i"])
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(foreign(format!(
                "{shown} is of trace-cmd, which is needed to read it and is not installed"
            )));
        }
        Err(error) => return Err(error).context("trace-cmd cannot be started"),
    };
    let Some(output) = child.stdout.take() else {
        return Err(foreign("trace-cmd prints nothing".into()));
    };
    let output = BufReader::with_capacity(BUFFER, output);
    let findings = lines(output, &shown.to_string(), gatherer);
    let status = child.wait().context("trace-cmd is gone")?;
    if !status.success() {
        return Err(foreign(format!(
            "trace-cmd cannot read {shown}: it ended with {status}"
        )));
    }
    findings
}
