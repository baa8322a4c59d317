//! The files of the demo, as an author would have them: a target with its Secret and its archive in
//! a namespace, for each migration an overlay that names the target and an image this cluster has,
//! and the data.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use dm_testbed::checkout::Checkout;

/// Where they are, relative to the checkout.
pub const FOLDER: &str = "target/demo";

/// The archive, where the cluster's node is this machine: it outlives the cluster.
pub const ARCHIVE: &str = "target/demo/archive";

/// Where the archive's volume is, for those who delete it.
pub const VOLUME: &str = "demo-archive";

/// The migration that is tried, promoted and restored.
pub const PRICES: &str = "0001-add-price-to-cars";

/// The migration that fails.
pub const FAILING: &str = "0005-split-name";

/// Writes all of them. The archive is on this machine where `on_this_machine` says that the node
/// is, else where the cluster's storage class has it.
pub fn write(
    checkout: &Checkout,
    variables: &[(String, String)],
    cars: &Path,
    on_this_machine: bool,
) -> Result<()> {
    let folder = checkout.root.join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    fs::copy(cars, folder.join("cars.json")).context("copying the cars")?;
    let endpoint = variable(variables, "DYNAMODB_ENDPOINT_IN_CLUSTER")?;
    let archive = on_this_machine.then(|| checkout.root.join(ARCHIVE));
    write_file(&folder, "archive.yaml", &volume(archive.as_deref()))?;
    write_file(&folder, "target.yaml", &target(endpoint))?;
    let image = variable(variables, "DM_IMAGE_PYTHON")?;
    let (image, tag) = image.rsplit_once(':').context("the image for Python has no tag")?;
    for (name, dry_run) in [(PRICES, true), (FAILING, false)] {
        let place = folder.join(name);
        write_file(&place, "kustomization.yaml", &overlay(name, dry_run, image, tag))?;
    }
    Ok(())
}

fn variable<'a>(variables: &'a [(String, String)], name: &str) -> Result<&'a str> {
    variables
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
        .with_context(|| format!("the cluster's environment lacks {name}"))
}

/// The namespace with a claim to a volume for the archive, and the volume where it is a folder of
/// this machine.
fn volume(folder: Option<&Path>) -> String {
    let (volume, place) = match folder {
        Some(folder) => (
            format!(
                "---
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {VOLUME}}}
spec:
  capacity: {{storage: 1Gi}}
  accessModes: [ReadWriteOnce]
  storageClassName: \"\"
  persistentVolumeReclaimPolicy: Retain
  claimRef: {{namespace: demo, name: archive}}
  local: {{path: {}}}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions: [{{key: kubernetes.io/hostname, operator: Exists}}]
",
                folder.display()
            ),
            format!("  storageClassName: \"\"\n  volumeName: {VOLUME}\n"),
        ),
        None => (String::new(), String::new()),
    };
    format!(
        "apiVersion: v1
kind: Namespace
metadata:
  name: demo
  labels: {{pod-security.kubernetes.io/enforce: restricted}}
{volume}---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: archive, namespace: demo}}
spec:
  accessModes: [ReadWriteOnce]
{place}  resources: {{requests: {{storage: 1Gi}}}}
"
    )
}

/// The credentials are those of a DynamoDB Local, which takes any.
fn target(endpoint: &str) -> String {
    format!(
        "apiVersion: v1
kind: Secret
metadata: {{name: dynamodb-local, namespace: demo}}
stringData: {{AWS_ACCESS_KEY_ID: demo, AWS_SECRET_ACCESS_KEY: demo}}
---
apiVersion: datamigration.dev/v1alpha1
kind: MigrationTarget
metadata: {{name: local, namespace: demo}}
spec:
  region: eu-west-1
  endpoint: {endpoint}
  credentials:
    secret: {{name: dynamodb-local}}
  policy: {{tables: [cars], showValues: true}}
  archive:                # journals, ledger, reports: what a restore needs, and what outlives the \
  cluster
    url: file:///archive
    volume: {{persistentVolumeClaim: {{claimName: archive}}}}
"
    )
}

fn overlay(name: &str, dry_run: bool, image: &str, tag: &str) -> String {
    format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: demo
resources: [../../../migrations/{name}/base]
images:
  - {{name: migrations-python, newName: {image}, newTag: {tag}}}
patches:
  - patch: |
      apiVersion: datamigration.dev/v1alpha1
      kind: DataMigration
      metadata: {{name: {name}}}
      spec:
        target: {{name: local}}
        dryRun: {dry_run}
"
    )
}

fn write_file(folder: &Path, name: &str, content: &str) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let path = folder.join(name);
    fs::write(&path, content).with_context(|| format!("writing {}", path.display()))
}
