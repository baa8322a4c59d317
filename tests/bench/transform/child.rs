//! The processes that are measured. Each prints how long it took when its work is done, and then
//! waits for the end of its input, so that its CPU and memory can be read.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::cpu::cpu_of;
use crate::table::Table;
use crate::{node, python};

/// The script for boto3.
const SCRIPT: &str = include_str!("update.py");

/// A child of ours, ended with us.
pub struct Child {
    process: std::process::Child,
    says: BufReader<ChildStdout>,
    first_line: Option<String>,
}

/// What a program took.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// From its first request to its last.
    pub seconds: f64,
    /// CPU of all its threads, its start included.
    pub cpu: Duration,
    /// Most memory that it had at once.
    pub peak_kib: u64,
}

impl Child {
    /// This program, in another role.
    pub fn of_ours(arguments: &[&str]) -> Result<Self> {
        Self::start(Command::new(std::env::current_exe()?).args(arguments))
    }

    /// The mock, which prints its address first.
    pub fn mock(table: Table) -> Result<Self> {
        let mut mock = Self::of_ours(&["mock", &table.to_string()])?;
        mock.first_line = Some(mock.line()?);
        Ok(mock)
    }

    /// A script with boto3 and threads.
    pub fn boto3(url: &str) -> Result<Self> {
        let python = python::with_boto3(env!("CARGO_TARGET_TMPDIR").as_ref());
        Self::start(Command::new(python).args(["-c", SCRIPT, url]))
    }

    /// A script with the AWS SDK for JavaScript.
    pub fn javascript(url: &str) -> Result<Self> {
        let script = node::script(env!("CARGO_TARGET_TMPDIR").as_ref())?;
        Self::start(Command::new("node").arg(script).arg(url))
    }

    fn start(command: &mut Command) -> Result<Self> {
        let mut process = command
            .envs([("AWS_ACCESS_KEY_ID", "bench"), ("AWS_SECRET_ACCESS_KEY", "bench")])
            .env("AWS_REGION", "eu-west-1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let says = BufReader::new(process.stdout.take().context("its output")?);
        Ok(Self { process, says, first_line: None })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// Where the mock serves.
    pub fn address(&self) -> Result<SocketAddr> {
        self.first_line.as_deref().context("no address")?.parse().context("an address")
    }

    /// Waits for the end of its work; what it took.
    pub fn end(mut self) -> Result<Ended> {
        let line = self.line()?;
        let seconds = line.parse().with_context(|| format!("the program says: {line}"))?;
        let process = self.process.id();
        Ok(Ended { seconds, cpu: cpu_of(&process.to_string())?, peak_kib: peak_of(process)? })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Prints how long the work took, and waits to be looked at.
pub fn done(took: Duration) -> Result<()> {
    println!("{}", took.as_secs_f64());
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn peak_of(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|rest| rest.split_whitespace().next()).context("VmHWM")?;
    kib.parse().context("VmHWM")
}
