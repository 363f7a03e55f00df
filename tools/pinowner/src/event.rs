// SPDX-License-Identifier: GPL-2.0

//! The module's events, and one line of a trace as `trace`, `trace_pipe`, `trace-cmd report` and
//! `perf script` print it. Nothing is copied: what is parsed borrows from the line.
//!
//! A line is read from its end: what the kernel prints there has no blanks in it, while the name of
//! a task, at its beginning, may be anything.

use memchr::memmem;
use std::str::from_utf8;
use std::sync::LazyLock;

/// A folio was marked, or a marked one began to fail once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report<'a> {
    /// The folio's first page.
    pub pfn: u64,
    /// Names of the page's flags, `|` between them.
    pub flags: &'a str,
    /// References it had.
    pub count: i32,
    /// Times it is mapped.
    pub mapcount: i32,
    /// What it caches, hashed.
    pub mapping: &'a str,
    /// Migrate type of its page block.
    pub mt: i32,
    /// Why it was to be moved.
    pub reason: &'a str,
    /// What the function that failed returned.
    pub err: i32,
    /// How far the attempt came.
    pub stage: &'a str,
    /// References that the kernel accounts for.
    pub expected: i32,
    /// The folio has 2^order pages.
    pub order: u32,
    /// Handle of the attempt's stack; 0 if it was lost.
    pub stack: u32,
    /// What the kernel made of a hard memory error.
    pub result: Option<&'a str>,
}

/// A reference to a marked folio was dropped. The figures are those after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put<'a> {
    /// The folio's first page.
    pub pfn: u64,
    /// Names of the page's flags, `|` between them.
    pub flags: &'a str,
    /// References left.
    pub count: i32,
    /// Times it is mapped.
    pub mapcount: i32,
    /// What it caches, hashed.
    pub mapping: &'a str,
    /// Migrate type of its page block.
    pub mt: i32,
    /// Why it was to be moved.
    pub reason: &'a str,
    /// How far the attempt came.
    pub stage: &'a str,
    /// References dropped.
    pub refs: i32,
    /// Microseconds since the folio was marked.
    pub age_us: u64,
    /// The last reference was dropped.
    pub last: bool,
    /// Handle of the put's stack; 0 if it was lost.
    pub stack: u32,
}

/// The story of a marked folio ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Free<'a> {
    /// The folio's first page.
    pub pfn: u64,
    /// Why it was to be moved.
    pub reason: &'a str,
    /// How far the attempt came.
    pub stage: &'a str,
    /// Puts seen in all.
    pub puts: u32,
    /// Microseconds since the folio was marked.
    pub age_us: u64,
    /// How it ended.
    pub cause: &'a str,
}

/// One of the three events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// `report_page_pinners`
    Report(Report<'a>),
    /// `page_pin_owner_put`
    Put(Put<'a>),
    /// `page_pin_owner_free`
    Free(Free<'a>),
}

impl Event<'_> {
    /// Handle of its stack; 0 if it has none, or that was lost.
    pub fn stack(&self) -> u32 {
        match self {
            Event::Report(report) => report.stack,
            Event::Put(put) => put.stack,
            Event::Free(_) => 0,
        }
    }
}

/// Whose event it is, where and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The task's name, which may be any bytes.
    pub comm: &'a [u8],
    /// The task's number.
    pub pid: u32,
    /// The processor.
    pub cpu: u32,
    /// Nanoseconds by the clock of the trace; with a clock that only counts, its count.
    pub time_ns: u64,
    /// `time_ns` is the count of a clock that only counts.
    pub is_count: bool,
    /// Interrupts, preemption and the like; empty where they are not printed.
    pub flags: &'a [u8],
}

/// What an event and the stack that the kernel prints for it have in common, and no event that
/// comes between the two: those are of other processors, or of an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Context {
    cpu: u32,
    pid: u32,
    flags: [u8; 8],
}

impl Header<'_> {
    /// Where it happened.
    pub fn context(&self) -> Context {
        let mut flags = [0; 8];
        for (to, from) in flags.iter_mut().zip(self.flags) {
            *to = *from;
        }
        Context {
            cpu: self.cpu,
            pid: self.pid,
            flags,
        }
    }
}

