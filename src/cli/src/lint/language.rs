//! What the files of a program are written in, and which of their lines are code.

use dm_contract::interpreters;

/// Begin and end of a text of several lines in Python.
const TEXT_MARKS: [&str; 2] = ["\"\"\"", "'''"];

/// What a file of a program is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Python,
    JavaScript,
    Shell,
}

impl Language {
    /// Of a file's name, or of its first line.
    pub fn of(name: &str, text: &str) -> Option<Self> {
        let first = text.lines().next().filter(|line| line.starts_with("#!")).unwrap_or_default();
        let suffix = name.rsplit_once('.').map_or("", |(_, suffix)| suffix);
        match interpreters::of_suffix(suffix).first() {
            Some(["python3", ..]) => Some(Self::Python),
            Some(["node" | "tsx", ..]) => Some(Self::JavaScript),
            Some(["sh" | "bash", ..]) => Some(Self::Shell),
            _ if first.contains("python") => Some(Self::Python),
            _ if first.contains("node") => Some(Self::JavaScript),
            _ if first.ends_with("sh") => Some(Self::Shell),
            _ => None,
        }
    }

    /// Which lines are no code: comments, and texts of several lines such as docstrings.
    pub fn prose(self, lines: &[&str]) -> Vec<bool> {
        let mut until = None;
        let prose = |line: &&str| {
            if let Some(end) = until {
                if line.contains(end) {
                    until = None;
                }
                return true;
            }
            let text = line.trim_start();
            match self {
                Self::Python => {
                    let is_comment = text.starts_with('#');
                    let opens = |mark: &&str| line.matches(*mark).count() % 2 == 1;
                    until = TEXT_MARKS.into_iter().find(|mark| !is_comment && opens(mark));
                    is_comment || TEXT_MARKS.iter().any(|mark| text.starts_with(mark))
                }
                Self::JavaScript => {
                    let is_block = text.starts_with("/*");
                    until = Some("*/").filter(|end| is_block && !line.contains(end));
                    is_block || text.starts_with("//")
                }
                Self::Shell => text.starts_with('#'),
            }
        };
        lines.iter().map(prose).collect()
    }
}
