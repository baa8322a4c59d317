//! A chapter of the demo: the cluster is lost, and the database with it. A new cluster gets the
//! same files and the same archive, and does not run what was applied.

use anyhow::Result;

use super::files::{ARCHIVE, FOLDER, PRICES};
use super::teller::{Teller, print_chapter, print_command};
use super::{CARS, await_field, expect_field, give_target};
use dm_testbed::checkout::Checkout;
use dm_testbed::cluster;

pub fn tell(checkout: &Checkout, teller: &mut Teller) -> Result<()> {
    let times = format!(
        "kubectl -n demo get dm {PRICES} -o \
         jsonpath='{{.status.executionTime}} {{.status.finalizationTime}}'"
    );
    let applied = teller.read(&times)?;
    print_chapter(
        "The whole cluster is lost: API server, operator, every object. The archive is not",
    );
    print_command("cargo xtask cluster down");
    cluster::down(checkout)?;
    teller.show(&format!("cd {ARCHIVE} && find . -type f -not -path '*/journal/*' | sort"))?;
    print_command("cargo xtask cluster up");
    cluster::up(checkout, &cluster::Options::default())?;
    teller.set_variables(cluster::variables(checkout)?);
    print_chapter(
        "GitOps restores every object. The table is loaded again: a program that ran would price \
         it",
    );
    give_target(teller)?;
    teller.show(&format!("{CARS} load {FOLDER}/cars.json"))?;
    let before = teller.read(&format!("{CARS} digest"))?;
    let overlay = format!("{FOLDER}/{PRICES}/kustomization.yaml");
    teller.show(&format!("sed -i 's/dryRun: true/dryRun: false/' {overlay}"))?;
    teller.show(&format!("kubectl apply -k {FOLDER}/{PRICES}"))?;
    await_field(teller, PRICES, "applied.result")?;
    teller.show("kubectl -n demo get dm")?;
    teller.show(&format!("kubectl -n demo get dm {PRICES} -o yaml | sed -n '/^status:/,$p'"))?;
    teller.show("kubectl -n demo get events -o custom-columns=REASON:.reason,MESSAGE:.message")?;
    expect_field(teller, PRICES, "phase", "Applied")?;
    expect_field(teller, PRICES, "runs[0].reason", "Adopted")?;
    // Run 1 was the dry run of the first cluster's object.
    expect_field(teller, PRICES, "applied.adoptedFrom", &format!("demo.{PRICES}/2"))?;
    let adopted = teller.read(&times)?;
    teller.expect("the times are those of the run that did it", &applied, &adopted);
    let after = teller.read(&format!("{CARS} digest"))?;
    teller.expect("the program did not run: no car was changed", &before, &after);
    let priced = teller.read(&format!("{CARS} count price"))?;
    teller.expect("no car has a price", "0", &priced);
    Ok(())
}
