//! Characters of a database's text that a person cannot see, spelled out: nothing in a name moves,
//! hides or ends what is around it.

use std::fmt::Write as _;

/// Whether a character shows nothing, breaks a line or changes the direction of what follows.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Appends what is shown in place of an invisible character.
pub fn spell_out(text: &mut String, c: char) {
    match c {
        '\n' => text.push_str("\\n"),
        '\t' => text.push_str("\\t"),
        '\r' => text.push_str("\\r"),
        c => {
            write!(text, "\\u{{{:x}}}", u32::from(c)).ok();
        }
    }
}

/// The text with its invisible characters spelled out.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_invisible(c) {
            spell_out(&mut shown, c);
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_spelled_out() {
        for (text, expected) in [
            ("a\nb\r\t", r"a\nb\r\t"),
            ("\u{1b}[31m", r"\u{1b}[31m"),
            ("\u{9b}\u{202e}", r"\u{9b}\u{202e}"),
            ("سعر 価格 🚗", "سعر 価格 🚗"),
        ] {
            assert_eq!(visible(text), expected);
        }
    }
}