/// What a line of a trace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// One of the module's events.
    Event(Header<'a>, Event<'a>),
    /// Begins like one and cannot be read: cut off, or not what this program knows.
    Broken,
    /// The kernel's stack of an event follows: the last one of this [`Context`].
    StackBegins(Header<'a>),
    /// A frame of that: function, and offset if that is printed.
    Frame(&'a str),
    /// Events were lost here; how many, if the kernel knows.
    Lost(Option<u64>),
    /// How many events the buffer of the trace has, and how many were written to it: the
    /// difference was lost.
    Written {
        /// Those that are there.
        there: u64,
        /// Those that were ever written.
        written: u64,
    },
    /// Another comment of the trace's heading, or of what recorded it.
    Comment,
    /// Something else: another event, with its header; or no trace at all.
    Other(Option<Header<'a>>),
}

static PFN: LazyLock<memmem::FinderRev<'static>> =
    LazyLock::new(|| memmem::FinderRev::new(" pfn=0x"));

impl<'a> Line<'a> {
    /// Reads a line, with its end or without.
    pub fn parse(line: &'a [u8]) -> Self {
        let line = line.trim_ascii_end();
        if let Some(at) = PFN.rfind(line) {
            match event(line, at) {
                Parsed::Event(header, event) => return Line::Event(header, event),
                Parsed::Broken => return Line::Broken,
                Parsed::Other => (),
            }
        }
        other(line).unwrap_or_else(|| Line::Other(header_of_other(line)))
    }
}

enum Parsed<'a> {
    Event(Header<'a>, Event<'a>),
    Broken,
    Other,
}

/// An event whose fields begin `at` there.
fn event(line: &[u8], at: usize) -> Parsed<'_> {
    let before = line[..at].trim_ascii_end();
    let Some(before) = before.strip_suffix(b":") else {
        return Parsed::Other;
    };
    let start = before
        .iter()
        .rposition(|&c| c == b' ' || c == b':')
        .map_or(0, |blank| blank + 1);
    let (before, name) = before.split_at(start);
    // perf names the system too.
    let before = before.strip_suffix(b"page_pin_owner:").unwrap_or(before);
    let parse: fn(&str) -> Option<Event<'_>> = match name {
        b"report_page_pinners" => report,
        b"page_pin_owner_put" => put,
        b"page_pin_owner_free" => free,
        _ => return Parsed::Other,
    };
    let fields = from_utf8(&line[at..]).ok();
    match (header(before), fields.and_then(parse)) {
        (Some(header), Some(event)) => Parsed::Event(header, event),
        _ => Parsed::Broken,
    }
}

/// The last word of `text`, and what is before it.
fn last_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.trim_ascii_end();
    let start = text.iter().rposition(|&c| c == b' ').map_or(0, |at| at + 1);
    (!text.is_empty()).then(|| text.split_at(start))
}

/// `COMM-PID (TGID) [CPU] FLAGS TIME:`, of which TGID and FLAGS may be missing.
fn header(text: &[u8]) -> Option<Header<'_>> {
    let (rest, time) = last_word(text)?;
    let time = time.strip_suffix(b":")?;
    let (mut rest, mut word) = last_word(rest)?;
    let mut flags = &b""[..];
    if !word.ends_with(b"]") {
        flags = word;
        (rest, word) = last_word(rest)?;
    }
    let cpu = number(word.strip_prefix(b"[")?.strip_suffix(b"]")?)?;
    let mut task = rest.trim_ascii();
    // "(-----)" or "(    123)", of options/record-tgid.
    if task.ends_with(b")") {
        if let Some(open) = memchr::memrchr(b'(', task) {
            let inside = task[open + 1..task.len() - 1].trim_ascii();
            let is_tgid = inside.iter().all(|c| c.is_ascii_digit() || *c == b'-');
            if is_tgid && !inside.is_empty() {
                task = task[..open].trim_ascii_end();
            }
        }
    }
    // perf has blanks between the two.
    let at = task.iter().rposition(|c| !c.is_ascii_digit())?;
    matches!(task[at], b'-' | b' ').then_some(())?;
    Some(Header {
        comm: task[..at].trim_ascii(),
        pid: u32::try_from(number(&task[at + 1..])?).ok()?,
        cpu: u32::try_from(cpu).ok()?,
        time_ns: time_of(time)?,
        is_count: !time.contains(&b'.'),
        flags,
    })
}

/// That of another event, of which nothing else is known: the first thing that is like one.
fn header_of_other(line: &[u8]) -> Option<Header<'_>> {
    memmem::find_iter(line, b": ").find_map(|at| header(&line[..=at]))
}

fn number(digits: &[u8]) -> Option<u64> {
    from_utf8(digits).ok()?.parse().ok()
}

