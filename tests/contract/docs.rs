//! How the documentation is written: lines, tables, links, words. A rule here names the file and
//! the line that breaks it. What the pages say is checked in `reference`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::markdown::{self, Page};
use crate::root;
use crate::tidy::{none, tracked};

/// Characters of a line of prose: what a terminal and a review tool show without wrapping.
const LINE_CHARS_MAX: usize = 100;

/// Characters of a table's cell: beyond that it is a paragraph.
const CELL_CHARS_MAX: usize = 150;

/// Phrases that no native reader reads only once, and words that the glossary replaces.
pub const DENIED: &[&str] = &[
    "is told",
    "are told",
    "goes on",
    "go on where",
    "another than",
    "other than its",
    "taken back",
    "take back",
    "takes back",
    "taking back",
    "put back",
    "puts back",
    "brought back",
    "bring back",
    "so many",
    "of its own",
    "of one's own",
    "of your own",
    "as it is now",
    "anew",
    "underneath",
    "meanwhile",
    "made ready",
    "lies beside",
    "journalled",
    "behaviour",
    "honour",
    "cancelled",
    "licence",
    "let go",
    "lets go",
    "its turn",
];

pub fn pages() -> Vec<Page> {
    let is_page = |name: &String| Path::new(name).extension().is_some_and(|suffix| suffix == "md");
    let names = tracked().into_iter().filter(is_page);
    names.map(|name| Page::parse(&name, &fs::read_to_string(root().join(&name)).unwrap())).collect()
}

/// The pages that these rules are for. The changelog keeps the words of its time.
fn written() -> Vec<Page> {
    pages().into_iter().filter(|page| page.name != "CHANGELOG.md").collect()
}

/// Lines of the chart and the examples that are no pages: comments, messages, manifests. The
/// definitions are generated; `reference` checks their descriptions.
fn other_lines() -> Vec<(String, String)> {
    let ours = |name: &&String| {
        let folders = ["charts/", "migrations/", "fuzz/src/", "docker/"];
        let is_page = Path::new(name).extension().is_some_and(|suffix| suffix == "md");
        folders.iter().any(|folder| name.starts_with(folder))
            && !name.contains("/crds/")
            && !is_page
    };
    let mut lines = Vec::new();
    for name in tracked().iter().filter(ours) {
        let Ok(text) = fs::read_to_string(root().join(name)) else { continue };
        let numbered = text.lines().enumerate();
        lines.extend(numbered.map(|(at, line)| (format!("{name}:{}", at + 1), line.to_owned())));
    }
    lines
}

#[test]
fn lines_of_prose_fit_a_screen() {
    let mut broken = Vec::new();
    // The README is wrapped as its forge shows it.
    for page in written().into_iter().filter(|page| page.name != "README.md") {
        for (number, line) in &page.lines {
            let free = markdown::is_row(line) || line.contains("](") || line.contains("http");
            let count = line.chars().count();
            if count > LINE_CHARS_MAX && !free {
                broken.push(format!("{}:{number}: {count} characters", page.name));
            }
        }
    }
    none(&format!("these lines have more than {LINE_CHARS_MAX} characters"), &broken);
}

#[test]
fn tables_are_whole_and_their_cells_short() {
    let mut broken = Vec::new();
    for page in written() {
        for table in page.tables() {
            let (first, head) = &table[0];
            if !table.get(1).is_some_and(|(_, cells)| markdown::is_separator(cells)) {
                broken.push(format!("{}:{first}: a table without a head", page.name));
            }
            for (number, cells) in &table {
                if cells.len() != head.len() {
                    broken.push(format!("{}:{number}: {} cells", page.name, cells.len()));
                }
                let longest = cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
                if longest > CELL_CHARS_MAX {
                    broken.push(format!("{}:{number}: a cell of {longest} characters", page.name));
                }
            }
        }
    }
    none("these tables are broken, or have cells that should be paragraphs", &broken);
}

