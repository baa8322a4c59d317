//! The processes that are measured: the mock and guards, each on its own, so that the CPU of one
//! can be told from that of the others.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::cpu::cpu_of;

/// A guard that does not serve by then will not.
const START_MAX: Duration = Duration::from_secs(20);

/// Where the mock's certificate is.
pub fn certificate(folder: &Path) -> PathBuf {
    folder.join("certificate.pem")
}

/// A child of ours, ended with us.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
}

impl Process {
    /// The mock: this program, under another name.
    /// With a certificate, that it writes there, it speaks TLS.
    pub fn mock(delay: Duration, certificate: Option<&PathBuf>) -> Result<Self> {
        let delay = delay.as_micros().to_string();
        let certificate = certificate.map(|path| path.to_string_lossy());
        let arguments = ["mock", &delay].into_iter().chain(certificate.as_deref());
        Self::of_ours(&arguments.collect::<Vec<&str>>())
    }

    /// This program, as a server that prints its address first.
    fn of_ours(arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {arguments:?}"))?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output")?).read_line(&mut line)?;
        let address = line.trim().parse();
        Ok(Self { child, address: address.with_context(|| format!("{arguments:?} says {line}"))? })
    }

    /// A relay before the mock: this program, under yet another name.
    pub fn relay(mock: SocketAddr) -> Result<Self> {
        Self::of_ours(&["relay", &mock.to_string()])
    }

    /// A guard before the mock, with its log and what it keeps in a folder.
    pub fn guard(mock: &str, mode: Mode, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{mode:?}.log"));
        let termination = folder.join(format!("{mode:?}.json"));
        let plan = mode.plan(mock, folder);
        let mut child = Command::new(env!("CARGO_BIN_EXE_datamigration-guard"))
            .args([
                "--listen",
                "127.0.0.1:0",
                "--control-listen",
                "127.0.0.1:0",
                "--termination-log",
            ])
            .arg(termination)
            .env("DATAMIGRATION_PLAN", plan.to_string())
            .envs(certificate(folder).exists().then(|| ("AWS_CA_BUNDLE", certificate(folder))))
            .envs([("AWS_ACCESS_KEY_ID", "bench"), ("AWS_SECRET_ACCESS_KEY", "bench")])
            .env("DATAMIGRATION_ACCESS_KEY_ID", "bench")
            .stderr(fs::File::create(&log)?)
            .spawn()
            .context("starting a guard")?;
        let begun = Instant::now();
        loop {
            let said = fs::read_to_string(&log)?;
            let address = said
                .split("program_address=")
                .nth(1)
                .and_then(|rest| rest.split_whitespace().next());
            if let Some(address) = address {
                return Ok(Self {
                    child,
                    address: address.parse().context("the guard's address")?,
                });
            }
            if begun.elapsed() > START_MAX || child.try_wait()?.is_some() {
                let _ = child.kill();
                bail!("the guard does not serve:\n{said}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// CPU that it has used.
    pub fn cpu(&self) -> Result<Duration> {
        cpu_of(&self.child.id().to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU that this process has used: the load generator's.
pub fn own_cpu() -> Result<Duration> {
    cpu_of("self")
}

/// What a guard does with writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They go to the mock, as with `datamigration guard --mode pass`.
    Pass,
    /// They go to the mock after their entry is durable in a local folder.
    Journal,
    /// They go to an overlay.
    DryRun,
}

impl Mode {
    pub const ALL: [Mode; 3] = [Mode::Pass, Mode::Journal, Mode::DryRun];

    fn plan(self, mock: &str, folder: &Path) -> Value {
        let archive = json!({
            "url": format!("file://{}", folder.join("archive").display()),
            "migration": "bench",
        });
        let mut plan = json!({
            "version": 1,
            "run": {"namespace": "bench", "name": "bench", "uid": "bench", "number": 1},
            "mode": if self == Mode::DryRun { "DryRun" } else { "Apply" },
            "upstream": {"region": "eu-west-1", "endpoint": mock},
            "policy": {"controlPlane": self == Mode::Pass},
        });
        if self == Mode::Journal {
            plan["archive"] = archive;
        }
        plan
    }
}
