//! What the chart's roles for people allow: just what README and the operator's messages tell them
//! to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::root;

type Rules = BTreeMap<String, BTreeSet<String>>;

/// The rules of the role whose name ends so, and its labels, from the chart's template.
fn role(suffix: &str) -> (Rules, String) {
    let path = root().join("charts/datamigration/templates/userroles.yaml");
    let text = fs::read_to_string(path).unwrap();
    let document =
        text.split("\n---\n").find(|one| one.contains(&format!("$name }}}}-{suffix}\n")));
    let document = document.unwrap_or_else(|| panic!("there is no role {suffix}")).to_owned();
    let (labels, rules) = document.split_once("\nrules:\n").unwrap();
    let list = |line: &str| -> Vec<String> {
        let inner = line.split_once('[').unwrap().1.split_once(']').unwrap().0;
        inner.split(',').map(|part| part.trim().trim_matches('"').to_owned()).collect()
    };
    let mut found = Rules::new();
    let mut resources = Vec::new();
    for line in rules.lines().map(str::trim) {
        if line.starts_with("resources:") {
            resources = list(line);
        } else if line.starts_with("verbs:") {
            for resource in &resources {
                found.entry(resource.clone()).or_default().extend(list(line));
            }
        }
    }
    (found, labels.to_owned())
}

fn rules(all: &[(&str, &str)]) -> Rules {
    let verbs = |verbs: &str| verbs.split(' ').map(str::to_owned).collect();
    all.iter().map(|(resource, all)| ((*resource).to_owned(), verbs(all))).collect()
}

#[test]
fn an_author_has_what_authors_do_and_no_more() {
    let (found, labels) = role("author");
    let see = "get list watch";
    let write = "get list watch create update patch delete";
    let expected = rules(&[
        ("datamigrations", write),
        ("migrationtargets", see),
        ("configmaps", write),
        ("jobs", see),
        ("pods", see),
        ("pods/log", "get"),
        ("events", see),
    ]);
    assert_eq!(found, expected);
    assert!(!labels.contains("aggregate-to-edit"), "whoever edits is not yet an author");
    let (viewer, _) = role("viewer");
    assert_eq!(viewer, rules(&[("datamigrations", see), ("migrationtargets", see)]));
}

/// What a command of kubectl needs, as far as README and messages use it.
fn needs(command: &str) -> Vec<(String, &'static str)> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let (verb, rest) = (words[1], &words[2..]);
    let named = rest.iter().find(|word| !word.starts_with('-')).copied().unwrap_or_default();
    let resource = match named.split(['/', ',']).next().unwrap_or_default() {
        "datamigration" | "datamigrations" | "dm" => "datamigrations",
        "migrationtarget" | "migrationtargets" | "dmt" => "migrationtargets",
        "configmap" | "configmaps" => "configmaps",
        "job" | "jobs" => "jobs",
        "pod" | "pods" => "pods",
        _ => "",
    };
    let of = |verb| vec![(resource.to_owned(), verb)];
    match verb {
        "get" => [of("get"), of("list"), of("watch")].concat(),
        "describe" => [of("get"), of("list"), vec![("events".into(), "list")]].concat(),
        "patch" => [of("get"), of("patch")].concat(),
        "create" => of("create"),
        "delete" => of("delete"),
        "logs" if rest.contains(&"-l") => {
            vec![("pods".into(), "list"), ("pods/log".into(), "get")]
        }
        "logs" => [of("get"), vec![("pods".into(), "list"), ("pods/log".into(), "get")]].concat(),
        "apply" => {
            let apply = |verb| ("datamigrations".to_owned(), verb);
            vec![apply("get"), apply("create"), apply("patch")]
        }
        _ => Vec::new(),
    }
}

/// Commands of kubectl in a text.
fn commands(text: &str) -> Vec<String> {
    let ends = |c: char| matches!(c, '\n' | '`' | ')' | '"' | ';');
    let all = text.match_indices("kubectl ").map(|(at, _)| text[at..].split(ends).next().unwrap());
    all.map(str::to_owned).collect()
}

fn check(place: &str, text: &str, allowed: &Rules) -> usize {
    let mut checked = 0;
    for command in commands(text) {
        for (resource, verb) in needs(&command) {
            let known = !resource.is_empty() && !resource.contains('{');
            assert!(known, "{place}: teach this test what {command:?} needs");
            let has = allowed.get(&resource).is_some_and(|verbs| verbs.contains(verb));
            assert!(has, "{place}: {command:?} needs {verb} on {resource}");
            checked += 1;
        }
    }
    checked
}

#[test]
fn the_first_migrations_steps_for_authors_need_nothing_else() {
    let page = "docs/how-to/first-migration.md";
    let text = fs::read_to_string(root().join(page)).unwrap();
    let steps = text.split_once("**2. A program**").unwrap().1;
    assert!(check(page, steps, &role("author").0) >= 10);
}

#[test]
fn what_messages_tell_an_author_to_do_the_author_can() {
    let mut checked = 0;
    let mut folders = vec![root().join("src/operator/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).unwrap();
                // A comment tells nobody to do it.
                let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                // A long sentence goes on in the next line.
                let code = code.collect::<Vec<_>>().join("\n").replace("\\\n", "");
                checked += check(&path.display().to_string(), &code, &role("author").0);
            }
        }
    }
    assert!(checked >= 10, "{checked}");
}
