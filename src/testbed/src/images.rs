//! Container images made without a container engine: a layer is a tar of a folder, an image is a
//! tar of layers with a configuration. Images are tagged by what is in them, so equal content has
//! equal names and changed content makes a Deployment roll.

pub mod datamigration;
pub mod programs;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::command::{command, run};
use crate::fingerprint::sha256_of;

/// Name and place of an image that can be imported.
#[derive(Clone, Debug)]
pub struct Image {
    pub reference: String,
    /// The archive, as `docker save` would write it.
    pub archive: PathBuf,
}

/// A layer: an uncompressed tar and its digest.
#[derive(Clone, Debug)]
pub struct Layer {
    tar: PathBuf,
    digest: String,
}

/// How a container of the image starts.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Numeric user, empty for root.
    pub user: &'static str,
    pub entrypoint: Vec<&'static str>,
    /// What runs when nothing else is asked for.
    pub command: Vec<&'static str>,
    /// Environment, as `NAME=value`.
    pub environment: Vec<String>,
}

/// Packs a folder into a layer. Times are fixed, so that equal folders make equal layers.
pub fn layer(root: &Path, tar: &Path, keep_owners: bool) -> Result<Layer> {
    let mut pack = command("tar", ["--sort=name", "--mtime=@0", "--numeric-owner"]);
    if !keep_owners {
        pack.args(["--owner=0", "--group=0"]);
    }
    run(
        pack.arg("-C").arg(root).arg("-cf").arg(tar).arg("."),
        &format!("packing the layer {}", tar.display()),
    )?;
    open_layer(tar)
}

/// A layer that was packed before.
pub fn open_layer(tar: &Path) -> Result<Layer> {
    let kept = tar.with_extension("sha256");
    let digest = if let Ok(digest) = fs::read_to_string(&kept) {
        digest
    } else {
        let digest = sha256_of(tar)?;
        fs::write(&kept, &digest).with_context(|| format!("writing {}", kept.display()))?;
        digest
    };
    Ok(Layer { tar: tar.to_path_buf(), digest })
}

/// Writes an image's archive into `folder`, which only this image uses.
pub fn write_image(
    folder: &Path,
    reference: &str,
    layers: &[Layer],
    start: &Start,
) -> Result<Image> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let archive = folder.join("image.tar");
    let image = Image { reference: reference.to_owned(), archive: archive.clone() };
    if archive.exists() {
        return Ok(image);
    }
    let contents = folder.join("contents");
    let _ = fs::remove_dir_all(&contents);
    fs::create_dir_all(&contents).with_context(|| format!("making {}", contents.display()))?;
    let mut names = Vec::new();
    for layer in layers {
        let name = format!("{}.tar", layer.digest);
        // A hard link: the same bytes under the name the archive wants.
        fs::hard_link(&layer.tar, contents.join(&name))
            .or_else(|_| fs::copy(&layer.tar, contents.join(&name)).map(|_| ()))
            .with_context(|| format!("adding the layer {}", layer.tar.display()))?;
        names.push(name);
    }
    write_json(&contents.join("config.json"), &configuration(layers, start))?;
    write_json(
        &contents.join("manifest.json"),
        &json!([{"Config": "config.json", "RepoTags": [reference], "Layers": names}]),
    )?;
    let unfinished = folder.join("image.tar.unfinished");
    run(
        command("tar", ["-C"]).arg(&contents).arg("-cf").arg(&unfinished).arg("."),
        &format!("packing the image {reference}"),
    )?;
    fs::remove_dir_all(&contents).with_context(|| format!("removing {}", contents.display()))?;
    fs::rename(&unfinished, &archive)
        .with_context(|| format!("moving the image to {}", archive.display()))?;
    Ok(image)
}

fn configuration(layers: &[Layer], start: &Start) -> Value {
    let digests: Vec<String> =
        layers.iter().map(|layer| format!("sha256:{}", layer.digest)).collect();
    let mut environment = vec![
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        "LANG=C.UTF-8".to_owned(),
    ];
    environment.extend(start.environment.iter().cloned());
    json!({
        "architecture": architecture(),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "User": start.user,
            "Env": environment,
            "Entrypoint": start.entrypoint,
            "Cmd": start.command,
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": digests},
    })
}

/// This machine's architecture by the name images use.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    fs::write(path, value.to_string()).with_context(|| format!("writing {}", path.display()))
}
