//! No circles among the files of a package: whoever reads one file can read what it uses first, and
//! comes to an end. A module may use those it is inside of: that is where its types are. In some
//! packages not even that: [`STRICT`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::root;

/// Packages, by folder of src/, whose modules do not use those they are inside of.
const STRICT: [&str; 4] = ["api", "entry", "operator", "report"];

/// A module's path inside its package: `["overlay", "state"]`.
type Module = Vec<String>;

/// The files below a folder by the module that each holds; those of tests are left out.
fn modules(source: &Path, folder: &Path, found: &mut BTreeMap<Module, PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            modules(source, &path, found);
            continue;
        }
        let name = path.strip_prefix(source).unwrap().with_extension("");
        let mut module: Module =
            name.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        let is_test = module.iter().any(|part| part == "tests" || part.ends_with("_tests"));
        if is_test || path.extension().is_none_or(|suffix| suffix != "rs") {
            continue;
        }
        if module.last().is_some_and(|last| last == "mod" || last == "lib") {
            module.pop();
        }
        found.insert(module, path);
    }
}

/// A file's text without its comments and its tests.
fn code(text: &str) -> String {
    let lines =
        text.lines().take_while(|line| *line != "#[cfg(test)]" || !text.contains("mod tests {"));
    lines.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The paths in a `use` declaration: `a::{b, c::d}` has two.
fn paths(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim();
    let Some((before, rest)) = tree.split_once('{') else {
        let last = tree.split(" as ").next().unwrap_or_default();
        return vec![last.split("::").map(|part| part.trim().to_owned()).collect()];
    };
    let start: Vec<String> =
        before.split("::").map(|part| part.trim().to_owned()).filter(|p| !p.is_empty()).collect();
    let (mut depth, mut item, mut found) = (0, String::new(), Vec::new());
    for c in rest.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth < 0 || (c == ',' && depth == 0) {
            if !item.trim().is_empty() {
                found.extend(paths(&item));
            }
            item.clear();
            if depth < 0 {
                break;
            }
        } else {
            item.push(c);
        }
    }
    found.into_iter().map(|path| start.iter().cloned().chain(path).collect()).collect()
}

/// All paths in a file that begin at the package's root, at the file's own module or at one around
/// it.
fn used(own: &Module, text: &str) -> Vec<Module> {
    let words = ["crate::", "super::", "self::"];
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = words.iter().filter_map(|word| rest.find(word)).min() {
        let begin = &rest[at..];
        let end = begin.find([';', '(', ')', '<', '>', '!', '.']).unwrap_or(begin.len());
        let tree = &begin[..end];
        // Outside of `use` a path ends where no name goes on.
        let tree = match tree.split_once('{') {
            Some((before, _)) if before.ends_with("::") => tree,
            _ => {
                tree.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).next().unwrap()
            }
        };
        for path in paths(tree) {
            let up = path.iter().take_while(|part| *part == "super").count();
            let names = path.iter().skip(up.max(1)).cloned();
            let around = match path[0].as_str() {
                "crate" => 0,
                _ => own.len().saturating_sub(up),
            };
            found.push(own[..around].iter().cloned().chain(names).collect());
        }
        rest = &begin[tree.find('{').unwrap_or(tree.len())..];
    }
    found
}

/// The modules inside of a module that its file names without a path that leads to them.
fn children<'a>(
    own: &'a Module,
    text: &'a str,
    files: &'a BTreeMap<Module, PathBuf>,
) -> impl Iterator<Item = Module> + 'a {
    let inside = files.keys().filter(|module| module.len() == own.len() + 1);
    let is_named = |module: &&Module| {
        let name = format!("{}::", module[own.len()]);
        text.match_indices(&name).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            before.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == ':'))
        })
    };
    inside.filter(|module| module.starts_with(own)).filter(is_named).cloned()
}