/// `SECONDS.FRACTION`, or a plain count.
fn time_of(text: &[u8]) -> Option<u64> {
    let Some(dot) = memchr::memchr(b'.', text) else {
        return number(text);
    };
    let (seconds, fraction) = (number(&text[..dot])?, &text[dot + 1..]);
    let digits = u32::try_from(fraction.len()).ok().filter(|&n| n <= 9)?;
    let fraction = number(fraction)?.checked_mul(10u64.pow(9 - digits))?;
    seconds.checked_mul(1_000_000_000)?.checked_add(fraction)
}

/// The fields of a line, `KEY=VALUE` each.
fn fields(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split_ascii_whitespace()
        .filter_map(|word| word.split_once('='))
}

/// A page frame's number, as the kernel prints it or in decimal.
pub fn pfn_of(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn report(text: &str) -> Option<Event<'_>> {
    let mut pfn = None;
    let (mut flags, mut mapping, mut reason, mut stage) = ("", "", None, None);
    let (mut count, mut mapcount, mut mt, mut err, mut expected) = (None, None, None, None, None);
    let (mut order, mut stack, mut result) = (None, None, None);
    for (key, value) in fields(text) {
        match key {
            "pfn" => pfn = pfn_of(value),
            "flags" => flags = value,
            "count" => count = value.parse().ok(),
            "mapcount" => mapcount = value.parse().ok(),
            "mapping" => mapping = value,
            "mt" => mt = value.parse().ok(),
            "reason" => reason = Some(value),
            "err" => err = value.parse().ok(),
            "stage" => stage = Some(value),
            "expected" => expected = value.parse().ok(),
            "order" => order = value.parse().ok(),
            "stack" => stack = value.parse().ok(),
            "result" => result = Some(value),
            _ => (),
        }
    }
    Some(Event::Report(Report {
        pfn: pfn?,
        flags,
        count: count?,
        mapcount: mapcount?,
        mapping,
        mt: mt?,
        reason: reason?,
        err: err?,
        stage: stage?,
        expected: expected?,
        order: order?,
        stack: stack?,
        result,
    }))
}

fn put(text: &str) -> Option<Event<'_>> {
    let mut pfn = None;
    let (mut flags, mut mapping, mut reason, mut stage) = ("", "", None, None);
    let (mut count, mut mapcount, mut mt) = (None, None, None);
    let (mut refs, mut age_us, mut last, mut stack) = (None, None, None, None);
    for (key, value) in fields(text) {
        match key {
            "pfn" => pfn = pfn_of(value),
            "flags" => flags = value,
            "count" => count = value.parse().ok(),
            "mapcount" => mapcount = value.parse().ok(),
            "mapping" => mapping = value,
            "mt" => mt = value.parse().ok(),
            "reason" => reason = Some(value),
            "stage" => stage = Some(value),
            "refs" => refs = value.parse().ok(),
            "age_us" => age_us = value.parse().ok(),
            "last" => last = Some(value != "0"),
            "stack" => stack = value.parse().ok(),
            _ => (),
        }
    }
    Some(Event::Put(Put {
        pfn: pfn?,
        flags,
        count: count?,
        mapcount: mapcount?,
        mapping,
        mt: mt?,
        reason: reason?,
        stage: stage?,
        refs: refs?,
        age_us: age_us?,
        last: last?,
        stack: stack?,
    }))
}

fn free(text: &str) -> Option<Event<'_>> {
    let (mut pfn, mut reason, mut stage) = (None, None, None);
    let (mut puts, mut age_us, mut cause) = (None, None, None);
    for (key, value) in fields(text) {
        match key {
            "pfn" => pfn = pfn_of(value),
            "reason" => reason = Some(value),
            "stage" => stage = Some(value),
            "puts" => puts = value.parse().ok(),
            "age_us" => age_us = value.parse().ok(),
            "cause" => cause = Some(value),
            _ => (),
        }
    }
    Some(Event::Free(Free {
        pfn: pfn?,
        reason: reason?,
        stage: stage?,
        puts: puts?,
        age_us: age_us?,
        cause: cause?,
    }))
}

