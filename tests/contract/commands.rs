//! The command line in the documentation: every verb and flag is described, and every command that
//! a page shows exists.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::docs::{holds, pages};
use crate::markdown::{Page, spans};
use crate::root;
use crate::tidy::none;

/// What the command line prints for these arguments.
fn help(args: &[&str]) -> String {
    let program = env!("CARGO_BIN_EXE_datamigration-under-test");
    let output = Command::new(program).args(args).arg("--help").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Names of subcommands in a help text, with their aliases.
fn verbs(help: &str) -> Vec<String> {
    let after = help.split_once("Commands:\n").map_or("", |(_, after)| after);
    let mut found = Vec::new();
    for line in after.lines().take_while(|line| line.starts_with("  ")) {
        found.extend(line.strip_prefix("  ").and_then(|line| line.split(' ').next()));
        let alias = line.split_once("[alias: ").and_then(|(_, rest)| rest.split(']').next());
        found.extend(alias);
    }
    found.retain(|name| !name.is_empty() && *name != "help");
    found.into_iter().map(str::to_owned).collect()
}

/// Long flags in a help text's column of flags.
fn flags(help: &str) -> Vec<String> {
    let lines = help.lines().filter(|line| line.trim_start().starts_with('-'));
    let flags = lines.filter_map(|line| line.split_once("--"));
    let part = |c: &char| c.is_alphanumeric() || *c == '-';
    let names = flags.map(|(_, rest)| rest.chars().take_while(part).collect::<String>());
    names.map(|name| format!("--{name}")).collect()
}

/// Flags by verb; those of a verb's own verbs by `verb inner`.
fn all() -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for verb in verbs(&help(&[])) {
        let own = help(&[&verb]);
        for inner in verbs(&own) {
            found.insert(format!("{verb} {inner}"), flags(&help(&[&verb, &inner])));
        }
        found.insert(verb, flags(&own));
    }
    assert!(found.len() > 15, "{found:?}");
    found
}

#[test]
fn every_verb_and_flag_is_described() {
    let text = fs::read_to_string(root().join("docs/reference/cli.md")).unwrap();
    let mut lost = Vec::new();
    for (verb, flags) in all() {
        let word = verb.split(' ').next_back().unwrap_or_default();
        if !text.contains(&format!("`{word}")) {
            lost.push(verb.clone());
        }
        let known = ["--help", "--version", "--verbose"];
        let unknown =
            flags.into_iter().filter(|flag| !known.contains(&flag.as_str()) && !holds(&text, flag));
        lost.extend(unknown.map(|flag| format!("{verb} {flag}")));
    }
    none("docs/reference/cli.md does not describe these", &lost);
}

/// Commands of ours that a page shows, as their words after the program's name.
fn shown(page: &Page) -> Vec<Vec<String>> {
    let code = page.code.iter().flat_map(|(_, text)| {
        let text = text.replace("\\\n", " ");
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    let prose = page.lines.iter().flat_map(|(_, line)| spans(line));
    let mut found = Vec::new();
    for line in code.chain(prose) {
        let line = line.split(" # ").next().unwrap_or_default();
        for command in line.split(['|', '&', ';', '(', ')']) {
            let mut words = command.split_whitespace().skip_while(|word| *word == "$").peekable();
            words.next_if_eq(&"kubectl");
            if words.next() == Some("datamigration") {
                found.push(words.map(str::to_owned).collect());
            }
        }
    }
    found
}

/// What is wrong with a command, if anything is.
fn wrong(words: &[String], all: &BTreeMap<String, Vec<String>>) -> Option<String> {
    let verb = words.first().filter(|verb| !verb.starts_with('-'))?;
    let inner = words.get(1).map(|inner| format!("{verb} {inner}"));
    let inner = inner.filter(|inner| all.contains_key(inner));
    let Some(flags) = all.get(inner.as_ref().unwrap_or(verb)) else {
        return Some(format!("there is no verb {verb}"));
    };
    let used = words.iter().take_while(|word| *word != "--").filter(|word| word.starts_with("--"));
    let mut names = used.map(|word| word.split('=').next().unwrap_or_default());
    let unknown = names.find(|name| !flags.iter().any(|flag| flag == name))?;
    Some(format!("{verb} has no flag {unknown}"))
}

#[test]
fn every_command_that_a_page_shows_exists() {
    let all = all();
    let mut broken = Vec::new();
    let mut checked = 0;
    for page in pages().iter().filter(|page| page.name != "CHANGELOG.md") {
        for words in shown(page) {
            checked += 1;
            if let Some(why) = wrong(&words, &all) {
                broken.push(format!("{}: {}: {why}", page.name, words.join(" ")));
            }
        }
    }
    none("these commands do not exist", &broken);
    assert!(checked > 40, "{checked} commands were checked");
}

#[test]
fn commands_are_found_and_judged() {
    let text = "`kubectl datamigration list`\n\n```\n\
                $ datamigration exec --dry-run \\\n  --region=x -- a --b\n\
                helm upgrade datamigration charts\n```\n";
    let found = shown(&Page::parse("p.md", text));
    assert_eq!(found.len(), 2);
    let flags = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let all = BTreeMap::from([
        ("exec".to_owned(), flags(&["--dry-run", "--region"])),
        ("archive".to_owned(), Vec::new()),
        ("archive gc".to_owned(), flags(&["--keep"])),
    ]);
    let judged = |text: &str| wrong(&flags(&text.split(' ').collect::<Vec<_>>()), &all);
    assert_eq!(
        found.iter().find_map(|words| wrong(words, &all)),
        Some("there is no verb list".into())
    );
    assert_eq!(judged("archive gc --keep 1"), None);
    assert_eq!(judged("archive gc --run x"), Some("archive has no flag --run".into()));
}
