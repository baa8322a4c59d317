//! `cargo xtask cluster release`: a release on a new cluster, from its files alone. The image's
//! archive stands in for a registry; then four commands lead to a successful dry run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::environment::Environment;
use super::layout::State;
use super::operator::NAMESPACE;
use super::{Options, local, up};
use crate::checkout::Checkout;
use crate::command::{command, show};
use crate::console::{say, seconds, step};
use crate::fingerprint::{files_below, sha256_of};
use crate::parts::golang;

/// How long the operator and the dry run may take, each: seconds, and minutes on a machine that
/// compiles.
const WAIT_MAX: &str = "--timeout=180s";

/// The namespace of the migration.
const TRIED: &str = "release-check";

/// Two cars in the form that the demo's loader reads.
const CARS: &str = r#"[
  {"Name": "audi 100 ls", "Year": "1970-01-01", "Origin": "Europe", "Weight_in_lbs": 2430},
  {"Name": "datsun pl510", "Year": "1970-01-01", "Origin": "Japan", "Weight_in_lbs": 2130}
]"#;

/// Installs a release and runs a migration up to its dry run. The cluster stays up.
pub fn run(checkout: &Checkout, folder: &Path) -> Result<()> {
    let release = Release::find(&checkout.root.join(folder))?;
    let state = State(checkout.state());
    if state.join("operator").exists() {
        bail!(
            "the cluster that is up has the operator of this checkout; stop it first: \
             cargo xtask cluster down"
        );
    }
    up(checkout, &Options { no_operator: true, ..Options::default() })?;
    if !super::is_local(checkout) {
        bail!("only the cluster that is built on this machine takes the image from an archive");
    }
    let programs = golang::programs(checkout)?;
    step("importing the image, as a registry would serve it", || {
        local::import(&programs, &release.image, &format!("docker.io/library/{}", release.name))
    })?;
    let variables = Environment::read(&state)?.variables;
    let files = checkout.target().join(TRIED);
    fs::create_dir_all(&files).with_context(|| format!("making {}", files.display()))?;
    let cars = files.join("cars.json");
    fs::write(&cars, CARS).context("writing the cars")?;
    let migration = files.join("migration.yaml");
    fs::write(&migration, manifest(&variables)?).context("writing the migration")?;
    step("loading a table", || {
        crate::command::run(
            command("python3", ["src/testbed/recipes/demo/cars.py", "load"])
                .arg(&cars)
                .current_dir(&checkout.root)
                .envs(variables.clone()),
            "loading the cars",
        )
    })?;
    let begun = Instant::now();
    let install = release.install.display().to_string();
    let migration = migration.display().to_string();
    for arguments in [
        vec!["apply", "--server-side", "--filename", &install],
        vec![
            "wait",
            "deployment/datamigration",
            "--for=condition=Available",
            "-n",
            NAMESPACE,
            WAIT_MAX,
        ],
        vec!["apply", "--filename", &migration],
        vec![
            "wait",
            "datamigration/price",
            "--for=jsonpath={.status.phase}=DryRunOK",
            "-n",
            TRIED,
            WAIT_MAX,
        ],
    ] {
        say(&format!("$ kubectl {}", arguments.join(" ")));
        show(&mut local::kubectl(&state, &arguments), &format!("kubectl {}", arguments[0]))?;
    }
    show(
        &mut local::kubectl(&state, &["get", "datamigrations", "-n", TRIED]),
        "listing the migrations",
    )?;
    say(&format!("From install.yaml to DryRunOK: {}", seconds(begun.elapsed())));
    Ok(())
}

/// Files of a release.
struct Release {
    image: PathBuf,
    install: PathBuf,
    name: String,
}

