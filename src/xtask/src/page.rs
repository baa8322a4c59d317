//! `cargo xtask page`: the HTML page of reports in a real browser. Not a stage of the tests,
//! because a browser is large.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::demo;
use dm_testbed::checkout::Checkout;
use dm_testbed::command::{command, run as run_quietly, show};
use dm_testbed::console::step;
use dm_testbed::fingerprint::Fingerprint;
use dm_testbed::machine;
use dm_testbed::parts::cached;

/// Names the node modules to the test (src/report/tests/browser).
const MODULES_VARIABLE: &str = "PAGE_MODULES";

/// The README's picture of a report, and the window that it shows.
const PICTURE: &str = "docs/report.png";
const WINDOW: &str = "--window-size=1040,760";

/// What is in the picture.
const MIGRATION: &str = "migrations/0001-add-price-to-cars";

/// Makes the README's picture again: the report of a dry run of the first example.
pub fn record(checkout: &Checkout) -> Result<()> {
    machine::prepare_for_page()?;
    let (programs, packages) = demo::programs(checkout)?;
    let folder = checkout.target().join("tmp/picture");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let page = folder.join("report.html");
    let mut html = OsString::from("--html=");
    html.push(&page);
    let mut dry_run = command(programs.join("datamigration"), ["run", MIGRATION, "--reset"]);
    dry_run.arg("--second-pass").arg(html).current_dir(&checkout.root);
    // Who made the picture is nobody's business.
    for name in ["GITHUB_ACTOR", "GITLAB_USER_LOGIN", "USER", "LOGNAME"] {
        dry_run.env_remove(name);
    }
    if let Some(packages) = packages {
        dry_run.env("PYTHONPATH", packages);
    }
    run_quietly(&mut dry_run, "dry-running the first example")?;
    step("taking the picture", || {
        let mut picture = OsString::from("--screenshot=");
        picture.push(checkout.root.join(PICTURE));
        let mut address = OsString::from("file://");
        address.push(&page);
        let mut chromium = command("chromium", ["--headless=new", "--no-sandbox", WINDOW]);
        chromium.args(["--hide-scrollbars", "--disable-gpu", "--force-device-scale-factor=1.5"]);
        run_quietly(chromium.arg(picture).arg(address), "opening the report in Chromium")
    })
}

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
