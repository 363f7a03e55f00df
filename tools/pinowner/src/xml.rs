// SPDX-License-Identifier: GPL-2.0

//! What a picture or a page may contain at all. Escaping is not done here, but by what writes the
//! markup: this is about characters that no escape makes legal.

/// Replaces characters that XML has no place for, however they are written, and those by which the
/// name of a task could turn around the text after it.
pub fn legal(text: String) -> String {
    if text.contains(is_illegal) {
        text.replace(is_illegal, "\u{fffd}")
    } else {
        text
    }
}

fn is_illegal(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        '\u{fffe}' | '\u{ffff}' => true,
        c => c.is_control(),
    }
}

/// `text`, with its end replaced by an ellipsis if it has more than `most` characters.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text
            .chars()
            .take(most.saturating_sub(1))
            .chain(['\u{2026}'])
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn illegal_characters() {
        assert_eq!(
            legal("a\u{1}b\u{ffff}\u{202e}c".into()),
            "a\u{fffd}b\u{fffd}\u{fffd}c"
        );
        assert_eq!(legal("<a>\n\té".into()), "<a>\n\té");
    }

    #[test]
    fn cuts() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö\u{2026}");
        assert_eq!(cut("ab", 0), "\u{2026}");
    }
}