impl Release {
    /// Finds the files and compares them with their checksums.
    fn find(folder: &Path) -> Result<Self> {
        let sums = folder.join("SHA256SUMS");
        let sums = fs::read_to_string(&sums).with_context(|| {
            format!("reading {}; build a release first: cargo xtask dist", sums.display())
        })?;
        let mut image = None;
        for path in files_below(folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_image = name.starts_with("datamigration-image-");
            if !is_image && name != "install.yaml" {
                continue;
            }
            let line = format!("{}  {name}", sha256_of(&path)?);
            if !sums.lines().any(|found| found == line) {
                bail!("{name} is not what SHA256SUMS lists; build the release again");
            }
            if is_image {
                image = Some(path);
            }
        }
        let install = folder.join("install.yaml");
        let text = fs::read_to_string(&install)
            .with_context(|| format!("reading {}", install.display()))?;
        Ok(Self {
            image: image.with_context(|| format!("{} has no image", folder.display()))?,
            name: short_name(&text)?,
            install,
        })
    }
}

/// The repository of the operator's image in a manifest. It must be one that no registry serves.
fn short_name(manifest: &str) -> Result<String> {
    let reference = manifest
        .lines()
        .find_map(|line| line.trim().strip_prefix("image: "))
        .context("install.yaml names no image")?;
    let name = reference.trim_matches('"').split('@').next().unwrap_or_default();
    if name.contains('/') {
        bail!(
            "install.yaml names the image {name}; build the release without --image to try it here"
        );
    }
    Ok(name.to_owned())
}

/// A target and a migration in a separate namespace.
fn manifest(variables: &[(String, String)]) -> Result<String> {
    let value = |name: &str| {
        let found = variables.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .with_context(|| format!("the cluster's environment lacks {name}"))
    };
    let (endpoint, image) = (value("DYNAMODB_ENDPOINT_IN_CLUSTER")?, value("DM_IMAGE_PYTHON")?);
    Ok(format!(
        "apiVersion: v1
kind: Namespace
metadata: {{name: {TRIED}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: dynamodb-local, namespace: {TRIED}}}
stringData: {{AWS_ACCESS_KEY_ID: demo, AWS_SECRET_ACCESS_KEY: demo}}
---
apiVersion: datamigration.dev/v1alpha1
kind: MigrationTarget
metadata: {{name: local, namespace: {TRIED}}}
spec:
  region: eu-west-1
  endpoint: {endpoint}
  credentials:
    secret: {{name: dynamodb-local}}
  policy: {{tables: [cars]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: price, namespace: {TRIED}}}
data:
  main.py: |
    import boto3

    cars = boto3.resource(\"dynamodb\").Table(\"cars\")
    for car in cars.scan()[\"Items\"]:
        cars.update_item(
            Key={{\"id\": car[\"id\"]}},
            UpdateExpression=\"SET price = :price\",
            ExpressionAttributeValues={{\":price\": 2000}},
        )
---
apiVersion: datamigration.dev/v1alpha1
kind: DataMigration
metadata: {{name: price, namespace: {TRIED}}}
spec:
  description: Every car gets a price.
  target: {{name: local}}
  script:
    configMap: {{name: price}}
    image: {image}
"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_must_be_one_that_only_the_archive_has() {
        let manifest = |image: &str| format!("spec:\n      image: \"{image}@sha256:00\"\n");
        assert_eq!(short_name(&manifest("datamigration")).unwrap(), "datamigration");
        assert!(short_name(&manifest("registry.example/a")).is_err());
        assert!(short_name("kind: Namespace\n").is_err());
    }

    #[test]
    fn every_document_of_the_migration_is_yaml() {
        let variables = ["DYNAMODB_ENDPOINT_IN_CLUSTER", "DM_IMAGE_PYTHON"]
            .map(|name| (name.to_owned(), "http://127.0.0.1:1".to_owned()));
        let manifest = manifest(&variables).unwrap();
        let kinds: Vec<String> = manifest
            .split("\n---\n")
            .map(|text| {
                let document: serde_json::Value = serde_saphyr::from_str(text).unwrap();
                document["kind"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(kinds, ["Namespace", "Secret", "MigrationTarget", "ConfigMap", "DataMigration"]);
    }

    #[test]
    fn a_folder_without_a_release_is_refused() {
        let refused = Release::find(Path::new("/nonexistent")).err().unwrap().to_string();
        assert!(refused.contains("cargo xtask dist"), "{refused}");
    }
}