/// The modules that each module uses; those around it only if that is asked for.
fn edges(source: &Path, with_parents: bool) -> BTreeMap<Module, BTreeSet<Module>> {
    let mut files = BTreeMap::new();
    modules(source, source, &mut files);
    let mut all = BTreeMap::new();
    for (own, file) in &files {
        let text = code(&fs::read_to_string(file).unwrap());
        let mut targets = BTreeSet::new();
        for path in used(own, &text) {
            let known = (0..=path.len()).rev().map(|n| path[..n].to_vec());
            let Some(target) = known.into_iter().find(|target| files.contains_key(target)) else {
                continue;
            };
            let is_parent = own.starts_with(&target);
            // The root declares the package's modules and has nothing else.
            if !is_parent || (with_parents && target != *own && !target.is_empty()) {
                targets.insert(target);
            }
        }
        if with_parents && !own.is_empty() {
            targets.extend(children(own, &text, &files));
        }
        all.insert(own.clone(), targets);
    }
    all
}

/// One circle, if there is any: what is left when modules that use nothing left are taken away.
fn circle(mut edges: BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<Module>> {
    loop {
        let free: Vec<Module> = edges
            .iter()
            .filter(|(_, targets)| targets.iter().all(|target| !edges.contains_key(target)))
            .map(|(module, _)| module.clone())
            .collect();
        if free.is_empty() {
            break;
        }
        for module in free {
            edges.remove(&module);
        }
    }
    let mut way = vec![edges.keys().next()?.clone()];
    loop {
        let next = edges[way.last()?].iter().find(|target| edges.contains_key(*target))?.clone();
        if let Some(at) = way.iter().position(|module| *module == next) {
            way.push(next);
            return Some(way.split_off(at));
        }
        way.push(next);
    }
}

#[test]
fn no_files_of_a_package_use_each_other_in_a_circle() {
    let mut broken = Vec::new();
    let mut packages = 0;
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let package = entry.unwrap();
        let source = package.path().join("src");
        packages += 1;
        let is_strict = STRICT.iter().any(|name| *name == package.file_name());
        if let Some(way) = circle(edges(&source, is_strict)) {
            let way: Vec<String> = way.iter().map(|module| module.join("/")).collect();
            broken.push(format!("{}: {}", source.display(), way.join(" → ")));
        }
    }
    assert!(packages > 5, "src has {packages} packages only");
    assert!(broken.is_empty(), "these files use each other:\n  {}", broken.join("\n  "));
}

#[test]
fn a_circle_is_found_and_a_child_may_use_its_parent() {
    let module = |name: &str| -> Module { name.split('/').map(Into::into).collect() };
    let of = |all: &[(&str, &[&str])]| -> BTreeMap<Module, BTreeSet<Module>> {
        all.iter().map(|(a, b)| (module(a), b.iter().map(|b| module(b)).collect())).collect()
    };
    assert_eq!(circle(of(&[("a", &["b"]), ("b", &["c"]), ("c", &[])])), None);
    let found = circle(of(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])])).unwrap();
    assert_eq!(found, [module("b"), module("c"), module("b")]);
    let text = "use crate::a::{self, b::{C, D}};\nuse self::l::M;\n\
                let x = crate::e::f(1) + super::super::g::H;";
    let expected: Vec<Module> =
        ["a/self", "a/b/C", "a/b/D", "i/j/k/l/M", "e/f", "i/g/H"].map(module).into();
    assert_eq!(used(&module("i/j/k"), text), expected);
    assert_eq!(code("use a;\n// crate::b\n#[cfg(test)]\nmod tests {\n}\n"), "use a;");
}

#[test]
fn in_a_strict_package_a_child_that_uses_its_parent_is_a_circle() {
    let folder = std::env::temp_dir().join(format!("circles-{}", std::process::id()));
    fs::create_dir_all(folder.join("a")).unwrap();
    fs::write(folder.join("lib.rs"), "mod a;\n").unwrap();
    fs::write(folder.join("a.rs"), "mod b;\nfn f() { b::g() }\n").unwrap();
    fs::write(folder.join("a/b.rs"), "use super::f;\n").unwrap();
    let found = [false, true].map(|strict| circle(edges(&folder, strict)));
    fs::remove_dir_all(&folder).unwrap();
    let module = |name: &str| -> Module { name.split('/').map(Into::into).collect() };
    assert_eq!(found, [None, Some(vec![module("a"), module("a/b"), module("a")])]);
}
