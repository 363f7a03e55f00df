// SPDX-License-Identifier: GPL-2.0

//! The module's tables, read all the time: each line has to be one, whole.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Error, Result, bail, ensure};
use nix::errno::Errno;

use super::{DEBUGFS, Load, Worker};

/// What a reader may be told while the module comes and goes.
const GONE: &[Errno] = &[Errno::ENOENT, Errno::ENXIO, Errno::ENODEV, Errno::EIO];

pub(super) const LOAD: Load = Load {
    name: "tables",
    acts: &[
        "stats",
        "marked",
        "holders",
        "stacks",
        "watch",
        "ledger",
        "reference",
        "paragraph",
        "frame",
    ],
    run,
};

/// They, and what is only in the ledger.
const TABLES: &[&str] = &[
    "stats",
    "marked",
    "holders",
    "watch",
    "stacks",
    "ledger",
    "reference",
];

/// What a value looks like.
#[derive(Clone, Copy)]
enum Form {
    Number,
    /// With a sign, maybe
    Signed,
    Hex,
    /// Letters, underscores, and digits
    Name,
    /// Names, with commas
    Names,
    /// What is printable, no space
    Graphic,
    /// A number, or "lost"
    Handle,
}

use Form::{Graphic, Handle, Hex, Name, Names, Number, Signed};

const MARKED: &[(&str, Form)] = &[
    ("pfn", Hex),
    ("order", Number),
    ("reason", Name),
    ("stage", Name),
    ("err", Signed),
    ("attempts", Number),
    ("count", Signed),
    ("expected", Signed),
    ("puts", Number),
    ("refs", Number),
    ("age_us", Number),
    ("last_us", Number),
    ("pid", Number),
    ("comm", Graphic),
    ("stack", Handle),
];
const RESULT: &[(&str, Form)] = &[("result", Name)];
const PUT: &[(&str, Form)] = &[
    ("put_pid", Number),
    ("put_comm", Graphic),
    ("put_stack", Handle),
];
const TORN: &[(&str, Form)] = &[("torn", Number)];
const HOLDERS: &[(&str, Form)] = &[
    ("folios", Number),
    ("puts", Number),
    ("reasons", Names),
    ("age_min_us", Number),
    ("age_avg_us", Number),
    ("age_max_us", Number),
    ("pid", Number),
    ("comm", Graphic),
];
/// Of a stack that only references which are held for long come from
const UNPUT: &[(&str, Form)] = &[("folios", Number), ("puts", Number), ("long", Number)];
const LONG: &[(&str, Form)] = &[("long", Number)];
const HOLDER: &[(&str, Form)] = &[("class", Name), ("stack", Number)];
const RANGE: &[(&str, Form)] = &[("pfn", Hex), ("pages", Number)];
const LEDGER: &[(&str, Form)] = &[
    ("pfn", Hex),
    ("order", Number),
    ("count", Signed),
    ("expected", Signed),
    ("reason", Name),
    ("refs", Number),
    ("pin", Number),
    ("sure", Name),
    ("age_ms", Number),
    ("long", Number),
    ("pid", Signed),
    ("comm", Graphic),
    ("owner", Handle),
    ("class", Name),
    ("stack", Handle),
];
const MISSED: &[(&str, Form)] = &[("missed", Number)];
const FULL: &[(&str, Form)] = &[("full", Number)];
const OFF: &[(&str, Form)] = &[("off", Signed)];
const LOST: &[(&str, Form)] = &[("puts", Number), ("stack", Handle)];
const STACKS: &[(&str, Form)] = &[("stack", Number), ("hits", Number)];

/// All of them, in their order.
const FIGURES: &[&str] = &[
    "attached",
    "armed",
    "marks",
    "max_marks",
    "marked",
    "repeated",
    "reports",
    "freed",
    "unpinned",
    "expired",
    "evicted",
    "forgotten",
    "puts",
    "known_stacks",
    "stacks",
    "lost_marks_full",
    "lost_marks_blocks",
    "lost_marks_nomem",
    "lost_marks_range",
    "lost_marks_at_once",
    "lost_tried",
    "lost_reports",
    "lost_nested",
    "lost_put_stacks",
    "lost_unarmed_puts",
    "lost_stacks",
    "lost_calls",
    "mark_bytes",
    "reserve_bytes",
    "depot_bytes",
    "depot_wasted_bytes",
    "depot_cap_bytes",
    "watched_pages",
    "ledger_bytes",
    "ledger_page_bytes",
    "ledger_cap_bytes",
    "untold_gets",
    "untold_puts",
    "lost_changes",
];

