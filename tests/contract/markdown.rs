//! Reads Markdown as far as the rules of the documentation need it: headings, links, table rows and
//! prose lines, with code left out. No rule is here.

use std::collections::BTreeMap;

pub struct Page {
    /// Path relative to the repository's root.
    pub name: String,
    /// Lines with their number, from 1, without those of code blocks.
    pub lines: Vec<(usize, String)>,
    /// Code blocks with their language.
    pub code: Vec<(String, String)>,
}

impl Page {
    pub fn parse(name: &str, text: &str) -> Self {
        let (mut lines, mut code) = (Vec::new(), Vec::new());
        let mut block: Option<(String, String)> = None;
        for (index, line) in text.lines().enumerate() {
            let fence = line.trim_start().strip_prefix("```");
            block = match (block, fence) {
                (None, None) => {
                    lines.push((index + 1, line.to_owned()));
                    None
                }
                (None, Some(language)) => Some((language.trim().to_owned(), String::new())),
                (Some(done), Some(_)) => {
                    code.push(done);
                    None
                }
                (Some((language, body)), None) => Some((language, body + line + "\n")),
            };
        }
        assert!(block.is_none(), "{name}: a code block is not closed");
        Self { name: name.to_owned(), lines, code }
    }

    /// Targets of links, with the line's number.
    pub fn links(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (number, line) in &self.lines {
            let line = without_code(line);
            for (at, _) in line.match_indices("](") {
                let target = line[at + 2..].split(')').next().unwrap_or_default();
                found.push((*number, target.to_owned()));
            }
        }
        found
    }

    /// Anchors of headings, as GitHub makes them.
    pub fn anchors(&self) -> Vec<String> {
        let mut seen = BTreeMap::new();
        let mut anchors = Vec::new();
        for (_, line) in &self.lines {
            let Some(heading) = heading(line) else { continue };
            let kept = heading.to_lowercase().replace(' ', "-");
            let plain: String =
                kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect();
            let count = seen.entry(plain.clone()).or_insert(0);
            anchors.push(if *count == 0 { plain } else { format!("{plain}-{count}") });
            *count += 1;
        }
        anchors
    }

    /// Rows of tables, each as its line's number and its cells. Separators are left out.
    pub fn tables(&self) -> Vec<Vec<(usize, Vec<String>)>> {
        let mut tables: Vec<Vec<(usize, Vec<String>)>> = Vec::new();
        let mut last = 0;
        for (number, line) in &self.lines {
            if !is_row(line) {
                continue;
            }
            if last + 1 != *number || tables.is_empty() {
                tables.push(Vec::new());
            }
            last = *number;
            if let Some(table) = tables.last_mut() {
                table.push((*number, cells(line)));
            }
        }
        tables
    }

    /// Names in code spans that the first cells of tables have, with the names of the heading
    /// above.
    pub fn defined(&self) -> Vec<(Vec<String>, String)> {
        let mut scopes = Vec::new();
        let mut found = Vec::new();
        for (_, line) in &self.lines {
            if let Some(heading) = heading(line) {
                scopes = spans(heading);
            } else if is_row(line) {
                let first = cells(line).into_iter().next().unwrap_or_default();
                found.extend(spans(&first).into_iter().map(|name| (scopes.clone(), name)));
            }
        }
        found
    }
}

/// The text of a heading.
fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    (1..=6).contains(&level).then(|| text.strip_prefix(' ')).flatten().map(str::trim)
}

/// Whether a line is a row of a table.
pub fn is_row(line: &str) -> bool {
    line.trim_start().starts_with('|')
}

/// Whether a row only separates the head from the body.
pub fn is_separator(cells: &[String]) -> bool {
    cells.iter().all(|cell| cell.len() >= 3 && cell.chars().all(|c| "-:".contains(c)))
}

fn cells(line: &str) -> Vec<String> {
    let line = line.trim().trim_start_matches('|').replace("\\|", "\u{0}");
    let line = line.strip_suffix('|').unwrap_or(&line);
    line.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
}

pub fn spans(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// A line without its code spans.
pub fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

#[test]
fn a_page_is_read() {
    let text = "# A `b.c` page\n\n[x](y.md#z) and `[n](o)`\n\n```json\n# {}\n```\n\n\
                | `d` | e \\| f |\n|---|---|\n| `g`, `h` | i |\n\n## A `b.c` page\n";
    let page = Page::parse("p.md", text);
    assert_eq!(page.anchors(), ["a-bc-page", "a-bc-page-1"]);
    assert_eq!(page.links(), [(3, "y.md#z".to_owned())]);
    assert_eq!(page.code, [("json".to_owned(), "# {}\n".to_owned())]);
    let tables = page.tables();
    assert_eq!((tables.len(), tables[0].len(), tables[0][0].1[1].as_str()), (1, 3, "e | f"));
    assert!(is_separator(&tables[0][1].1));
    let names: Vec<String> = page.defined().into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["d", "g", "h"]);
    assert_eq!(page.defined()[0].0, ["b.c"]);
}
