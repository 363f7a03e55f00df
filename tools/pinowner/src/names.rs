// SPDX-License-Identifier: GPL-2.0

//! Words that occur over and over, each kept once.

use crate::story::Name;
use std::collections::HashSet;
use std::str::from_utf8;

/// Bytes of all of them; no machine has as many.
const MOST_BYTES: usize = 64 << 20;

/// The name of a task that the kernel has not kept, or has forgotten.
pub const UNKNOWN: &str = "<...>";

/// The words seen so far.
#[derive(Debug, Default)]
pub struct Names {
    known: HashSet<Name>,
    bytes: usize,
}

impl Names {
    /// The one copy of this word.
    pub fn get(&mut self, word: &str) -> Name {
        if let Some(name) = self.known.get(word) {
            return name.clone();
        }
        // Of input that is made up: one word has to do for all the others.
        let word = if self.bytes > MOST_BYTES { "?" } else { word };
        let name = Name::from(word);
        self.bytes += word.len();
        self.known.insert(name.clone());
        name
    }

    /// That of a word that may be any bytes: those that cannot be shown are replaced.
    pub fn shown(&mut self, word: &[u8]) -> Name {
        match from_utf8(word) {
            Ok(word) if !word.contains(char::is_control) => self.get(word),
            _ => {
                let word = String::from_utf8_lossy(word);
                self.get(&word.replace(char::is_control, "\u{fffd}"))
            }
        }
    }
}

/// `PID NAME`, where the kernel knows the name.
pub fn saved(line: &[u8]) -> Option<(u32, Vec<u8>)> {
    let at = line.iter().position(|&c| c == b' ')?;
    let pid = from_utf8(&line[..at]).ok()?.parse().ok()?;
    let name = &line[at + 1..];
    (name != UNKNOWN.as_bytes()).then(|| (pid, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_tasks() {
        assert_eq!(saved(b"12 a b"), Some((12, b"a b".to_vec())));
        assert_eq!(saved(b"12 <...>"), None);
        assert_eq!(saved(b""), None);
    }
}
