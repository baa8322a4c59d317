//! `cargo xtask page`: the HTML page of reports in a real browser. Not a stage of the tests,
//! because a browser is large.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use dm_testbed::checkout::Checkout;
use dm_testbed::command::{command, run as run_quietly, show};
use dm_testbed::console::step;
use dm_testbed::fingerprint::Fingerprint;
use dm_testbed::machine;
use dm_testbed::parts::cached;

/// Names the node modules to the test (src/report/tests/browser).
const MODULES_VARIABLE: &str = "PAGE_MODULES";

/// Opens the pages and checks them.
pub fn run(checkout: &Checkout) -> Result<()> {
    machine::prepare_for_page()?;
    let modules = modules(checkout)?.join("node_modules");
    let arguments = ["test", "--quiet", "--workspace", "--test", "browser", "--", "--nocapture"];
    show(
        command("cargo", arguments).current_dir(&checkout.root).env(MODULES_VARIABLE, modules),
        "testing the page in Chromium",
    )
}

/// The driver of the browser and the checker of accessibility.
fn modules(checkout: &Checkout) -> Result<PathBuf> {
    let source = checkout.root.join("src/report/tests/browser");
    let files = ["package.json", "package-lock.json"];
    let mut recipe = Fingerprint::default().text("page 1");
    for file in files {
        recipe = recipe.file(&source.join(file))?;
    }
    cached(&checkout.cache, "page", "node", &recipe.key(), |place| {
        step("installing puppeteer-core and axe-core with npm", || {
            for file in files {
                fs::copy(source.join(file), place.join(file))
                    .with_context(|| format!("copying {file}"))?;
            }
            run_quietly(
                command("npm", ["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
                    .current_dir(place),
                "installing the packages with npm",
            )
        })
    })
}
