// SPDX-License-Identifier: GPL-2.0

//! Lines of a file of any size, into the same memory again and again.

use std::io::{self, BufRead};

/// What is longer is no line of ours; the rest of it is passed over.
const LONGEST: usize = 64 << 10;

/// The lines of an input.
pub struct Lines<R> {
    input: R,
    line: Vec<u8>,
    /// `line` has all of it.
    is_whole: bool,
}

impl<R: BufRead> Lines<R> {
    /// Those of `input`.
    pub fn new(input: R) -> Self {
        Lines {
            input,
            line: Vec::with_capacity(512),
            is_whole: true,
        }
    }

    /// The next line without its end; `None` after the last one. A line that has no end, because
    /// the input ends in it, is none.
    ///
    /// # Errors
    ///
    /// What reading says. It may be tried again: what was read of the line is kept.
    pub fn read(&mut self) -> io::Result<Option<&[u8]>> {
        if std::mem::take(&mut self.is_whole) {
            self.line.clear();
        }
        loop {
            let input = match self.input.fill_buf() {
                Ok(input) => input,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if input.is_empty() {
                return Ok(None);
            }
            let end = memchr::memchr(b'\n', input);
            let part = &input[..end.unwrap_or(input.len())];
            let room = LONGEST - self.line.len();
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                self.is_whole = true;
                return Ok(Some(&self.line));
            }
        }
    }
}
