//! `cargo xtask demo`: the worked examples, shown on a cluster from beginning to end.

use anyhow::{Result, bail};

use crate::checkout::Checkout;

/// Runs the demonstration; `keep` leaves the cluster up.
pub fn run(_checkout: &Checkout, _keep: bool) -> Result<()> {
    bail!("the demonstration is not written yet")
}
