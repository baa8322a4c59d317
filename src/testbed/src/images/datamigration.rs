//! The project's own image, and the one of a pod's sandbox. The operator and the guard are linked
//! with this machine's C library, which is copied beside them; the entry program is fully static,
//! because it is copied into images of which nothing is known.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Image, Start, layer, write_image};
use crate::checkout::Checkout;
use crate::command::{capture, command, run, show};
use crate::console::step;
use crate::fingerprint::Fingerprint;

/// The sandbox image's name; it is pinned in containerd's configuration.
pub const PAUSE_REFERENCE: &str = "datamigration.dev/pause:1";

/// The user of our containers: any number but root's, the one distroless images made common.
pub const USER: &str = "65532";

/// Bundles of CA certificates, as Debian, Fedora and SUSE name them.
const CERTIFICATES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];

/// Builds the Rust programs and puts them into one image.
pub fn agent(checkout: &Checkout) -> Result<Image> {
    let programs = [
        ("datamigration-operator", dynamic_programs(checkout)?.join("datamigration-operator")),
        ("datamigration-guard", dynamic_programs_folder(checkout).join("datamigration-guard")),
        ("datamigration-entry", static_entry(checkout)?),
    ];
    let mut fingerprint = Fingerprint::default().text("agent 1");
    for (name, path) in &programs {
        fingerprint = fingerprint.text(name).file(path)?;
    }
    let key = fingerprint.key();
    let folder = checkout.target().join("images").join(format!("datamigration-{key}"));
    let reference = format!("datamigration:dev-{key}");
    if folder.join("image.tar").exists() {
        return write_image(&folder, &reference, &[], &Start::default());
    }
    step(&format!("making the image {reference}"), || {
        forget_others(&folder)?;
        let root = folder.join("root");
        fill(&root, &programs)?;
        let packed = layer(&root, &folder.join("layer.tar"), false)?;
        let start = Start { user: USER, ..Start::default() };
        let image = write_image(&folder, &reference, &[packed], &start)?;
        let _ = fs::remove_dir_all(&root);
        let _ = fs::remove_file(folder.join("layer.tar"));
        Ok(image)
    })
}

/// The image of a pod's sandbox.
pub fn pause(checkout: &Checkout, program: &Path) -> Result<Image> {
    let key = Fingerprint::default().file(program)?.key();
    let folder = checkout.cache.join("images").join(format!("pause-{key}"));
    let root = folder.join("root");
    if !folder.join("image.tar").exists() {
        fs::create_dir_all(&root).with_context(|| format!("making {}", root.display()))?;
        copy(program, &root.join("pause"))?;
        layer(&root, &folder.join("layer.tar"), false)?;
    }
    let packed = super::open_layer(&folder.join("layer.tar"))?;
    let start = Start { user: "65535", entrypoint: vec!["/pause"], ..Start::default() };
    write_image(&folder, PAUSE_REFERENCE, &[packed], &start)
}

/// This machine's bundle of CA certificates.
pub fn certificates() -> Option<&'static Path> {
    CERTIFICATES.iter().map(Path::new).find(|path| path.exists())
}

fn dynamic_programs_folder(checkout: &Checkout) -> PathBuf {
    checkout.target().join("debug")
}

/// Builds with the profile the tests use: their compiled dependencies are used again.
fn dynamic_programs(checkout: &Checkout) -> Result<PathBuf> {
    show(
        command("cargo", ["build", "--quiet", "-p", "dm-operator", "-p", "dm-guard"])
            .args(["--bin", "datamigration-operator", "--bin", "datamigration-guard"])
            .current_dir(&checkout.root),
        "building the operator and the guard",
    )?;
    Ok(dynamic_programs_folder(checkout))
}

/// A static program needs a flag that no other may have, so it is built in its own folder.
fn static_entry(checkout: &Checkout) -> Result<PathBuf> {
    let triple = host_triple(checkout)?;
    let target = checkout.target().join("static");
    show(
        command("cargo", ["build", "--quiet", "-p", "dm-entry"])
            .args(["--bin", "datamigration-entry", "--target", &triple, "--target-dir"])
            .arg(&target)
            .env("RUSTFLAGS", "-C target-feature=+crt-static -C opt-level=s")
            .current_dir(&checkout.root),
        "building the static entry program",
    )?;
    Ok(target.join(triple).join("debug/datamigration-entry"))
}

fn host_triple(checkout: &Checkout) -> Result<String> {
    let version = capture(
        command("rustc", ["-vV"]).current_dir(&checkout.root),
        "asking rustc for its host",
    )?;
    version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc -vV does not name its host")
}

fn fill(root: &Path, programs: &[(&str, PathBuf)]) -> Result<()> {
    let _ = fs::remove_dir_all(root);
    for folder in ["usr/bin", "etc/ssl/certs", "tmp", "home/nonroot"] {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    }
    set_mode(&root.join("tmp"), 0o1777)?;
    let mut libraries = BTreeSet::new();
    for (name, built) in programs {
        let place = root.join("usr/bin").join(name);
        run(command("strip", ["-o"]).arg(&place).arg(built), "dropping a program's debug symbols")?;
        set_mode(&place, 0o755)?;
        libraries.extend(libraries_of(built)?);
    }
    for library in libraries {
        let place = root.join(library.strip_prefix("/").unwrap_or(&library));
        copy(&library, &place)?;
    }
    if let Some(bundle) = certificates() {
        copy(bundle, &root.join("etc/ssl/certs/ca-certificates.crt"))?;
    }
    write(
        &root.join("etc/passwd"),
        "root:x:0:0:root:/:/none\nnonroot:x:65532:65532:nonroot:/home/nonroot:/none\n",
    )?;
    write(&root.join("etc/group"), "root:x:0:\nnonroot:x:65532:\n")?;
    // Names are looked up in /etc/hosts first and then asked of the cluster's DNS.
    write(&root.join("etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n")
}

/// The shared libraries a program is linked with, by the paths under which its loader looks for
/// them.
fn libraries_of(program: &Path) -> Result<Vec<PathBuf>> {
    // ldd fails for a static program, which then has none.
    let output = command("ldd", [program]).output().context("asking ldd for shared libraries")?;
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect())
}

/// Images of earlier builds would fill the target folder.
fn forget_others(folder: &Path) -> Result<()> {
    let images = folder.parent().context("the folder of images has no parent")?;
    if images.is_dir() {
        for entry in
            fs::read_dir(images).with_context(|| format!("listing {}", images.display()))?
        {
            let path = entry.context("listing earlier images")?.path();
            if path.is_dir() {
                fs::remove_dir_all(&path)
                    .with_context(|| format!("removing the earlier image {}", path.display()))?;
            }
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    fs::copy(from, to)
        .map(|_| ())
        .with_context(|| format!("copying {} to {}", from.display(), to.display()))
}

fn write(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content).with_context(|| format!("writing {}", path.display()))
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("setting the mode of {}", path.display()))
}
