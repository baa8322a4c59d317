//! `cargo xtask dist`: every file of a release, made from one commit without a container engine.
//! The same commit gives the same bytes in any folder. It publishes nothing.

mod chart;
mod compare;
mod image;
mod inputs;
pub mod install;
mod krew;
mod oci;
mod pages;
mod programs;
mod release;
mod sbom;
mod tarball;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use dm_testbed::checkout::Checkout;
use dm_testbed::console::{say, step};
use dm_testbed::fingerprint::sha256;
use dm_testbed::machine;
use dm_testbed::parts::golang;
use inputs::Inputs;
use programs::{Built, Recipe};
use release::Release;

/// The list of all other files with their checksums, as `sha256sum --check` reads it.
pub const SUMS: &str = "SHA256SUMS";

/// What is built, and under which names it will be found.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The folder for the release's files. What an earlier release left there is removed.
    #[arg(long, value_name = "FOLDER", default_value = "target/dist")]
    out: PathBuf,
    /// A target triple; several make one image for all of them. Default: this machine's.
    #[arg(long = "target", value_name = "TRIPLE")]
    targets: Vec<String>,
    /// The image's repository in the registry that it will be pushed to, without a tag.
    #[arg(long, value_name = "REPOSITORY", default_value = "datamigration")]
    image: String,
    /// The address of the source repository, for labels, chart and krew.
    #[arg(long, value_name = "URL")]
    source: Option<String>,
    /// The address of the folder that the files will be downloaded from. Default: the source's
    /// releases.
    #[arg(long, value_name = "URL")]
    download_url: Option<String>,
    /// Cargo's profile. Others than `release` are for trying the recipe.
    #[arg(long, value_name = "NAME", default_value = "release")]
    profile: String,
    /// Build a second time from a copy in another folder, and fail where a byte differs.
    #[arg(long)]
    check: bool,
    /// Build although files differ from the commit.
    #[arg(long)]
    allow_dirty: bool,
}

/// Where one build reads and writes.
struct Place {
    root: PathBuf,
    /// Cargo's target folder of the build.
    build: PathBuf,
    out: PathBuf,
}

pub fn run(checkout: &Checkout, options: &Options) -> Result<()> {
    let targets =
        if options.targets.is_empty() { vec![programs::host()?] } else { options.targets.clone() };
    for target in &targets {
        programs::architecture(target)?;
    }
    let release = Release::read(&checkout.root, options)?;
    machine::prepare_for_dist(&targets)?;
    let helm = golang::helm(checkout)?;
    let target_folder = checkout.root.join(checkout.target());
    let first = Place {
        root: checkout.root.clone(),
        build: target_folder.join("dist-build"),
        out: checkout.root.join(&options.out),
    };
    say(&format!("datamigration {} from commit {}", release.version, release.commit));
    build(&first, &release, &targets, &options.profile, &helm)?;
    if options.check {
        let second = target_folder.join("dist-check");
        let second = Place {
            root: second.join("source"),
            build: second.join("build"),
            out: second.join("out"),
        };
        step("copying the source to another folder", || {
            compare::copy_tracked(&checkout.root, &second.root)
        })?;
        build(&second, &release, &targets, &options.profile, &helm)?;
        compare::must_be_equal(&first.out, &second.out)?;
        say("Both builds are the same, byte for byte.");
    }
    let sums = first.out.join(SUMS);
    say(&fs::read_to_string(&sums).with_context(|| format!("reading {}", sums.display()))?);
    say(&format!("The release is in {}", checkout.shown(&first.out)));
    Ok(())
}