fn run(worker: &mut Worker) -> Result<()> {
    while worker.go(20) {
        let (table, parse): (_, fn(&Worker, &str) -> Result<()>) = match worker.draw(TABLES) {
            "stats" => ("stats", |_, text| Stats::parse(text).map(drop)),
            "marked" => ("marked", marked),
            "holders" => ("holders", holders),
            "watch" => ("watch", watch),
            "stacks" => ("stacks", stacks),
            _ => ("ledger", ledger),
        };
        let text = fs::read_to_string(format!("{DEBUGFS}/{table}"));
        if let Some(text) = worker.tally.tried(table, text, GONE) {
            if let Err(error) = parse(worker, &text) {
                worker.tally.complain(format!("{table}: {error:#}"));
            }
        }
    }
    Ok(())
}

/// The module's figures.
#[derive(Default)]
pub(super) struct Stats(pub(super) BTreeMap<String, u64>);

/// Reads them.
pub(super) fn stats() -> Result<Stats> {
    let text = fs::read_to_string(format!("{DEBUGFS}/stats"))?;
    Stats::parse(&text)
}

impl Stats {
    fn parse(text: &str) -> Result<Self> {
        // The one word among figures; any other one is a bug of the module.
        let figures = text.replacen("\nbroken=none\n", "\n", 1);
        let lines: Vec<_> = figures.trim_end_matches('\n').split('\n').collect();
        ensure!(
            lines.len() == FIGURES.len(),
            "{} lines: {text}",
            lines.len()
        );
        let mut all = BTreeMap::new();
        for (line, name) in lines.iter().zip(FIGURES) {
            let value = line
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('='));
            let value = value.with_context(|| format!("'{line}' is not {name}"))?;
            all.insert(
                (*name).to_owned(),
                value.parse().with_context(|| (*line).to_owned())?,
            );
        }
        Ok(Self(all))
    }

    /// One of them, 0 if there are none.
    pub(super) fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }
}

fn marked(worker: &Worker, text: &str) -> Result<()> {
    for paragraph in paragraphs(text)? {
        let [line] = paragraph[..] else {
            bail!("more than a line: {paragraph:?}");
        };
        let rest = keys(line, MARKED)?;
        let rest = maybe(rest, RESULT)?;
        let rest = maybe(rest, PUT)?;
        nothing(maybe(rest, TORN)?).with_context(|| line.to_owned())?;
        worker.tally.did("paragraph", 1);
    }
    Ok(())
}

fn holders(worker: &Worker, text: &str) -> Result<()> {
    for paragraph in paragraphs(text)? {
        let (line, stack) = paragraph.split_first().context("empty")?;
        if line.starts_with("puts=") {
            nothing(keys(line, LOST)?).with_context(|| (*line).to_owned())?;
            ensure!(stack.is_empty(), "a lost stack has frames: {stack:?}");
        } else {
            holder(line).with_context(|| (*line).to_owned())?;
            frames(worker, stack)?;
        }
        worker.tally.did("paragraph", 1);
    }
    Ok(())
}

fn holder(line: &str) -> Result<()> {
    let rest = match line.starts_with("folios=0 puts=0 long=") {
        true => keys(line, UNPUT)?,
        false => maybe(keys(line, HOLDERS)?, LONG)?,
    };
    nothing(maybe(keys(rest, HOLDER)?, TORN)?)
}

fn watch(worker: &Worker, text: &str) -> Result<()> {
    let mut end = 0;
    for paragraph in paragraphs(text)? {
        let [line] = paragraph[..] else {
            bail!("more than a line: {paragraph:?}");
        };
        nothing(keys(line, RANGE)?).with_context(|| line.to_owned())?;
        let pfn = line
            .strip_prefix("pfn=0x")
            .and_then(|l| l.split(' ').next());
        let pfn = u64::from_str_radix(pfn.context("no pfn")?, 16)?;
        ensure!(pfn >= end, "not in order: {text}");
        end = pfn + 1;
        worker.tally.did("paragraph", 1);
    }
    Ok(())
}