/// What is no event of the module's.
fn other(line: &[u8]) -> Option<Line<'_>> {
    let text = line.trim_ascii_start();
    if let Some(frame) = text.strip_prefix(b"=> ") {
        let name = frame.split(|&c| c == b' ').next()?;
        return Some(Line::Frame(from_utf8(name).ok()?));
    }
    if line.starts_with(b"#") {
        return Some(written(line).unwrap_or(Line::Comment));
    }
    // trace-cmd calls it so, and has the first frame on the same line.
    let before = line.strip_suffix(b"<stack trace>");
    let before = before.or_else(|| Some(&line[..memmem::find(line, b" kernel_stack: ")?]));
    if let Some(header) = before.and_then(header) {
        return Some(Line::StackBegins(header));
    }
    // "cpus=2" and what trace-cmd says of the events' formats
    if line.is_empty() || line.starts_with(b"cpus=") || line.starts_with(b"version =") {
        return Some(Line::Comment);
    }
    lost(line)
}

/// `# entries-in-buffer/entries-written: 140080/250280   #P:4`
fn written(line: &[u8]) -> Option<Line<'_>> {
    let text = from_utf8(line).ok()?;
    let figures = text.strip_prefix("# entries-in-buffer/entries-written: ")?;
    let (there, written) = figures.split_ascii_whitespace().next()?.split_once('/')?;
    Some(Line::Written {
        there: there.parse().ok()?,
        written: written.parse().ok()?,
    })
}

