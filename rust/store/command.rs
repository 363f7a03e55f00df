// SPDX-License-Identifier: GPL-2.0

//! What one can write to a file of pfns, such as `mark`.

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `PFN [COUNT]`: take these pages in.
    Add {
        /// First page.
        pfn: u64,
        /// Pages, at least 1; `pfn + count` does not overflow.
        count: u64,
    },
    /// `-PFN [COUNT]`: leave these pages out.
    Remove {
        /// First page.
        pfn: u64,
        /// Pages, at least 1; `pfn + count` does not overflow.
        count: u64,
    },
    /// `clear`: leave everything out.
    Clear,
}

/// Why a command was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// None of the forms there are.
    Form,
    /// A number that is too large, or a count of nothing.
    Range,
}

/// A decimal number, or a hexadecimal one after `0x`.
fn number(word: &[u8]) -> Result<u64, Malformed> {
    let (digits, radix) = match word {
        [b'0', b'x' | b'X', digits @ ..] => (digits, 16),
        digits => (digits, 10),
    };
    if digits.is_empty() {
        return Err(Malformed::Form);
    }
    digits.iter().try_fold(0u64, |number, &c| {
        let digit = char::from(c).to_digit(radix).ok_or(Malformed::Form)?;
        number
            .checked_mul(radix.into())
            .and_then(|n| n.checked_add(digit.into()))
            .ok_or(Malformed::Range)
    })
}

impl Command {
    /// Reads one command, with a newline at the end or not.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        if text == b"clear" {
            return Ok(Command::Clear);
        }
        let (removes, text) = match text.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut words = text.split(|&c| c == b' ');
        let pfn = number(words.next().unwrap_or_default())?;
        let count = words.next().map_or(Ok(1), number)?;
        if words.next().is_some() {
            return Err(Malformed::Form);
        }
        if count == 0 || pfn.checked_add(count).is_none() {
            return Err(Malformed::Range);
        }
        Ok(if removes {
            Command::Remove { pfn, count }
        } else {
            Command::Add { pfn, count }
        })
    }
}
