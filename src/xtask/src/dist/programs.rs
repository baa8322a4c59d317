//! The programs of a release, linked statically and without a trace of the folder that they were
//! built in.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use dm_testbed::command::{capture, command, show};
use dm_testbed::console::say;

/// Packages and the programs that are made from them.
const PROGRAMS: &[(&str, &str)] = &[
    ("dm-operator", "datamigration-operator"),
    ("dm-guard", "datamigration-guard"),
    ("dm-entry", "datamigration-entry"),
    ("dm-cli", COMMAND_LINE),
];

/// The program for people; the others are in the image.
pub const COMMAND_LINE: &str = "datamigration";

/// jemalloc returns memory of a large request to the system within a second; its default is ten.
const JEMALLOC: (&str, &str) =
    ("JEMALLOC_SYS_WITH_MALLOC_CONF", "dirty_decay_ms:1000,muzzy_decay_ms:0");

/// Kernels for arm64 have pages of 4, 16 or 64 KiB. jemalloc runs on all of them if it is built for
/// the largest: 2^16.
const JEMALLOC_ARM: (&str, &str) = ("JEMALLOC_SYS_WITH_LG_PAGE", "16");

/// Separates flags in `CARGO_ENCODED_RUSTFLAGS`.
const SEPARATOR: &str = "\u{1f}";

/// A target and its programs.
#[derive(Clone, Debug)]
pub struct Built {
    pub target: String,
    folder: PathBuf,
}

impl Built {
    pub fn program(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path(name);
        fs::read(&path).with_context(|| format!("reading {}", path.display()))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The target's architecture, as images and krew name it.
    pub fn architecture(&self) -> Result<&'static str> {
        architecture(&self.target)
    }
}

/// Where and how programs are built.
#[derive(Clone, Copy, Debug)]
pub struct Recipe<'a> {
    pub root: &'a Path,
    pub folder: &'a Path,
    pub profile: &'a str,
    pub time: u64,
}

/// Names of the programs that the image holds.
pub fn in_image() -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().map(|(_, name)| *name).filter(|name| *name != COMMAND_LINE)
}

/// Names of the packages that the programs are made from.
pub fn packages() -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().map(|(package, _)| *package)
}

/// An architecture as images and krew name it.
pub fn architecture(target: &str) -> Result<&'static str> {
    match target.split('-').next() {
        Some("x86_64") => Ok("amd64"),
        Some("aarch64") => Ok("arm64"),
        _ => bail!("--target {target}: releases are for x86_64 and aarch64, Linux"),
    }
}

/// The target that this machine's compiler builds for.
pub fn host() -> Result<String> {
    let version = capture(&mut command("rustc", ["-vV"]), "asking rustc for its host")?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV does not name its host")
}

/// Builds all programs for a target.
pub fn build(recipe: Recipe<'_>, target: &str) -> Result<Built> {
    say(&format!("  building the programs for {target}"));
    let prefixes = prefixes(recipe)?;
    let mut cargo = command("cargo", ["build", "--locked", "--profile", recipe.profile]);
    cargo.args(["--target", target, "--target-dir"]).arg(recipe.folder);
    for (package, program) in PROGRAMS {
        cargo.args(["--package", package, "--bin", program]);
    }
    // With a target the flags do not reach build scripts and macros, which cannot be static.
    cargo
        .current_dir(recipe.root)
        .env("CARGO_ENCODED_RUSTFLAGS", rust_flags(&prefixes))
        .env_remove("RUSTFLAGS")
        .env(format!("CFLAGS_{}", target.replace('-', "_")), c_flags(&prefixes))
        .env(JEMALLOC.0, JEMALLOC.1)
        .env("CARGO_INCREMENTAL", "0")
        .env("SOURCE_DATE_EPOCH", recipe.time.to_string())
        .env("LC_ALL", "C")
        .env("TZ", "UTC");
    if architecture(target)? == "arm64" {
        cargo.env(JEMALLOC_ARM.0, JEMALLOC_ARM.1);
    }
    show(&mut cargo, &format!("building the programs for {target}"))?;
    let profile = if recipe.profile == "dev" { "debug" } else { recipe.profile };
    let built =
        Built { target: target.to_owned(), folder: recipe.folder.join(target).join(profile) };
    for (_, name) in PROGRAMS {
        if has_interpreter(&built.program(name)?)? {
            bail!("{name} for {target} is linked dynamically; a release's programs are static");
        }
    }
    Ok(built)
}

