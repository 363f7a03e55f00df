// SPDX-License-Identifier: GPL-2.0

//! The module's tables in debugfs: paragraphs of `key=value`, some with a stack below.

use crate::event::pfn_of;
use std::collections::BTreeMap;
use std::fmt;
use std::str::from_utf8;

/// More frames no stack has; the module's cap is 64.
const MOST_FRAMES: usize = 256;

/// One record of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paragraph {
    heading: String,
    /// Frames of the stack below, the innermost first.
    pub frames: Vec<String>,
}

impl Paragraph {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        let mut fields = self
            .heading
            .split_ascii_whitespace()
            .filter_map(|word| word.split_once('='));
        fields.find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    /// The value of a key, if it is a number.
    pub fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.get(key)?.parse().ok()
    }

    /// The value of a key that is a page's number.
    pub fn pfn(&self) -> Option<u64> {
        pfn_of(self.get("pfn")?)
    }

    /// The handle of a stack; 0 if it was lost.
    pub fn handle(&self, key: &str) -> u32 {
        self.number(key).unwrap_or(0)
    }
}

/// As the table has it.
impl fmt::Display for Paragraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.heading)?;
        self.frames
            .iter()
            .try_for_each(|frame| writeln!(f, " {frame}"))?;
        writeln!(f)
    }
}

/// Makes paragraphs of lines.
#[derive(Debug, Default)]
pub struct Paragraphs {
    current: Option<Paragraph>,
}

impl Paragraphs {
    /// Takes the next line; returns the paragraph that ended before it, if one did.
    pub fn line(&mut self, line: &[u8]) -> Option<Paragraph> {
        let line = String::from_utf8_lossy(line);
        if let Some(frame) = line.strip_prefix(' ') {
            if let Some(current) = &mut self.current {
                if current.frames.len() < MOST_FRAMES {
                    current.frames.push(frame.trim().to_owned());
                }
            }
            return None;
        }
        let heading = line.trim();
        let next = (!heading.is_empty()).then(|| Paragraph {
            heading: heading.to_owned(),
            frames: Vec::new(),
        });
        std::mem::replace(&mut self.current, next)
    }

    /// The last one, after the last line.
    pub fn end(&mut self) -> Option<Paragraph> {
        self.current.take()
    }
}

/// All paragraphs of a table.
pub fn paragraphs(text: &[u8]) -> Vec<Paragraph> {
    let mut paragraphs = Paragraphs::default();
    let mut all: Vec<_> = text
        .split(|&c| c == b'\n')
        .filter_map(|line| paragraphs.line(line))
        .collect();
    all.extend(paragraphs.end());
    all
}

/// One line of `stats`, if its value is a number.
pub fn stat(line: &[u8]) -> Option<(&str, u64)> {
    let (key, value) = from_utf8(line).ok()?.trim_end().split_once('=')?;
    Some((key, value.parse().ok()?))
}

/// All of `stats`.
pub fn stats(text: &[u8]) -> BTreeMap<String, u64> {
    text.split(|&c| c == b'\n')
        .filter_map(stat)
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}
