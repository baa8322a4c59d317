//! The page in a real browser: `cargo xtask page` prepares one and runs this. Elsewhere the test
//! says that it is skipped.
//!
//! `check.mjs` beside this file opens each page at several sizes, and looks for what only a browser
//! knows: that no hostile script runs, that axe finds no serious fault, that the keyboard reaches
//! everything, and that a report of a million items opens in time.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod pages;

use std::path::Path;
use std::process::Command;

/// Names the folder of node modules with puppeteer-core and axe-core.
const MODULES: &str = "PAGE_MODULES";

#[test]
fn pages_work_in_a_browser() {
    let Some(modules) = std::env::var_os(MODULES) else {
        println!("skipped: {MODULES} is not set; `cargo xtask page` sets it");
        return;
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    pages::write(&folder);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/check.mjs");
    let status = Command::new("node")
        .arg(script)
        .arg(&folder)
        .env(MODULES, modules)
        .status()
        .expect("starting node");
    assert!(status.success(), "the page is not right; see above");
}
