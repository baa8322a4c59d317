//! A terminal recording as one SVG: what commands printed, line after line, by animation of its
//! own. It needs no script, so that every viewer of repositories shows it.

use std::fmt::Write as _;

/// Columns of the terminal; what is longer is cut.
const COLUMNS: usize = 100;

/// Pixels of a line, and of a character.
const LINE_PIXELS: usize = 20;
const CHARACTER_TENTHS: usize = 84;

/// Pixels around the text.
const MARGIN_PIXELS: usize = 20;

/// How long a command is alone on the screen, and how long a line of its answer, in tenths of a
/// second.
const COMMAND_TENTHS: usize = 15;
const LINE_TENTHS: usize = 2;

/// How long the end stays before it begins again.
const END_TENTHS: usize = 60;

/// Commands and their answers.
#[derive(Debug, Default)]
pub struct Recording {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    text: String,
    is_command: bool,
}

impl Recording {
    /// Adds a command with its answer.
    pub fn command(&mut self, line: &str, answer: &str) {
        if !self.lines.is_empty() {
            self.lines.push(Line { text: String::new(), is_command: false });
        }
        self.lines.push(Line { text: format!("$ {line}"), is_command: true });
        let of_answer = answer.lines().map(|text| Line { text: text.into(), is_command: false });
        self.lines.extend(of_answer);
    }

    pub fn svg(&self) -> String {
        let width = COLUMNS * CHARACTER_TENTHS / 10 + 2 * MARGIN_PIXELS;
        let height = self.lines.len() * LINE_PIXELS + 2 * MARGIN_PIXELS;
        let mut at = 0;
        let mut begins = Vec::new();
        for line in &self.lines {
            begins.push(at);
            at += if line.is_command { COMMAND_TENTHS } else { LINE_TENTHS };
        }
        let whole = at + END_TENTHS;
        let (mut rules, mut texts) = (String::new(), String::new());
        for (number, (line, begins)) in self.lines.iter().zip(begins).enumerate() {
            let y = MARGIN_PIXELS + number * LINE_PIXELS + LINE_PIXELS * 3 / 4;
            let kind = if line.is_command { "l c" } else { "l" };
            // A share of the whole, in thousandths: at the first nothing is hidden.
            let share = begins * 1000 / whole;
            let (percent, tenth) = (share / 10, share % 10);
            writeln!(
                rules,
                "@keyframes k{number}{{0%{{opacity:0}}{percent}.{tenth}%{{opacity:0}}{percent}.{}%\
                 {{opacity:1}}100%{{opacity:1}}}}",
                tenth + 1
            )
            .ok();
            writeln!(
                texts,
                "<text class=\"{kind}\" x=\"{MARGIN_PIXELS}\" y=\"{y}\" \
                 style=\"animation-name:k{number}\">{}</text>",
                escaped(&line.text)
            )
            .ok();
        }
        let seconds = format!("{}.{}", whole / 10, whole % 10);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n<title>A dry run, its apply and its restore on the \
             embedded database</title>\n<style>\n\
             .l{{font:14px ui-monospace,Menlo,Consolas,monospace;\
             fill:#d5dbe1;white-space:pre;animation-duration:{seconds}s;\
             animation-iteration-count:infinite}}\n.c{{fill:#7ee787;font-weight:bold}}\n\
             @media (prefers-reduced-motion:reduce){{.l{{animation:none}}}}\n{rules}</style>\n\
             <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#14191f\"/>\n{texts}</svg>\n"
        )
    }
}

fn escaped(text: &str) -> String {
    let text: String = text.chars().take(COLUMNS).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_appears_once_and_markup_in_it_is_text() {
        let mut recording = Recording::default();
        recording.command("a <b> & c", &format!("one\n{}", "x".repeat(COLUMNS + 5)));
        recording.command("second", "two");
        let svg = recording.svg();
        assert!(svg.contains(">$ a &lt;b&gt; &amp; c</text>"), "{svg}");
        assert!(svg.contains(&format!(">{}</text>", "x".repeat(COLUMNS))), "{svg}");
        assert_eq!(svg.matches("<text").count(), 6);
        assert_eq!(svg.matches("@keyframes").count(), 6);
    }
}
