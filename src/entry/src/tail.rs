//! Remembers the last lines of the program's two streams, as text that is fit for a status:
//! bounded, without colour codes and control characters. It never sees what is passed on, only a
//! copy.

use std::collections::VecDeque;

use crate::limits::{LAST_LINES_BYTES_MAX, LAST_LINES_MAX, LINE_BYTES_MAX, RAW_LINE_BYTES_MAX};

/// The program's two streams.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    Out,
    Err,
}

/// The last lines of both streams, in the order in which they were completed.
#[derive(Debug, Default)]
pub struct Tail {
    out: Line,
    err: Line,
    last: VecDeque<Vec<u8>>,
}

/// A line that is not complete yet.
#[derive(Debug, Default)]
struct Line {
    bytes: Vec<u8>,
    /// A carriage return was seen: what follows it overwrites the line, unless it is its end.
    returned: bool,
}

impl Tail {
    /// Takes what a stream wrote.
    pub fn push(&mut self, stream: Stream, chunk: &[u8]) {
        let line = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        let mut pieces = chunk.split(|byte| *byte == b'\n');
        if let Some(first) = pieces.next() {
            line.push(first);
        }
        for piece in pieces {
            keep(&mut self.last, &mut line.bytes);
            line.returned = false;
            line.push(piece);
        }
    }

    /// The last lines as text, oldest first; lines without a newline at the end count too.
    pub fn lines(&self) -> Vec<String> {
        let partial = [&self.out.bytes, &self.err.bytes];
        let raw = self.last.iter().chain(partial);
        let text = raw.map(|line| clean(line)).filter(|line| !line.is_empty());
        let mut lines: Vec<String> = text.collect();
        let mut left = LAST_LINES_BYTES_MAX;
        let fits = lines.iter().rev().take(LAST_LINES_MAX).take_while(|line| {
            let fits = line.len() <= left;
            left = left.saturating_sub(line.len());
            fits
        });
        let fits = fits.count();
        lines.split_off(lines.len() - fits)
    }
}

impl Line {
    fn push(&mut self, piece: &[u8]) {
        if piece.is_empty() {
            return;
        }
        if self.returned {
            self.bytes.clear();
        }
        self.returned = piece.ends_with(b"\r");
        let piece = piece.strip_suffix(b"\r").unwrap_or(piece);
        let visible = match piece.iter().rposition(|byte| *byte == b'\r') {
            Some(at) => {
                self.bytes.clear();
                &piece[at + 1..]
            }
            None => piece,
        };
        let room = RAW_LINE_BYTES_MAX.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&visible[..room.min(visible.len())]);
    }
}

/// Moves a complete line to the others, unless it is blank; leaves it empty, with its memory.
fn keep(last: &mut VecDeque<Vec<u8>>, line: &mut Vec<u8>) {
    if line.iter().all(u8::is_ascii_whitespace) {
        line.clear();
        return;
    }
    let mut freed = if last.len() == LAST_LINES_MAX { last.pop_front() } else { None };
    let mut next = freed.take().unwrap_or_default();
    next.clear();
    std::mem::swap(&mut next, line);
    last.push_back(next);
}

/// Text of a line: replacement characters for what is no UTF-8, escape sequences and control
/// characters left out, tabs as spaces, cut at [`LINE_BYTES_MAX`].
fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut clean = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\u{1b}' => skip_escape(&mut chars),
            '\t' => clean.push(' '),
            char if char.is_control() => {}
            char => clean.push(char),
        }
    }
    cut(clean.trim_end(), LINE_BYTES_MAX)
}

/// Leaves out the rest of an escape sequence (ECMA-48: CSI, OSC and its like, two characters).
fn skip_escape(chars: &mut std::str::Chars) {
    match chars.next() {
        Some('[') => {
            chars.find(|char| ('\u{40}'..='\u{7e}').contains(char));
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            let mut escaped = false;
            // Ends with BEL, or with ESC and a backslash.
            chars.find(|char| {
                let end = *char == '\u{7}' || (escaped && *char == '\\');
                escaped = *char == '\u{1b}';
                end
            });
        }
        Some('(' | ')') => {
            chars.next();
        }
        _ => {}
    }
}

/// At most `max` bytes of a text, whole characters only; a cut one ends with an ellipsis.
pub fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max.saturating_sub('…'.len_utf8()));
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(written: &[&[u8]], expected: &[&str]) {
        let mut tail = Tail::default();
        for chunk in written {
            tail.push(Stream::Out, chunk);
        }
        assert_eq!(tail.lines(), expected);
        // The same bytes one by one give the same lines.
        let mut tail = Tail::default();
        for byte in written.concat() {
            tail.push(Stream::Out, &[byte]);
        }
        assert_eq!(tail.lines(), expected, "byte by byte");
    }

    #[test]
    fn lines_are_put_together_from_chunks() {
        check(&[], &[]);
        check(&[b"one\ntwo\n"], &["one", "two"]);
        check(&[b"on", b"e\n\n", b"  \ntwo"], &["one", "two"]);
        check(&[b"one\r\ntwo\r", b"\n"], &["one", "two"]);
    }

    #[test]
    fn a_progress_bar_counts_as_it_looks() {
        check(&[b"10%\r50%", b"\r100%\ndone\n"], &["100%", "done"]);
        check(&[b"10%\r", b"20%\r"], &["20%"]);
    }

    #[test]
    fn codes_and_control_characters_are_left_out() {
        check(&[b"\x1b[1;31mError:\x1b[0m x\x07\ty\0z \n"], &["Error: x yz"]);
        check(&[b"\x1b]0;title\x07shown\n\x1b]8;;http://x\x1b\\link\n"], &["shown", "link"]);
        check(&[b"\x1b[2K\n\x1b(Bplain\n"], &["plain"]);
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        check(&[b"caf\xe9 ol\xc3\xa9\n"], &["caf\u{fffd} olé"]);
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        let line = "é".repeat(2000);
        let expected = format!("{}…", "é".repeat(254));
        assert_eq!(expected.len(), LINE_BYTES_MAX - 1);
        check(&[line.as_bytes(), b"\n"], &[&expected]);
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let all: Vec<_> = (0..1000).map(|n| format!("line {n}")).collect();
        let last: Vec<_> = all.iter().skip(980).map(String::as_str).collect();
        check(&[all.join("\n").as_bytes()], &last);
    }

    #[test]
    fn all_lines_together_are_bounded() {
        let line = "x".repeat(500);
        let mut tail = Tail::default();
        for _ in 0..10 {
            tail.push(Stream::Out, line.as_bytes());
            tail.push(Stream::Out, b"\n");
        }
        assert_eq!(tail.lines().len(), LAST_LINES_BYTES_MAX / 500);
    }

    #[test]
    fn the_streams_do_not_mix_their_lines() {
        let mut tail = Tail::default();
        tail.push(Stream::Out, b"half ");
        tail.push(Stream::Err, b"Trace\n");
        tail.push(Stream::Out, b"whole\nrest");
        tail.push(Stream::Err, b"KeyError");
        assert_eq!(tail.lines(), ["Trace", "half whole", "rest", "KeyError"]);
    }
}