fn ledger(worker: &Worker, text: &str) -> Result<()> {
    for paragraph in paragraphs(text)? {
        let (line, stack) = paragraph.split_first().context("empty")?;
        let rest = maybe(maybe(keys(line, LEDGER)?, MISSED)?, FULL)?;
        let rest = maybe(maybe(rest, OFF)?, TORN)?;
        nothing(rest).with_context(|| (*line).to_owned())?;
        if line.contains(" stack=lost") {
            ensure!(stack.is_empty(), "a lost stack has frames: {stack:?}");
        } else {
            frames(worker, stack)?;
        }
        worker.tally.did("reference", 1);
    }
    Ok(())
}

fn stacks(worker: &Worker, text: &str) -> Result<()> {
    for paragraph in paragraphs(text)? {
        let (line, stack) = paragraph.split_first().context("empty")?;
        nothing(keys(line, STACKS)?).with_context(|| (*line).to_owned())?;
        frames(worker, stack)?;
        worker.tally.did("paragraph", 1);
    }
    Ok(())
}

/// The paragraphs of a table, each of which ends with an empty line.
fn paragraphs(text: &str) -> Result<Vec<Vec<&str>>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let body = text
        .strip_suffix("\n\n")
        .with_context(|| format!("the end is missing: {:?}", text.lines().last()))?;
    Ok(body
        .split("\n\n")
        .map(|part| part.split('\n').collect())
        .collect())
}

/// Frames as in ` symbol+0x1/0x2 [module]`, or ` 00000000c0ffee11 (no symbol)`, which is no
/// address.
fn frames(worker: &Worker, stack: &[&str]) -> Result<()> {
    ensure!(!stack.is_empty(), "a stack without frames");
    for line in stack {
        frame(line).with_context(|| format!("no frame: '{line}'"))?;
        worker.tally.did("frame", 1);
    }
    Ok(())
}

fn frame(line: &str) -> Option<()> {
    let line = line.strip_prefix(' ')?;
    if let Some(hash) = line.strip_suffix(" (no symbol)") {
        let hash = hash.strip_prefix("00000000")?;
        return u32::from_str_radix(hash, 16).is_ok().then_some(());
    }
    let (symbol, module) = line.split_once(' ').unwrap_or((line, "[]"));
    let module = module.strip_prefix('[')?.strip_suffix(']')?;
    let (name, place) = symbol.split_once('+')?;
    let (offset, size) = place.split_once('/')?;
    let good = is(Graphic, name)
        && is(Hex, offset)
        && is(Hex, size)
        && (module.is_empty() || is(Graphic, module));
    good.then_some(())
}

/// Takes these keys, in this order, off a line; what is left.
fn keys<'a>(line: &'a str, wanted: &[(&str, Form)]) -> Result<&'a str> {
    wanted.iter().try_fold(line, |rest, &(key, form)| {
        let trimmed = rest.strip_prefix(' ').unwrap_or(rest);
        let (pair, left) = match trimmed.find(' ') {
            Some(end) => trimmed.split_at(end),
            None => (trimmed, ""),
        };
        let value = pair
            .strip_prefix(key)
            .and_then(|rest| rest.strip_prefix('='));
        match value {
            Some(value) if is(form, value) => Ok(left),
            _ => Err(Error::msg(format!("'{pair}' is no {key} in '{line}'"))),
        }
    })
}

/// The same if the first of them is there.
fn maybe<'a>(rest: &'a str, wanted: &[(&str, Form)]) -> Result<&'a str> {
    let begins = format!(" {}=", wanted[0].0);
    match rest.starts_with(&begins) {
        true => keys(rest, wanted),
        false => Ok(rest),
    }
}

fn nothing(rest: &str) -> Result<()> {
    ensure!(rest.is_empty(), "too much: '{rest}'");
    Ok(())
}

fn is(form: Form, value: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let all = |good: &dyn Fn(char) -> bool| !value.is_empty() && value.chars().all(good);
    match form {
        Number => value.parse::<u64>().is_ok(),
        Signed => value.parse::<i64>().is_ok(),
        Hex => value
            .strip_prefix("0x")
            .is_some_and(|hex| u64::from_str_radix(hex, 16).is_ok()),
        Name => all(&word),
        Names => all(&|c| word(c) || c == ','),
        Graphic => all(&|c| c.is_ascii_graphic()),
        Handle => value == "lost" || value.parse::<u64>().is_ok(),
    }
}