#[test]
fn words_are_those_of_the_glossary() {
    let mut lines = other_lines();
    assert!(lines.len() > 500, "{} lines of the chart and the examples", lines.len());
    for page in written() {
        let of_page = page.lines.iter().map(|(number, line)| {
            (format!("{}:{number}", page.name), markdown::without_code(line))
        });
        lines.extend(of_page);
    }
    let mut broken = Vec::new();
    for (place, line) in lines {
        let line = line.to_lowercase();
        let denied = DENIED.iter().filter(|phrase| holds(&line, phrase));
        broken.extend(denied.map(|phrase| format!("{place}: {phrase}")));
    }
    none("say these in other words, see docs/reference/glossary.md", &broken);
}

/// Whether a line holds a phrase as whole words.
pub fn holds(line: &str, phrase: &str) -> bool {
    let edge = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
    line.match_indices(phrase).any(|(at, found)| {
        edge(line[..at].chars().next_back()) && edge(line[at + found.len()..].chars().next())
    })
}

/// A path of a link, relative to the root, without `.` and `..`.
fn resolved(page: &str, target: &str) -> PathBuf {
    let mut path = Path::new(page).parent().unwrap_or(Path::new("")).to_path_buf();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    path
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let anchors: BTreeMap<PathBuf, Vec<String>> =
        pages.iter().map(|page| (PathBuf::from(&page.name), page.anchors())).collect();
    let mut broken = Vec::new();
    let mut checked = 0;
    for page in &pages {
        for (number, link) in page.links() {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            let (target, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let path = if target.is_empty() {
                PathBuf::from(&page.name)
            } else {
                resolved(&page.name, target)
            };
            let there = root().join(&path).exists();
            let found = anchor.is_empty()
                || anchors.get(&path).is_some_and(|all| all.iter().any(|one| one == anchor));
            if !there || !found {
                broken.push(format!("{}:{number}: {link}", page.name));
            }
        }
    }
    none("these links lead nowhere", &broken);
    assert!(checked > 50, "{checked} links were checked");
}

#[test]
fn every_page_can_be_reached_from_the_index() {
    let pages: BTreeMap<PathBuf, Page> =
        pages().into_iter().map(|page| (PathBuf::from(&page.name), page)).collect();
    let mut reached = BTreeSet::new();
    let mut open = vec![PathBuf::from("docs/index.md")];
    while let Some(name) = open.pop() {
        if !reached.insert(name.clone()) {
            continue;
        }
        let Some(page) = pages.get(&name) else {
            // A link to a folder shows all that is in it.
            open.extend(pages.keys().filter(|other| other.parent() == Some(&name)).cloned());
            continue;
        };
        for (_, link) in page.links() {
            let target = link.split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") {
                open.push(resolved(&page.name, target));
            }
        }
    }
    let docs = pages.keys().filter(|name| name.starts_with("docs"));
    let lost: Vec<String> = docs
        .filter(|name| !reached.contains(*name))
        .map(|name| name.display().to_string())
        .collect();
    none("no link leads from docs/index.md to these pages", &lost);
}

/// Paths of pages that a text names.
fn named(text: &str) -> Vec<&str> {
    let part = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    let all = text
        .match_indices("docs/")
        .filter(|(at, _)| !text[..*at].chars().next_back().is_some_and(|c| part(c) || c == ':'));
    let ends = |at: usize| text[at..].find(|c| !part(c)).map_or(text.len(), |end| at + end);
    all.map(|(at, _)| text[at..ends(at)].trim_end_matches('.')).collect()
}

#[test]
fn pages_that_source_and_messages_name_exist() {
    let mut broken = Vec::new();
    let mut checked = 0;
    for name in tracked() {
        let outside = ["src/", "tests/", "charts/", "migrations/", "crds/", "docker/"];
        if !outside.iter().any(|folder| name.starts_with(folder)) || name.contains("tests/contract")
        {
            continue;
        }
        let Ok(text) = fs::read_to_string(root().join(&name)) else { continue };
        for page in named(&text) {
            checked += 1;
            if !root().join(page).exists() {
                broken.push(format!("{name}: {page}"));
            }
        }
    }
    none("these name pages that do not exist", &broken);
    assert!(checked > 10, "{checked} names were checked");
}

#[test]
fn phrases_and_names_are_found() {
    assert!(holds("it goes on.", "goes on") && !holds("she goes once", "goes on"));
    assert_eq!(
        named("see docs/a/b.md. https://k8s.io/docs/c (docs/d.md)"),
        ["docs/a/b.md", "docs/d.md"]
    );
}