/// Folders of the build and the names that stand for them in programs. The compilers use the last
/// that fits.
fn prefixes(recipe: Recipe<'_>) -> Result<Vec<(String, &'static str)>> {
    run_fetch(recipe.root)?;
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))
        .context("neither CARGO_HOME nor HOME says where cargo keeps sources")?;
    let sources = home.join("registry/src");
    for folder in [recipe.root, recipe.folder, &sources] {
        if folder.to_string_lossy().contains(char::is_whitespace) {
            bail!(
                "{} has a space in its name, and flags for the C compiler cannot; build in another \
                 folder",
                folder.display()
            );
        }
    }
    let entries =
        fs::read_dir(&sources).with_context(|| format!("listing {}", sources.display()))?;
    let mut registries = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("listing {}", sources.display()))?.path();
        registries.push((path.display().to_string(), "/crates"));
    }
    registries.sort();
    let mut found = vec![(recipe.root.display().to_string(), "/datamigration")];
    found.extend(registries);
    found.push((recipe.folder.display().to_string(), "/build"));
    Ok(found)
}

/// The registry's folder has to exist before its name can be replaced.
fn run_fetch(root: &Path) -> Result<()> {
    dm_testbed::command::run(
        command("cargo", ["fetch", "--locked", "--quiet"]).current_dir(root),
        "fetching the dependencies",
    )
}

fn rust_flags(prefixes: &[(String, &str)]) -> String {
    let remaps = prefixes.iter().map(|(from, to)| format!("--remap-path-prefix={from}={to}"));
    let flags = std::iter::once("-Ctarget-feature=+crt-static".to_owned()).chain(remaps);
    flags.collect::<Vec<_>>().join(SEPARATOR)
}

fn c_flags(prefixes: &[(String, &str)]) -> String {
    let maps = prefixes.iter().map(|(from, to)| format!("-ffile-prefix-map={from}={to}"));
    maps.collect::<Vec<_>>().join(" ")
}

/// Whether a program of 64 bits asks for a loader, by its program headers (System V ABI, "Program
/// Header").
fn has_interpreter(program: &[u8]) -> Result<bool> {
    const INTERPRETER: u64 = 3;
    let number = |at: usize, size: usize| -> Result<usize> {
        let bytes = program.get(at..at + size).context("the program's headers are cut short")?;
        let number = bytes.iter().rev().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        usize::try_from(number).context("a program header is out of range")
    };
    if program.get(..6) != Some(&[0x7f, b'E', b'L', b'F', 2, 1]) {
        bail!("the program is not an ELF file of 64 bits, little endian");
    }
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        if number(table + index * size, 4)? as u64 == INTERPRETER {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with one program header of this type.
    fn elf(kind: u8) -> Vec<u8> {
        let mut file = vec![0; 64 + 56];
        file[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        (file[32], file[54], file[56], file[64]) = (64, 56, 1, kind);
        file
    }

    #[test]
    fn a_program_that_asks_for_a_loader_is_found() {
        assert!(has_interpreter(&elf(3)).unwrap());
        assert!(!has_interpreter(&elf(1)).unwrap());
        assert!(has_interpreter(&elf(1)[..60]).is_err(), "cut short");
        assert!(has_interpreter(b"#!/bin/sh\nexec x\n").is_err());
        let ours = fs::read(env::current_exe().unwrap()).unwrap();
        assert!(has_interpreter(&ours).unwrap(), "tests are linked dynamically");
    }

    #[test]
    fn flags_name_each_folder_once_and_the_target_folder_last() {
        let prefixes = [("/a b".to_owned(), "/x"), ("/a b/t".to_owned(), "/y")];
        assert_eq!(
            rust_flags(&prefixes).split(SEPARATOR).collect::<Vec<_>>(),
            [
                "-Ctarget-feature=+crt-static",
                "--remap-path-prefix=/a b=/x",
                "--remap-path-prefix=/a b/t=/y"
            ]
        );
    }

    #[test]
    fn releases_are_for_two_architectures() {
        assert_eq!(architecture("x86_64-unknown-linux-musl").unwrap(), "amd64");
        assert_eq!(architecture("aarch64-unknown-linux-gnu").unwrap(), "arm64");
        assert!(architecture("riscv64gc-unknown-linux-gnu").is_err());
    }
}