/// `CPU:1 [LOST 243 EVENTS]`, `CPU:1 [LOST EVENTS]`; trace-cmd's `CPU:1 [243 EVENTS DROPPED]`.
fn lost(line: &[u8]) -> Option<Line<'_>> {
    let text = from_utf8(line).ok()?.strip_prefix("CPU:")?;
    let (_, what) = text.split_once(" [")?;
    let what = what.strip_suffix(']')?;
    let count = if what == "LOST EVENTS" || what == "EVENTS DROPPED" {
        return Some(Line::Lost(None));
    } else if let Some(rest) = what.strip_prefix("LOST ") {
        rest.strip_suffix(" EVENTS")?
    } else {
        what.strip_suffix(" EVENTS DROPPED")?
    };
    Some(Line::Lost(Some(count.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &str = "pfn=0x3f56b reason=contig_range stage=isolate puts=15 age_us=460150 \
        cause=freed";

    /// Header of a line that is `before` the name of an event.
    fn header_of(before: &str) -> Option<Header<'static>> {
        let line = format!("{before} page_pin_owner_free: {FIELDS}");
        match Line::parse(line.leak().as_bytes()) {
            Line::Event(header, Event::Free(free)) => {
                assert_eq!((free.pfn, free.puts, free.cause), (0x3f56b, 15, "freed"));
                Some(header)
            }
            Line::Broken => None,
            other => panic!("{other:?}"),
        }
    }

    fn told(before: &str) -> (String, u32, u32, u64) {
        let h = header_of(before).unwrap();
        let comm = String::from_utf8_lossy(h.comm).into_owned();
        (comm, h.pid, h.cpu, h.time_ns)
    }

    #[test]
    fn headings() {
        let sh = ("sh".to_owned(), 68, 0, 1_494_460_000);
        for before in [
            "              sh-68      [000] .....     1.494460:",
            "              sh-68      [000] d..2.     1.494460:",
            "sh-68 [000] 1.494460:",
            "              sh-68      [000]     1.494460000:",
            "              sh-68      (     68) [000] .....     1.494460:",
            "              sh-68      (-----) [000] .....     1.494460:",
            "              sh    68 [000]     1.494460:  page_pin_owner:",
        ] {
            let before = before.strip_suffix(" page_pin_owner:").unwrap_or(before);
            assert_eq!(told(before), sh, "{before}");
        }
    }

    #[test]
    fn perf_names_the_system() {
        let line =
            format!("sh    68 [001]     1.494460: page_pin_owner:page_pin_owner_free: {FIELDS}");
        let Line::Event(header, Event::Free(_)) = Line::parse(line.as_bytes()) else {
            panic!("{line}");
        };
        assert_eq!((header.comm, header.pid, header.cpu), (&b"sh"[..], 68, 1));
    }

    #[test]
    fn names_of_tasks_may_be_anything() {
        for comm in [
            "a b",
            "a-1",
            "a [000] 1.0:",
            "[001] -5",
            "x (12)",
            "(12)",
            " pfn=0x1",
            "<...>",
            "kworker/u8:1-ev",
            "",
        ] {
            let before = format!("{comm}-7 [003] ..... 2.5:");
            let expected = (comm.trim().to_owned(), 7, 3, 2_500_000_000);
            assert_eq!(told(&before), expected, "{comm}");
        }
    }

    #[test]
    fn clocks_that_only_count() {
        let header = header_of("sh-68 [000] ..... 123456:").unwrap();
        assert_eq!((header.time_ns, header.is_count), (123_456, true));
    }

    #[test]
    fn what_is_cut_off_is_broken() {
        for before in [
            "sh-68 [000] .....",
            "sh-68 [0 ..... 1.0:",
            "sh 1.0:",
            "[000] 1.0:",
        ] {
            assert!(header_of(before).is_none(), "{before}");
        }
        let line = format!("sh-68 [000] ..... 1.0: page_pin_owner_free: {FIELDS}");
        let needed = line.find("cause=").unwrap();
        for end in line.find(" pfn=0x").unwrap() + 7..needed {
            let parsed = Line::parse(&line.as_bytes()[..end]);
            assert_eq!(parsed, Line::Broken, "{}", &line[..end]);
        }
    }

    #[test]
    fn all_fields() {
        let report = "sh-68 [000] ..... 1.0: report_page_pinners: pfn=0x3f56b \
            flags=lru|swapbacked count=2 mapcount=1 mapping=000000007a2fe224 mt=5 \
            reason=hwpoison err=-16 stage=poison expected=1 order=9 stack=1 result=Failed";
        let Line::Event(_, Event::Report(r)) = Line::parse(report.as_bytes()) else {
            panic!();
        };
        let expected = Report {
            pfn: 0x3f56b,
            flags: "lru|swapbacked",
            count: 2,
            mapcount: 1,
            mapping: "000000007a2fe224",
            mt: 5,
            reason: "hwpoison",
            err: -16,
            stage: "poison",
            expected: 1,
            order: 9,
            stack: 1,
            result: Some("Failed"),
        };
        assert_eq!(r, expected);
        let put = "a-1 [1] 1.0: page_pin_owner_put: pfn=0x1 flags= count=1 mapcount=0 \
            mapping=0000000000000000 mt=-1 reason=compaction stage=migrate refs=1024 age_us=7 \
            last=1 stack=0";
        let Line::Event(_, Event::Put(p)) = Line::parse(put.as_bytes()) else {
            panic!();
        };
        assert_eq!(
            (p.refs, p.age_us, p.last, p.stack, p.mt),
            (1024, 7, true, 0, -1)
        );
    }

    #[test]
    fn other_lines() {
        let is = |line: &'static str| Line::parse(line.as_bytes());
        assert_eq!(is(" => folios_put_refs"), Line::Frame("folios_put_refs"));
        assert_eq!(is("\t=> __fput (ffffffff811fd9cb)"), Line::Frame("__fput"));
        // With options/sym-offset
        let frame = "__fput+0x67/0x1f0";
        assert_eq!(is(" => __fput+0x67/0x1f0"), Line::Frame(frame));
        for stack in [
            "  sh-1 [002] ..... 1.0: <stack trace>",
            " sh-1 [002] ..... 1.0: kernel_stack:         \t=> trace_event_raw_event_x",
        ] {
            let Line::StackBegins(header) = is(stack) else {
                panic!("{stack}");
            };
            assert_eq!(
                (header.pid, header.cpu, header.flags),
                (1, 2, &b"....."[..])
            );
        }
        assert_eq!(is("<stack trace>"), Line::Other(None));
        assert_eq!(is("CPU:1 [LOST 243 EVENTS]"), Line::Lost(Some(243)));
        assert_eq!(is("CPU:1 [LOST EVENTS]"), Line::Lost(None));
        assert_eq!(is("CPU:11 [4 EVENTS DROPPED]"), Line::Lost(Some(4)));
        assert_eq!(
            is("# entries-in-buffer/entries-written: 140080/250280   #P:4"),
            Line::Written {
                there: 140_080,
                written: 250_280
            }
        );
        assert_eq!(is("# tracer: nop"), Line::Comment);
        assert_eq!(is(""), Line::Comment);
        for other in [
            " sh-1 [002] 1.0: sched_switch: pfn=0x12",
            " sh-1 [002] 1.0: sched_switch: a-3 [004] 1.0: b",
            " a: b-1 [002] 1.0: x:",
        ] {
            let Line::Other(Some(header)) = is(other) else {
                panic!("{other}");
            };
            assert_eq!((header.pid, header.cpu), (1, 2), "{other}");
        }
        assert_eq!(is("Lorem: ipsum"), Line::Other(None));
    }
}