/// Builds everything of a release in one place.
fn build(
    place: &Place,
    release: &Release,
    targets: &[String],
    profile: &str,
    helm: &Path,
) -> Result<()> {
    empty(&place.out)?;
    let recipe = Recipe { root: &place.root, folder: &place.build, profile, time: release.time };
    let mut built = Vec::new();
    for target in targets {
        built.push(programs::build(recipe, target)?);
    }
    let mut files = Files::new(&place.out);
    let image = step("packing the image", || image::archive(release, &built))?;
    files.write(
        &format!("datamigration-image-{}.tar", release.version),
        &image.tree.tar(release.time)?,
    )?;
    step("packing the programs with completions and man pages", || {
        downloads(place, recipe, release, &built, &mut files)
    })?;
    step("packing the chart", || {
        let name = format!("datamigration-{}.tgz", release.version);
        files.write(&name, &chart::package(&place.root, release, &image.digest)?)
    })?;
    step("rendering install.yaml", || {
        let chart = place.root.join("charts/datamigration");
        let home = place.build.join("helm");
        let helm = install::Helm { program: helm, chart: &chart, home: &home };
        for (name, manifest) in install::manifests(helm, release, &image.digest)? {
            files.write(name, manifest.as_bytes())?;
        }
        Ok(())
    })?;
    step("listing the dependencies", || {
        let inputs = Inputs::read()?;
        let bill = sbom::bill(&place.root, release, &inputs, targets)?;
        let bill = serde_json::to_string_pretty(&bill).context("writing the bill")? + "\n";
        files.write(&format!("datamigration-{}.cdx.json", release.version), bill.as_bytes())?;
        let listed = inputs.listed(&release.commit, &golang::helm_version(&place.root)?);
        files.write("build-inputs.txt", listed.as_bytes())
    })?;
    let sums = files.sums();
    files.write(SUMS, sums.as_bytes())
}

fn downloads(
    place: &Place,
    recipe: Recipe<'_>,
    release: &Release,
    built: &[Built],
    files: &mut Files,
) -> Result<()> {
    let license = fs::read_to_string(place.root.join("LICENSE")).context("reading the license")?;
    let pages = pages::collect(recipe, built)?;
    let mut downloads = Vec::new();
    for one in built {
        let download = krew::command_line(release, one, &pages, &license)?;
        files.write(&download.name, &download.content)?;
        downloads.push(download);
        let programs = krew::image_programs(release, one, &license)?;
        files.write(&programs.name, &programs.content)?;
    }
    files.write("krew.yaml", krew::manifest(release, &downloads).as_bytes())
}

/// The files of a release, and their checksums.
struct Files {
    folder: PathBuf,
    sums: Vec<(String, String)>,
}

impl Files {
    fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), sums: Vec::new() }
    }

    fn write(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        self.sums.push((name.to_owned(), sha256(content)));
        Ok(())
    }

    fn sums(&self) -> String {
        let mut sums = self.sums.clone();
        sums.sort();
        sums.iter().fold(String::new(), |mut text, (name, sum)| {
            let _ = writeln!(text, "{sum}  {name}");
            text
        })
    }
}

/// Empties a folder that holds a release or nothing.
fn empty(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        let mut entries =
            fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
        if entries.next().is_some() && !folder.join(SUMS).exists() {
            bail!(
                "--out {}: the folder has files and no {SUMS}, so it is not an earlier release; \
                 name another folder, or empty it",
                folder.display()
            );
        }
        fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    pub fn release() -> Release {
        Release {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: "0123abcd".to_owned(),
            time: 1,
            created: "1970-01-01T00:00:01Z".to_owned(),
            image: "registry.example/team/datamigration".to_owned(),
            source: Some("https://source.example/datamigration".to_owned()),
            download: "https://source.example/downloads".to_owned(),
        }
    }

    #[test]
    fn checksums_are_listed_by_name() {
        let folder = std::env::temp_dir().join(format!("dist-sums-{}", std::process::id()));
        empty(&folder).unwrap();
        let mut files = Files::new(&folder);
        files.write("b", b"2").unwrap();
        files.write("a", b"1").unwrap();
        let expected = format!("{}  a\n{}  b\n", sha256(b"1"), sha256(b"2"));
        assert_eq!(files.sums(), expected);
        let refused = empty(&folder).unwrap_err().to_string();
        assert!(refused.contains("not an earlier release"), "{refused}");
        files.write(SUMS, expected.as_bytes()).unwrap();
        empty(&folder).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::remove_dir(&folder).unwrap();
    }
}
