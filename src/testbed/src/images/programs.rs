//! Images that users' programs run in: Python with boto3, Node.js with the AWS SDK, and a program
//! with its own entrypoint. All three stand on one Debian layer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Image, Layer, Start, layer, open_layer, write_image};
use crate::checkout::Checkout;
use crate::command::{capture, command, run};
use crate::console::step;
use crate::fingerprint::{Fingerprint, files_below};
use crate::parts::cached;

/// What Debian's minimal system lacks for programs that talk to AWS.
const DEBIAN_PACKAGES: &str = "python3,ca-certificates";

/// What no program in a test reads: half the size of the layer.
const DROPPED: &[&str] = &[
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/i18n",
    "usr/share/perl",
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/lib/x86_64-linux-gnu/perl-base",
    "usr/bin/perl",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/lib/dpkg/info",
    "var/log",
];

/// The images for users' programs.
#[derive(Clone, Debug)]
pub struct ProgramImages {
    /// Python 3 and boto3.
    pub python: Image,
    /// Node.js and the AWS SDK's DynamoDB clients.
    pub node: Image,
    /// A program in an image, started by its entrypoint.
    pub program: Image,
}

/// Builds the images, or finds them in the cache.
pub fn all(checkout: &Checkout) -> Result<ProgramImages> {
    let base = debian_layer(checkout)?;
    let python_layer = python_layer(checkout)?;
    let images = checkout.cache.join("images");
    let python = compose(
        &images,
        "python",
        &[&base, &python_layer],
        &Start { command: vec!["python3"], ..Start::default() },
    )?;
    let node = compose(
        &images,
        "node",
        &[&base, &node_layer(checkout)?],
        &Start {
            command: vec!["node"],
            environment: vec!["NODE_PATH=/node_modules".to_owned()],
            ..Start::default()
        },
    )?;
    let program_layer = program_layer(checkout)?;
    let program = compose(
        &images,
        "program",
        &[&base, &python_layer, &program_layer],
        &Start { entrypoint: vec!["python3", "/app/main.py"], ..Start::default() },
    )?;
    Ok(ProgramImages { python, node, program })
}

fn compose(images: &Path, name: &str, layers: &[&Layer], start: &Start) -> Result<Image> {
    let mut fingerprint = Fingerprint::default().text(&format!("{start:?}"));
    for layer in layers {
        fingerprint = fingerprint.text(&layer.digest);
    }
    let key = fingerprint.key();
    let reference = format!("datamigration-test-{name}:{key}");
    let layers: Vec<Layer> = layers.iter().copied().cloned().collect();
    write_image(&images.join(format!("{name}-{key}")), &reference, &layers, start)
}

fn debian_layer(checkout: &Checkout) -> Result<Layer> {
    let (mirror, suite) = debian_mirror();
    let key = Fingerprint::default()
        .text("debian 1")
        .text(&suite)
        .text(DEBIAN_PACKAGES)
        .text(&DROPPED.join(" "))
        .key();
    let place = cached(&checkout.cache, "layers", &format!("debian-{suite}"), &key, |place| {
        step(&format!("making a Debian {suite} layer with Python"), || {
            let root = fresh(&place.join("root"))?;
            let mut debootstrap = command("debootstrap", ["--variant=minbase"]);
            debootstrap.arg(format!("--include={DEBIAN_PACKAGES}")).arg(&suite).arg(&root);
            run(debootstrap.args(mirror), "making a minimal Debian system with debootstrap")?;
            for dropped in DROPPED {
                let path = root.join(dropped);
                let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
            }
            finish_layer(place, &root)
        })
    })?;
    open_layer(&place.join("layer.tar"))
}

/// The mirror and the suite this machine's own packages come from.
fn debian_mirror() -> (Option<String>, String) {
    let targets = capture(
        &mut command(
            "apt-get",
            ["indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"],
        ),
        "asking apt for its mirror",
    )
    .unwrap_or_default();
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let suite = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .unwrap_or("stable")
        .to_owned();
    let mirror = targets
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(uri, codename)| *codename == suite && uri.trim_end_matches('/').ends_with("debian"))
        .map(|(uri, _)| uri.to_owned());
    (mirror, suite)
}

