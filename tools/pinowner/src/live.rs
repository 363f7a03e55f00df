// SPDX-License-Identifier: GPL-2.0

//! What the module's tables say at one moment, for `pinowner top`. They are only read: nothing of
//! the tracing changes.

use crate::kernel::failed;
use crate::lines::Lines;
use crate::show::Time;
use crate::story::{Class, Name};
use crate::symbol;
use crate::tables::{self, Paragraph, Paragraphs};
use anyhow::Result;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// As much is read of a table; of a ledger that is longer only what comes first is known.
const LONGEST: u64 = 64 << 20;
/// Functions of a stack that are shown on one line.
const FUNCTIONS: usize = 4;

/// A folio that is marked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folio {
    /// Its first page.
    pub pfn: u64,
    /// It has 2^order pages.
    pub order: u32,
    /// Why it was to be moved.
    pub reason: String,
    /// How far that came.
    pub stage: String,
    /// How often it failed.
    pub attempts: u64,
    /// References more than the kernel accounts for, at the latest failure.
    pub excess: i64,
    /// Puts seen since.
    pub puts: u64,
    /// How old its mark is.
    pub age_us: u64,
    /// How long ago it failed last.
    pub last_us: u64,
    /// Who has references to it, as far as the ledger knows; longest first.
    pub held: Vec<Held>,
    /// Who has put it last.
    pub put_by: Option<String>,
}

/// A reference that was not given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Since when.
    pub age_ms: u64,
    /// By whom.
    pub task: String,
    /// The function that took it, and its callers.
    pub path: String,
}

/// A stack by which folios were put, or that holds some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Whose it is.
    pub class: Class,
    /// Folios in whose story it occurs.
    pub folios: u64,
    /// Puts.
    pub puts: u64,
    /// References that it holds for long.
    pub long: u64,
    /// Average age of the mark at the put.
    pub avg_us: u64,
    /// Greatest age.
    pub max_us: u64,
    /// The last task.
    pub task: String,
    /// The function, and its callers.
    pub path: String,
}

/// All tables.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// What is marked.
    pub folios: Vec<Folio>,
    /// Who puts it, in the order of the table.
    pub holders: Vec<Holder>,
    /// Every counter.
    pub stats: BTreeMap<String, u64>,
    /// What the module says of a bug of its own.
    pub broken: Option<String>,
}

/// By what folios are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Those of which a holder is known first, then those that failed most often.
    #[default]
    Wanted,
    /// Oldest first.
    Age,
    /// Most failures first.
    Attempts,
    /// Most references too many first.
    Excess,
    /// By number.
    Pfn,
}

impl Order {
    /// The next one.
    pub fn next(self) -> Self {
        match self {
            Order::Wanted => Order::Age,
            Order::Age => Order::Attempts,
            Order::Attempts => Order::Excess,
            Order::Excess => Order::Pfn,
            Order::Pfn => Order::Wanted,
        }
    }

    /// For a person.
    pub fn name(self) -> &'static str {
        match self {
            Order::Wanted => "most wanted",
            Order::Age => "age",
            Order::Attempts => "tries",
            Order::Excess => "too many",
            Order::Pfn => "pfn",
        }
    }
}

impl Snapshot {
    /// Reads the tables in that directory.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn read(tables: &Path) -> Result<Self> {
        let mut snapshot = Snapshot::default();
        let stats = crate::kernel::read(&tables.join("stats"))?;
        snapshot.stats = tables::stats(&stats);
        let mut lines = stats.split(|&c| c == b'\n');
        let broken = lines.find_map(|line| line.strip_prefix(b"broken="));
        let broken = broken.filter(|value| *value != b"none");
        snapshot.broken = broken.map(|value| String::from_utf8_lossy(value).into_owned());
        let mut held: HashMap<u64, Vec<Held>> = HashMap::new();
        if snapshot.stat("watched_pages") > 0 {
            each(&tables.join("ledger"), |paragraph| {
                held_by(paragraph, &mut held);
            })?;
        }
        each(&tables.join("marked"), |paragraph| {
            let folio = folio(paragraph).map(|folio| Folio {
                held: held.remove(&folio.pfn).unwrap_or_default(),
                ..folio
            });
            snapshot.folios.extend(folio);
        })?;
        each(&tables.join("holders"), |paragraph| {
            snapshot.holders.extend(holder(paragraph));
        })?;
        Ok(snapshot)
    }

    /// A counter; 0 if there is none of that name.
    pub fn stat(&self, name: &str) -> u64 {
        self.stats.get(name).copied().unwrap_or(0)
    }

    /// Failures so far.
    pub fn failures(&self) -> u64 {
        self.stat("marked").saturating_add(self.stat("repeated"))
    }

    /// What could not be recorded.
    pub fn lost(&self) -> impl Iterator<Item = (&str, u64)> {
        let all = self
            .stats
            .iter()
            .map(|(name, count)| (name.as_str(), *count));
        all.filter(|(name, count)| name.starts_with("lost_") && *count > 0)
    }

    /// Puts the folios in this order.
    pub fn sort(&mut self, order: Order) {
        use std::cmp::Reverse;
        match order {
            Order::Wanted => self.folios.sort_by_key(|f| {
                let held_ms = f.held.first().map(|held| held.age_ms);
                (
                    Reverse(held_ms),
                    Reverse(f.attempts),
                    Reverse(f.age_us),
                    f.pfn,
                )
            }),
            Order::Age => self.folios.sort_by_key(|f| (Reverse(f.age_us), f.pfn)),
            Order::Attempts => self.folios.sort_by_key(|f| (Reverse(f.attempts), f.pfn)),
            Order::Excess => self.folios.sort_by_key(|f| (Reverse(f.excess), f.pfn)),
            Order::Pfn => self.folios.sort_by_key(|f| f.pfn),
        }
    }
}

