// SPDX-License-Identifier: GPL-2.0

//! One colour for each holder, the same in all pictures and tables.

use crate::story::{Findings, Handle};
use std::collections::HashMap;

/// A colour: red, green, blue.
pub type Rgb = (u8, u8, u8);

/// Those of the holders with most folios. Black text can be read on each; each can be seen on white
/// and on black; and neighbours are told apart by those who see no red or no green.
pub const COLOURS: [Rgb; 10] = [
    (0xf2, 0x8e, 0x2b),
    (0x5b, 0xa3, 0xd9),
    (0x59, 0xb3, 0x6a),
    (0xb0, 0x8c, 0xd9),
    (0xe8, 0x6a, 0x6a),
    (0x3f, 0xb8, 0xaf),
    (0xd9, 0xb4, 0x1e),
    (0xe3, 0x83, 0xb9),
    (0xb5, 0x8d, 0x6b),
    (0x8a, 0xb2, 0x3a),
];

/// That of all others.
pub const OTHER: Rgb = (0x9a, 0xa3, 0xad);

/// Who has which colour.
#[derive(Debug)]
pub struct Colours {
    of: HashMap<Handle, usize>,
}

impl Colours {
    /// Those of these holders.
    pub fn new(findings: &Findings) -> Self {
        let mut of = HashMap::new();
        for holder in &findings.holders {
            let next = of.len();
            if next < COLOURS.len() && holder.stack != 0 {
                of.entry(holder.stack).or_insert(next);
            }
        }
        Colours { of }
    }

    /// Which of [`COLOURS`] a stack has; `None` is [`OTHER`].
    pub fn get(&self, stack: Handle) -> Option<usize> {
        self.of.get(&stack).copied()
    }

    /// The colour of a stack.
    pub fn rgb(&self, stack: Handle) -> Rgb {
        self.get(stack).map_or(OTHER, |index| COLOURS[index])
    }
}

/// The class by which a style sheet knows a colour.
pub fn class(index: Option<usize>) -> String {
    index.map_or_else(|| "c-other".into(), |index| format!("c{index}"))
}

/// The rules of a style sheet for these classes.
pub fn rules() -> String {
    let rule = |class: String, (r, g, b): Rgb| format!(".{class}{{fill:#{r:02x}{g:02x}{b:02x}}}\n");
    let known = COLOURS.iter().enumerate();
    let mut rules: String = known.map(|(n, rgb)| rule(class(Some(n)), *rgb)).collect();
    rules += &rule(class(None), OTHER);
    rules
}
