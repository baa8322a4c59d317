//! The fuzzers' corpus, run through the same functions as they do.

#[path = "../../fuzz/src/lib.rs"]
mod fuzzed;

use std::fs;

use crate::root;

fn run(target: &str, one: fn(&[u8])) {
    let folder = root().join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        one(&fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 0, "{} holds no input", folder.display());
}

#[test]
fn expressions_of_the_corpus_are_answered() {
    run("expression", fuzzed::expression);
}

#[test]
fn statements_of_the_corpus_are_answered() {
    run("statement", fuzzed::statement);
}

#[test]
fn items_of_the_corpus_are_answered() {
    run("item", fuzzed::item);
}

#[test]
fn requests_of_the_corpus_are_answered() {
    run("request", fuzzed::request);
}
