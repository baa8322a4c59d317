//! Tells the demo: prints commands, runs them in the checkout's root folder, compares what came out
//! with what was to come out. The story goes to standard output, whole, so that it can be kept.

use std::process::Command;

use anyhow::{Result, bail};

use dm_testbed::checkout::Checkout;
use dm_testbed::command::{capture, command, show};

pub fn print_chapter(title: &str) {
    println!("\n# {title}");
}

pub fn print_command(line: &str) {
    println!("\n$ {line}");
}

/// The story so far.
pub struct Teller {
    root: std::path::PathBuf,
    variables: Vec<(String, String)>,
    broken: Vec<String>,
    held: usize,
}

impl Teller {
    /// A story whose commands see the variables of the cluster.
    pub fn new(checkout: &Checkout, variables: Vec<(String, String)>) -> Self {
        Self { root: checkout.root.clone(), variables, broken: Vec::new(), held: 0 }
    }

    /// What the commands see from now on.
    pub fn set_variables(&mut self, variables: Vec<(String, String)>) {
        self.variables = variables;
    }

    /// Prints a command and runs it; its output goes where ours does.
    pub fn show(&self, line: &str) -> Result<()> {
        print_command(line);
        show(&mut self.shell(line), line)
    }

    /// Prints a command, runs it, prints and returns its output.
    pub fn read(&self, line: &str) -> Result<String> {
        print_command(line);
        let output = self.ask(line)?;
        println!("{output}");
        Ok(output)
    }

    /// Runs a command that only an expectation needs.
    pub fn ask(&self, line: &str) -> Result<String> {
        Ok(capture(&mut self.shell(line), line)?.trim().to_owned())
    }

    /// Two values have to be equal.
    pub fn expect(&mut self, what: &str, wanted: &str, found: &str) {
        self.hold(what, wanted == found, &format!("found {found:?} and not {wanted:?}"));
    }

    /// Two values have to differ.
    pub fn expect_not(&mut self, what: &str, unwanted: &str, found: &str) {
        self.hold(what, unwanted != found, &format!("found {found:?}"));
    }

    /// An error when anything was not as expected.
    pub fn verdict(&self) -> Result<()> {
        if self.broken.is_empty() {
            println!("\nAll {} expectations held.", self.held);
            return Ok(());
        }
        let count = self.broken.len() + self.held;
        bail!(
            "{} of {count} expectations did not hold:\n  {}",
            self.broken.len(),
            self.broken.join("\n  ")
        );
    }

    fn hold(&mut self, what: &str, held: bool, otherwise: &str) {
        if held {
            println!("  ok  {what}");
            self.held += 1;
        } else {
            println!("  !!  {what}: {otherwise}");
            self.broken.push(format!("{what}: {otherwise}"));
        }
    }

    fn shell(&self, line: &str) -> Command {
        let mut shell = command("sh", ["-c", line]);
        shell.current_dir(&self.root).envs(self.variables.iter().cloned());
        shell
    }
}