fn python_layer(checkout: &Checkout) -> Result<Layer> {
    let recipe = checkout.testbed().join("images/python");
    let key = Fingerprint::default().text("python 1").folder(&recipe)?.key();
    let place = cached(&checkout.cache, "layers", "python", &key, |place| {
        step("making the Python layer with boto3", || {
            let root = fresh(&place.join("root"))?;
            run(
                command("python3", ["-m", "pip", "install", "--quiet", "--no-compile"])
                    .args(["--root-user-action=ignore", "--disable-pip-version-check"])
                    .arg("--requirement")
                    .arg(recipe.join("requirements.txt"))
                    .arg("--target")
                    // Debian's Python 3 looks here whatever its minor version.
                    .arg(root.join("usr/lib/python3/dist-packages")),
                "installing the Python packages with pip",
            )?;
            finish_layer(place, &root)
        })
    })?;
    open_layer(&place.join("layer.tar"))
}

fn node_layer(checkout: &Checkout) -> Result<Layer> {
    let recipe = checkout.testbed().join("images/node");
    let key = Fingerprint::default().text("node 1").folder(&recipe)?.key();
    let place = cached(&checkout.cache, "layers", "node", &key, |place| {
        step("making the Node.js layer with the AWS SDK", || {
            // At the root, so that every working directory finds the modules by looking upwards.
            let root = fresh(&place.join("root"))?;
            for file in ["package.json", "package-lock.json"] {
                fs::copy(recipe.join(file), root.join(file))
                    .with_context(|| format!("copying {file} into the layer"))?;
            }
            run(
                command("npm", ["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
                    .current_dir(&root),
                "installing Node.js and the AWS SDK with npm",
            )?;
            for file in ["package.json", "package-lock.json"] {
                fs::remove_file(root.join(file)).with_context(|| format!("removing {file}"))?;
            }
            let binary =
                root.join(format!("node_modules/node-linux-{}/bin/node", node_architecture()));
            fs::create_dir_all(root.join("usr/local/bin")).context("making usr/local/bin")?;
            fs::rename(&binary, root.join("usr/local/bin/node"))
                .context("moving the node program to usr/local/bin")?;
            finish_layer(place, &root)
        })
    })?;
    open_layer(&place.join("layer.tar"))
}

fn node_architecture() -> &'static str {
    if super::architecture() == "arm64" { "arm64" } else { "x64" }
}

/// The example of a program in an image brings its files; until there are any, a stand-in says so.
fn program_layer(checkout: &Checkout) -> Result<Layer> {
    let source = program_folder(checkout);
    let mut fingerprint = Fingerprint::default().text("program 1");
    if let Some(source) = &source {
        fingerprint = fingerprint.folder(source)?;
    }
    let place = cached(&checkout.cache, "layers", "program", &fingerprint.key(), |place| {
        let root = fresh(&place.join("root"))?;
        let app = root.join("app");
        fs::create_dir_all(&app).context("making the program's folder")?;
        match &source {
            Some(source) => copy_files(source, &app)?,
            None => {
                fs::write(app.join("main.py"), "print(\"no program was put into this image\")\n")
                    .context("writing the stand-in program")?;
            }
        }
        finish_layer(place, &root)
    })?;
    open_layer(&place.join("layer.tar"))
}

fn program_folder(checkout: &Checkout) -> Option<PathBuf> {
    let mut examples: Vec<PathBuf> = fs::read_dir(checkout.root.join("migrations"))
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("0003-"))
        })
        .map(|path| path.join("image"))
        .filter(|path| path.join("main.py").is_file())
        .collect();
    examples.sort();
    examples.into_iter().next()
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for path in files_below(from)? {
        let place = to.join(path.strip_prefix(from).unwrap_or(&path));
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        fs::copy(&path, &place).with_context(|| format!("copying {}", path.display()))?;
    }
    Ok(())
}

fn fresh(root: &Path) -> Result<PathBuf> {
    let _ = fs::remove_dir_all(root);
    fs::create_dir_all(root).with_context(|| format!("making {}", root.display()))?;
    Ok(root.to_path_buf())
}

fn finish_layer(place: &Path, root: &Path) -> Result<()> {
    layer(root, &place.join("layer.tar"), true)?;
    remove_root(root)
}

fn remove_root(root: &Path) -> Result<()> {
    // By a program: what debootstrap leaves has modes and links that are better left to it.
    run(
        Command::new("rm").args(["-rf", "--one-file-system"]).arg(root),
        "removing a layer's unpacked files",
    )
}
