//! A chapter of the demo: the promoted migration was a mistake. In the meantime others have changed
//! cars; what they did stays, and all else is as it was.

use anyhow::Result;

use super::files::{ARCHIVE, PRICES};
use super::teller::{Teller, print_chapter};
use super::{CAR, CARS, COUNT, await_field, expect_field};

/// Cars that somebody paints.
const PAINTED: &str = "10";

/// Cars whose price somebody corrects. They are among the painted ones.
const REPRICED: &str = "2";

/// The others get back what they had.
const GOT_BACK: &str = "404";

/// Tells it. `on_this_machine` says that the archive's files can be looked at.
pub fn tell(teller: &mut Teller, on_this_machine: bool) -> Result<()> {
    print_chapter("Others keep writing: somebody paints ten cars, somebody corrects two prices");
    let others = teller.read(&format!("{CARS} digest price color"))?;
    teller.show(&format!("{CARS} change {PAINTED} color red"))?;
    teller.show(&format!("{CARS} change {REPRICED} price 1"))?;
    preview(teller)?;
    restore(teller)?;
    let priced = teller.read(&format!("{CARS} count price"))?;
    teller.expect("only the two prices that somebody corrected are left", REPRICED, &priced);
    let painted = teller.read(&format!("{CARS} count color"))?;
    teller.expect("the ten colours are kept", PAINTED, &painted);
    teller.show(&format!("{CARS} show {CAR}"))?;
    let after = teller.read(&format!("{CARS} digest price color"))?;
    teller.expect("everything else is byte for byte as before", &others, &after);
    if on_this_machine { report(teller) } else { Ok(()) }
}

fn preview(teller: &mut Teller) -> Result<()> {
    print_chapter("The migration was a mistake: what would be restored?");
    let before = teller.read(&format!("{CARS} digest"))?;
    let patch = "--type merge --patch '{\"spec\": {\"state\": \"Restored\", \"dryRun\": true}}'";
    teller.show(&format!("kubectl -n demo patch dm {PRICES} {patch}"))?;
    await_field(teller, PRICES, "restorePreview.result")?;
    teller.show("kubectl -n demo get dm")?;
    show_status(teller, "restorePreview")?;
    expect_field(teller, PRICES, "phase", "RestorePreviewOK")?;
    expect_effects(teller, "restorePreview")?;
    let after = teller.read(&format!("{CARS} digest"))?;
    teller.expect("the preview wrote nothing", &before, &after);
    Ok(())
}

fn restore(teller: &mut Teller) -> Result<()> {
    print_chapter("It is restored, attribute by attribute");
    let patch = "--type merge --patch '{\"spec\": {\"dryRun\": false}}'";
    teller.show(&format!("kubectl -n demo patch dm {PRICES} {patch}"))?;
    await_field(teller, PRICES, "restored.result")?;
    teller.show("kubectl -n demo get dm")?;
    teller.show(&format!("kubectl -n demo get dm {PRICES} -o yaml | sed -n '/^status:/,$p'"))?;
    expect_field(teller, PRICES, "phase", "Restored")?;
    expect_effects(teller, "restored")
}

fn expect_effects(teller: &mut Teller, field: &str) -> Result<()> {
    expect_field(teller, PRICES, &format!("{field}.effects.items"), COUNT)?;
    expect_field(teller, PRICES, &format!("{field}.effects.restored"), GOT_BACK)?;
    expect_field(teller, PRICES, &format!("{field}.effects.conflicts"), REPRICED)
}

/// A part of the status, as YAML.
fn show_status(teller: &Teller, field: &str) -> Result<()> {
    let part = format!("/^  {field}:/,/^  [a-qs-z]/p");
    teller.show(&format!("kubectl -n demo get dm {PRICES} -o yaml | sed -n '{part}'"))
}

/// What the archive keeps of it.
fn report(teller: &mut Teller) -> Result<()> {
    print_chapter("The full report is in the archive, where it outlives the object");
    let path = "jsonpath='{.status.restored.run}'";
    let run = teller.ask(&format!("kubectl -n demo get dm {PRICES} -o {path}"))?;
    let file = format!("{ARCHIVE}/runs/demo.{PRICES}/{run:0>6}/report.json");
    let report = teller.read(&format!("cat {file}"))?;
    let conflicts = report.matches("\"price\"").count().to_string();
    teller.expect("the report lists both conflicts with key and attribute", REPRICED, &conflicts);
    teller.show(&format!("cd {ARCHIVE} && find . -type f -not -path '*/journal/*' | sort"))
}
