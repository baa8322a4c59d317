//! Which interpreter a script asks for: by its first line, else by its suffix. Pure.

use std::path::Path;

use dm_contract::interpreters;

/// An interpreter and the arguments before the script's name.
#[derive(Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// A name to look up in `PATH`, or an absolute path.
    pub name: String,
    /// What it is given before the script's name.
    pub args: Vec<String>,
}

/// What the first line of a file asks for; `None` where it is no `#!` line.
///
/// It is read as Linux reads it (one argument at most), with three mistakes forgiven that people
/// make because they work elsewhere: a byte order mark, a carriage return at the end, and several
/// words after `env` without its `-S`.
pub fn of_first_line(head: &[u8]) -> Option<Interpreter> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).strip_prefix(b"#!")?;
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let line = line.trim();
    let (name, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    if name.is_empty() {
        return None;
    }
    let rest = rest.trim();
    if name.ends_with("/env")
        && let Some(interpreter) = of_env(rest)
    {
        return Some(interpreter);
    }
    let args = if rest.is_empty() { Vec::new() } else { vec![rest.to_owned()] };
    Some(Interpreter { name: name.to_owned(), args })
}

/// What `env` would start, where that is plain. Its own flags, assignments, quotes and variables
/// are left to `env` itself.
fn of_env(rest: &str) -> Option<Interpreter> {
    let split = rest.strip_prefix("-S").or_else(|| rest.strip_prefix("--split-string="));
    let rest = split.unwrap_or(rest);
    let mut words = rest.split_whitespace().map(str::to_owned);
    let name = words.next()?;
    if name.starts_with('-') || name.contains('=') || rest.contains(['"', '\'', '\\', '$', '#']) {
        return None;
    }
    Some(Interpreter { name, args: words.collect() })
}

/// The interpreters that understand a file with this suffix, the preferred first; empty for others.
pub fn of_suffix(file: &Path) -> Vec<Interpreter> {
    let suffix = file.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
    let interpreter = |words: &&[&str]| Interpreter {
        name: words[0].to_owned(),
        args: words[1..].iter().map(|word| (*word).to_owned()).collect(),
    };
    interpreters::of_suffix(suffix).iter().map(interpreter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &str, expected: Option<&[&str]>) {
        let found =
            of_first_line(head.as_bytes()).map(|found| [vec![found.name], found.args].concat());
        let expected = expected.map(|words| words.iter().map(|w| (*w).to_owned()).collect());
        assert_eq!(found, expected, "{head:?}");
    }

    #[test]
    fn a_first_line_names_the_interpreter() {
        check("#!/bin/sh\necho", Some(&["/bin/sh"]));
        check("#! /bin/bash -e -u \n", Some(&["/bin/bash", "-e -u"]));
        check("#!/usr/bin/env python3\n", Some(&["python3"]));
        check("#!/usr/bin/env -S deno run --allow-net\n", Some(&["deno", "run", "--allow-net"]));
        check("#!/usr/bin/env -Snode --no-warnings\n", Some(&["node", "--no-warnings"]));
        check("#!/usr/bin/env --split-string=node a\n", Some(&["node", "a"]));
        check("#!/usr/bin/python3", Some(&["/usr/bin/python3"]));
    }

    #[test]
    fn common_mistakes_are_forgiven() {
        check("#!/usr/bin/env python3\r\nimport x\r\n", Some(&["python3"]));
        check("\u{feff}#!/bin/sh\n", Some(&["/bin/sh"]));
        check("#!/usr/bin/env python3 -u\n", Some(&["python3", "-u"]));
    }

    #[test]
    fn what_only_env_understands_is_left_to_it() {
        check("#!/usr/bin/env -i sh\n", Some(&["/usr/bin/env", "-i sh"]));
        check("#!/usr/bin/env -S A=1 sh\n", Some(&["/usr/bin/env", "-S A=1 sh"]));
        check("#!/usr/bin/env -S sh -c 'a b'\n", Some(&["/usr/bin/env", "-S sh -c 'a b'"]));
        check("#!/usr/bin/env\n", Some(&["/usr/bin/env"]));
    }

    #[test]
    fn other_first_lines_name_none() {
        for head in ["", "import os\n", "# !/bin/sh\n", "#!\n", "\n#!/bin/sh\n", "\u{7f}ELF"] {
            check(head, None);
        }
    }

    #[test]
    fn a_suffix_has_its_interpreters() {
        let names = |file: &str| {
            let found = of_suffix(Path::new(file));
            found.into_iter().map(|found| found.name).collect::<Vec<_>>().join(" ")
        };
        let table = [
            ("main.py", "python3 python"),
            ("a/b.mjs", "node"),
            ("b.cjs", "node"),
            ("b.js", "node"),
            ("b.ts", "tsx deno node"),
            ("c.sh", "sh"),
            ("c.bash", "bash"),
            ("d.rb", "ruby"),
            ("e.pl", "perl"),
            ("f.php", "php"),
            ("g.sql", ""),
            ("Makefile", ""),
            (".py", ""),
        ];
        for (file, expected) in table {
            assert_eq!(names(file), expected, "{file}");
        }
    }
}
