//! What this machine must have before the test bed is built. Debian's packages are installed; what
//! is not to be had there is named all at once, before any work starts.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::command::{capture, command, run, succeeds};
use crate::console::step;
use crate::images::datamigration::certificates;

/// Go that can build the parts: the `go` line of their modules.
const GO_MINOR_MIN: u32 = 26;

/// Java that runs DynamoDB Local.
const JAVA_MAJOR_MIN: u32 = 17;

/// Programs from Debian's packages: a file that shows that it is there, and the package it comes
/// in.
const FROM_DEBIAN: &[(&str, &str)] = &[
    ("gcc", "gcc"),
    ("make", "make"),
    ("pkg-config", "pkg-config"),
    ("debootstrap", "debootstrap"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("openssl", "openssl"),
    ("mount", "mount"),
    ("setsid", "util-linux"),
    ("tar", "tar"),
    ("strip", "binutils"),
];

/// Programs that have to be there: their name and how a person gets them.
const FROM_THE_PERSON: &[(&str, &str)] = &[
    ("kubectl", "kubectl"),
    ("mvn", "Maven (mvn)"),
    ("npm", "npm, with Node.js 20 or newer"),
    ("python3", "Python 3 with pip"),
];

/// Finds a program on the search path, and in the folders of system programs that a login may lack.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// Checks for everything that the local cluster is built and run with.
pub fn prepare_for_cluster() -> Result<()> {
    let mut missing = Vec::new();
    if !cfg!(target_os = "linux") {
        missing.push("Linux".to_owned());
    }
    if !is_root() {
        missing.push("root (namespaces, mounts and a bridge are made)".to_owned());
    }
    missing.extend(missing_go());
    missing.extend(missing_java());
    for (name, wanted) in FROM_THE_PERSON {
        if program(name).is_none() {
            missing.push((*wanted).to_owned());
        }
    }
    let packages = missing_packages();
    if !packages.is_empty() && (program("apt-get").is_none() || !is_root()) {
        missing.push(format!("the packages {}", packages.join(", ")));
    }
    if !missing.is_empty() {
        bail!(
            "a cluster cannot be built on this machine; it lacks:\n  - {}\nInstall these, or start \
             a container engine with kind, or name your cluster: KUBECONFIG=… cargo xtask \
             cluster up --existing",
            missing.join("\n  - ")
        );
    }
    install(&packages)
}

/// Checks for what DynamoDB Local alone needs.
pub fn prepare_for_dynamodb() -> Result<()> {
    let mut missing: Vec<String> = missing_java().into_iter().collect();
    if program("mvn").is_none() {
        missing.push("Maven (mvn)".to_owned());
    }
    if !missing.is_empty() {
        bail!(
            "DynamoDB Local cannot be started; this machine lacks:\n  - {}",
            missing.join("\n  - ")
        );
    }
    Ok(())
}

/// Checks for what the clients of AWS's SDKs are built and run with.
pub fn prepare_for_clients() -> Result<()> {
    let mut missing: Vec<String> = missing_go().into_iter().chain(missing_java()).collect();
    for (name, wanted) in [
        ("javac", "javac of a JDK"),
        ("mvn", "Maven (mvn)"),
        ("node", "Node.js 20 or newer"),
        ("npm", "npm"),
        ("python3", "Python 3 with pip"),
    ] {
        if program(name).is_none() {
            missing.push(wanted.to_owned());
        }
    }
    if !missing.is_empty() {
        bail!(
            "the clients of AWS's SDKs cannot be built; this machine lacks:\n  - {}",
            missing.join("\n  - ")
        );
    }
    Ok(())
}

/// Checks for what a release is built with, and installs Debian's packages of it.
pub fn prepare_for_dist(targets: &[String]) -> Result<()> {
    let mut missing: Vec<String> = missing_go().into_iter().collect();
    if !cfg!(target_os = "linux") {
        missing.push("Linux".to_owned());
    }
    for target in targets {
        let library = capture(
            &mut command("rustc", ["--print", "target-libdir", "--target", target]),
            "asking rustc for a target's library",
        );
        if !library.is_ok_and(|folder| Path::new(folder.trim()).is_dir()) {
            missing.push(format!("Rust's library for {target}: rustup target add {target}"));
        }
    }
    let mut packages: Vec<&str> = [("git", "git"), ("cc", "gcc"), ("make", "make")]
        .into_iter()
        .filter(|(name, _)| program(name).is_none())
        .map(|(_, package)| package)
        .collect();
    if certificates().is_none() {
        packages.push("ca-certificates");
    }
    if !Path::new("/usr/include/stdio.h").exists() {
        packages.push("libc6-dev");
    }
    if !packages.is_empty() && (program("apt-get").is_none() || !is_root()) {
        missing.push(format!("the packages {}", packages.join(", ")));
    }
    if !missing.is_empty() {
        bail!("a release cannot be built; this machine lacks:\n  - {}", missing.join("\n  - "));
    }
    install(&packages)
}

/// Checks for what the page of a report is tested with, and installs the browser.
pub fn prepare_for_page() -> Result<()> {
    for (name, wanted) in [("node", "Node.js 20 or newer"), ("npm", "npm")] {
        if program(name).is_none() {
            bail!("the page cannot be tested; this machine lacks {wanted}");
        }
    }
    if program("chromium").is_some() {
        return Ok(());
    }
    if program("apt-get").is_none() || !is_root() {
        bail!(
            "the page cannot be tested; this machine lacks chromium: install it, or run this as \
             root"
        );
    }
    install(&["chromium", "fonts-dejavu-core"])
}

/// Whether a container engine answers and kind is there to use it.
pub fn has_kind() -> bool {
    program("kind").is_some() && succeeds(&mut command("docker", ["info"]))
}

fn is_root() -> bool {
    capture(&mut command("id", ["-u"]), "asking who runs this").is_ok_and(|id| id.trim() == "0")
}

fn missing_go() -> Option<String> {
    let found = capture(
        command("go", ["env", "GOVERSION"]).env("GOTOOLCHAIN", "local"),
        "asking Go for its version",
    );
    let minor = found.ok().and_then(|text| text.trim().split('.').nth(1)?.parse::<u32>().ok());
    (minor < Some(GO_MINOR_MIN)).then(|| format!("Go 1.{GO_MINOR_MIN} or newer"))
}

fn missing_java() -> Option<String> {
    let output = Command::new("java").arg("-version").output().ok();
    let major = output.and_then(|output| {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        text.split('"').nth(1)?.split('.').next()?.parse::<u32>().ok()
    });
    (major < Some(JAVA_MAJOR_MIN)).then(|| format!("a JDK, {JAVA_MAJOR_MIN} or newer"))
}

fn missing_packages() -> Vec<&'static str> {
    let mut packages: Vec<&str> = FROM_DEBIAN
        .iter()
        .filter(|(name, _)| program(name).is_none())
        .map(|(_, package)| *package)
        .collect();
    if !Path::new("/usr/include/seccomp.h").exists() {
        packages.push("libseccomp-dev");
    }
    packages
}

fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    step(&format!("installing {}", packages.join(", ")), || {
        run(&mut apt_get(&["update", "-qq"]), "refreshing the package lists")?;
        let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
        arguments.extend(packages);
        run(&mut apt_get(&arguments), "installing packages")
    })
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut apt_get = command("apt-get", arguments);
    apt_get.env("DEBIAN_FRONTEND", "noninteractive");
    apt_get
}
