//! DynamoDB Local: fetched by Maven, run in memory. It keeps tables apart by access key and region
//! (it is not started with `-sharedDb`), so a test that invents an access key has a database to
//! itself, and a program that gets round the guard with worthless credentials finds no tables at
//! all.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::cached;
use crate::checkout::Checkout;
use crate::command::{command, run};
use crate::console::step;
use crate::fingerprint::Fingerprint;

/// It is ready within about 3 s; a machine that also compiles may take several times that.
pub const READY_MAX: Duration = Duration::from_secs(60);

/// Between two looks at its port.
const POLL_PERIOD: Duration = Duration::from_millis(100);

/// Heap of the JVM. The tests' tables are small; without a bound it would take a quarter of the
/// memory.
const HEAP: &str = "-Xmx768m";

/// The folder with DynamoDB Local's jars and native libraries.
pub fn library(checkout: &Checkout) -> Result<PathBuf> {
    let recipe = checkout.testbed().join("dynamodb");
    let key = Fingerprint::default().folder(&recipe)?.key();
    cached(&checkout.cache, "maven", "dynamodb-local", &key, |place| {
        step("fetching DynamoDB Local", || {
            run(
                command("mvn", ["-q", "-B", "-f"])
                    .arg(recipe.join("pom.xml"))
                    .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
                    .arg(format!("-DoutputDirectory={}", place.display())),
                "copying DynamoDB Local and its dependencies with Maven",
            )
        })
    })
}

/// The command that serves DynamoDB on a port. It listens on every address, as it has no option for
/// it.
pub fn server(library: &Path, port: u16) -> Command {
    let mut server = command("java", [HEAP]);
    server
        .arg(format!("-Djava.library.path={}", library.display()))
        .arg("-cp")
        .arg(format!("{}/*", library.display()))
        .arg("software.amazon.dynamodb.services.local.main.ServerRunner")
        .args(["-inMemory", "-disableTelemetry", "-port", &port.to_string()]);
    server
}

/// Waits until something listens on the loopback port.
pub fn wait_until_ready(port: u16, log: &Path) -> Result<()> {
    let begun = Instant::now();
    while TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).is_err() {
        if begun.elapsed() > READY_MAX {
            bail!(
                "DynamoDB Local does not listen on port {port} after {} s; its log is {}:\n{}",
                READY_MAX.as_secs(),
                log.display(),
                crate::command::last_lines_of(log, 20)
            );
        }
        std::thread::sleep(POLL_PERIOD);
    }
    Ok(())
}

/// A program that stands in for DynamoDB Local: dynoxide, which is nearer to AWS.
const DYNOXIDE: &str = "DYNOXIDE";

/// Runs `work` with a DynamoDB its own Local on a free port, or with the dynoxide that
/// `DYNOXIDE` names, and stops it afterwards.
pub fn during<T>(checkout: &Checkout, work: impl FnOnce(&str) -> Result<T>) -> Result<T> {
    let port = free_port()?;
    let mut server = if let Some(dynoxide) = std::env::var_os(DYNOXIDE) {
        let mut server = Command::new(dynoxide);
        server.args(["--port", &port.to_string()]);
        server
    } else {
        crate::machine::prepare_for_dynamodb()?;
        server(&library(checkout)?, port)
    };
    let folder = checkout.target().join("dynamodb");
    fs::create_dir_all(&folder)
        .with_context(|| format!("making the folder {}", folder.display()))?;
    let log = folder.join(format!("server-{port}.log"));
    let output = fs::File::create(&log).with_context(|| format!("creating {}", log.display()))?;
    let errors = output.try_clone().context("sharing DynamoDB Local's log")?;
    let mut child = server
        .stdin(std::process::Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .with_context(|| format!("starting {}", server.get_program().display()))?;
    let outcome =
        wait_until_ready(port, &log).and_then(|()| work(&format!("http://127.0.0.1:{port}")));
    child.kill().context("stopping DynamoDB Local")?;
    child.wait().context("waiting for DynamoDB Local to end")?;
    outcome
}

fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("finding a free port")?;
    Ok(listener.local_addr().context("reading the free port's number")?.port())
}
