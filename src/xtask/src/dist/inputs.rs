//! What a release is made with besides its commit. Equal bytes need equal versions of these, so
//! they are written down, and those that end up in the programs are in the bill of materials.

use std::fmt::Write as _;

use anyhow::{Context, Result};

use dm_testbed::command::{capture, command};

/// A library's name and version.
#[derive(Clone, Debug)]
pub struct Library {
    /// The name of its package.
    pub name: &'static str,
    pub version: String,
    /// Whether Debian packaged it.
    pub is_debians: bool,
}

/// Versions of compilers and libraries.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// `rustc -V` without the program's name.
    pub rustc: String,
    /// The version of the C compiler.
    pub cc: String,
    /// Debian's package of the C library that is linked in, or what `ldd` says of it.
    pub libc: Library,
    /// The version of the bundle of CA certificates, where Debian's packages have one.
    pub certificates: Option<Library>,
}

impl Inputs {
    /// Asks the compilers and Debian's packages.
    pub fn read() -> Result<Self> {
        let first_line = |program: &str, arguments: &[&str]| -> Result<String> {
            let text = capture(
                &mut command(program, arguments),
                &format!("asking {program} for its version"),
            )?;
            let line = text.lines().next().context("a version is empty")?;
            Ok(line.trim().to_owned())
        };
        let package = |name: &str| {
            first_line("dpkg-query", &["--show", "--showformat=${Version}", name]).ok()
        };
        let libc = if let Some(version) = package("libc6-dev") {
            Library { name: "libc6-dev", version, is_debians: true }
        } else {
            let version = first_line("ldd", &["--version"])?;
            Library { name: "libc", version, is_debians: false }
        };
        Ok(Self {
            rustc: first_line("rustc", &["--version"])?.trim_start_matches("rustc ").to_owned(),
            cc: first_line("cc", &["--version"])?,
            libc,
            certificates: package("ca-certificates").map(|version| Library {
                name: "ca-certificates",
                version,
                is_debians: true,
            }),
        })
    }

    /// The list that is part of a release.
    pub fn listed(&self, commit: &str, helm: &str) -> String {
        let mut text = String::new();
        let certificates = self.certificates.as_ref().map_or("unknown", |one| one.version.as_str());
        for (name, version) in [
            ("commit", commit),
            ("rustc", &self.rustc),
            ("cc", &self.cc),
            ("libc", &self.libc.version),
            ("ca-certificates", certificates),
            ("helm", helm),
        ] {
            let _ = writeln!(text, "{name}: {version}");
        }
        text
    }
}