/// Gives each paragraph of a table to `tell`.
fn each(path: &Path, mut tell: impl FnMut(&Paragraph)) -> Result<()> {
    let shown = || path.display().to_string();
    let file = File::open(path).map_err(|e| failed(&e, shown()))?;
    let mut lines = Lines::new(BufReader::with_capacity(64 << 10, file.take(LONGEST)));
    let mut paragraphs = Paragraphs::default();
    while let Some(line) = lines.read().map_err(|e| failed(&e, shown()))? {
        if let Some(paragraph) = paragraphs.line(line) {
            tell(&paragraph);
        }
    }
    if let Some(paragraph) = paragraphs.end() {
        tell(&paragraph);
    }
    Ok(())
}

fn task(p: &Paragraph, comm: &str, pid: &str) -> Option<String> {
    Some(format!("{}:{}", shown(p.get(comm)?), p.number::<i64>(pid)?))
}

/// Without what a terminal would take for a command.
fn shown(word: &str) -> String {
    word.replace(|c: char| c.is_control() || !c.is_ascii(), "_")
}

/// The functions of a stack that say something.
fn path(p: &Paragraph) -> String {
    let frames: Vec<Name> = p.frames.iter().map(|frame| shown(frame).into()).collect();
    let telling = symbol::telling(&frames).iter().take(FUNCTIONS);
    let functions: Vec<_> = telling.map(|frame| symbol::function(frame)).collect();
    functions.join(" < ")
}

fn folio(p: &Paragraph) -> Option<Folio> {
    let count = p.number("count").unwrap_or(0i64);
    Some(Folio {
        pfn: p.pfn()?,
        order: p.number("order").unwrap_or(0),
        reason: shown(p.get("reason").unwrap_or("-")),
        stage: shown(p.get("stage").unwrap_or("-")),
        attempts: p.number("attempts").unwrap_or(0),
        excess: count.saturating_sub(p.number("expected").unwrap_or(0)),
        puts: p.number("puts").unwrap_or(0),
        age_us: p.number("age_us").unwrap_or(0),
        last_us: p.number("last_us").unwrap_or(0),
        held: Vec::new(),
        put_by: task(p, "put_comm", "put_pid"),
    })
}

/// What an entry of the ledger tells of a folio that failed.
fn held_by(p: &Paragraph, held: &mut HashMap<u64, Vec<Held>>) {
    let is_of_use = p.get("reason").is_some_and(|reason| reason != "none")
        && p.get("class") == Some("holder")
        && matches!(p.get("sure"), Some("certain" | "likely"));
    let (true, Some(pfn), Some(task)) = (is_of_use, p.pfn(), task(p, "comm", "pid")) else {
        return;
    };
    let all = held.entry(pfn).or_default();
    all.push(Held {
        age_ms: p.number("age_ms").unwrap_or(0),
        task,
        path: path(p),
    });
    all.sort_by_key(|held| std::cmp::Reverse(held.age_ms));
}

fn holder(p: &Paragraph) -> Option<Holder> {
    Some(Holder {
        class: symbol::class_by_name(p.get("class")?)?,
        folios: p.number("folios").unwrap_or(0),
        puts: p.number("puts").unwrap_or(0),
        long: p.number("long").unwrap_or(0),
        avg_us: p.number("age_avg_us").unwrap_or(0),
        max_us: p.number("age_max_us").unwrap_or(0),
        task: task(p, "comm", "pid").unwrap_or_else(|| "-".to_owned()),
        path: path(p),
    })
}

/// Headings of a table of folios.
pub const FOLIOS: [&str; 9] = [
    "PFN",
    "ORDER",
    "REASON",
    "STAGE",
    "EXTRA",
    "TRIES",
    "AGE",
    "LAST",
    "HELD BY, OR PUT BY LAST",
];

impl Folio {
    /// What is in its row.
    pub fn cells(&self) -> [String; 9] {
        let by = match (self.held.first(), &self.put_by) {
            (Some(held), _) => {
                let age = Time(held.age_ms.saturating_mul(1000));
                format!("{} for {age}: {}", held.task, held.path)
            }
            (None, Some(put)) => format!("(put by {put})"),
            (None, None) => "?".to_owned(),
        };
        [
            format!("0x{:x}", self.pfn),
            self.order.to_string(),
            self.reason.clone(),
            self.stage.clone(),
            self.excess.to_string(),
            self.attempts.to_string(),
            Time(self.age_us).to_string(),
            Time(self.last_us).to_string(),
            by,
        ]
    }
}

/// Headings of a table of holders.
pub const HOLDERS: [&str; 8] = [
    "FOLIOS", "PUTS", "LONG", "AVERAGE", "MAX", "CLASS", "TASK", "STACK",
];

impl Holder {
    /// What is in its row.
    pub fn cells(&self) -> [String; 8] {
        let class = match self.class {
            Class::Holder => "holder",
            Class::Migrator => "migrator",
            Class::Lru => "lru",
        };
        [
            self.folios.to_string(),
            self.puts.to_string(),
            self.long.to_string(),
            Time(self.avg_us).to_string(),
            Time(self.max_us).to_string(),
            class.to_owned(),
            self.task.clone(),
            self.path.clone(),
        ]
    }
}
