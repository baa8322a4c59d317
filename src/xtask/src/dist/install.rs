//! Manifests for `kubectl apply --server-side`: `crds.yaml` has the custom resource definitions,
//! `operator.yaml` the namespace and what the chart renders with its defaults, and `install.yaml`
//! both. Deleting a definition deletes every migration, so the operator can be deleted by itself.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::release::Release;
use dm_testbed::command::{capture, command};

/// The namespace of the operator.
pub const NAMESPACE: &str = "datamigration-system";

/// Labels that would say that helm installed the objects, and could upgrade them.
const OF_HELM: &[&str] = &["app.kubernetes.io/managed-by: Helm", "helm.sh/chart: "];

/// Returns the manifests of a release, each with its file's name. `digest` is the image's.
pub fn manifests(
    helm: Helm<'_>,
    release: &Release,
    digest: &str,
) -> Result<[(&'static str, String); 3]> {
    let title = format!("# datamigration {}, commit {}\n", release.version, release.commit);
    let rendered = helm.render(&release.image, digest)?;
    Ok(files(&title, &definitions(helm.chart)?, &rendered))
}

/// Checks that `install.yaml` has every object that the chart renders, and the image by digest
/// only, and that the definitions are in `crds.yaml` and not in `operator.yaml`.
/// It returns how many objects there are.
pub fn check(helm: Helm<'_>) -> Result<usize> {
    let digest = format!("sha256:{}", "0".repeat(64));
    let rendered = helm.render("image", &digest)?;
    let [(_, crds), (_, operator), (_, manifest)] = files("", &definitions(helm.chart)?, &rendered);
    let is_definition = |kind: &&str| *kind == "CustomResourceDefinition";
    if !kinds(&crds).iter().all(is_definition) || kinds(&operator).iter().any(is_definition) {
        bail!("crds.yaml must have the custom resource definitions only, and operator.yaml none");
    }
    let whole = helm.template(&["--include-crds"])?;
    let (mut found, mut expected) = (kinds(&manifest), kinds(&whole));
    expected.push("Namespace");
    found.sort_unstable();
    expected.sort_unstable();
    if found != expected {
        bail!("install.yaml has the kinds {found:?}; the chart renders {expected:?}");
    }
    // The operator's own image, and the one that it gives to pods of runs.
    let images = manifest.matches(&format!("image@{digest}")).count();
    if images != 2 {
        bail!("install.yaml names the image by its digest {images} times instead of twice");
    }
    Ok(found.len())
}

/// The helm program, the chart that it renders, and a folder for its own files.
#[derive(Clone, Copy, Debug)]
pub struct Helm<'a> {
    pub program: &'a Path,
    pub chart: &'a Path,
    /// A folder for helm's configuration and caches: a person's own must not count.
    pub home: &'a Path,
}

impl Helm<'_> {
    fn render(self, image: &str, digest: &str) -> Result<String> {
        let repository = format!("image.repository={image}");
        let digest = format!("image.digest={digest}");
        self.template(&["--skip-crds", "--set", &repository, "--set", &digest])
    }

    fn template(self, arguments: &[&str]) -> Result<String> {
        capture(
            command(self.program, ["template", "datamigration"])
                .arg(self.chart)
                .args(["--namespace", NAMESPACE])
                .args(arguments)
                .env("HELM_CACHE_HOME", self.home)
                .env("HELM_CONFIG_HOME", self.home)
                .env("HELM_DATA_HOME", self.home),
            "rendering the chart",
        )
    }
}

/// The custom resource definitions, by name.
fn definitions(chart: &Path) -> Result<Vec<String>> {
    let folder = chart.join("crds");
    let paths = dm_testbed::fingerprint::files_below(&folder)?;
    if paths.is_empty() {
        bail!("{} has no custom resource definition; run cargo xtask gen", folder.display());
    }
    let read = |path: &std::path::PathBuf| {
        fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
    };
    paths.iter().map(read).collect()
}

/// The files with all documents in the order in which they are applied.
fn files(title: &str, definitions: &[String], rendered: &str) -> [(&'static str, String); 3] {
    let namespace = format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NAMESPACE}\n  labels:\n    \
         pod-security.kubernetes.io/enforce: restricted\n"
    );
    let definitions: Vec<&str> =
        definitions.iter().map(|one| one.trim_start_matches("---\n").trim_end()).collect();
    let crds = definitions.join("\n---\n") + "\n";
    let mut operator = namespace;
    for line in rendered.lines() {
        let content = line.trim_start();
        if !OF_HELM.iter().any(|label| content.starts_with(label)) {
            operator.push_str(line);
            operator.push('\n');
        }
    }
    let file = |name: &'static str, content: &str| {
        (name, format!("{title}# kubectl apply --server-side --filename {name}\n{content}"))
    };
    [
        file("crds.yaml", &crds),
        file("operator.yaml", &operator),
        file("install.yaml", &format!("{crds}---\n{operator}")),
    ]
}

/// Kinds of the objects in a manifest, in its order.
fn kinds(manifest: &str) -> Vec<&str> {
    manifest.lines().filter_map(|line| line.strip_prefix("kind: ")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::dist::tests::root;

    const RENDERED: &str = "---\n# Source: x\napiVersion: v1\nkind: ServiceAccount\n\
                            metadata:\n  name: a\n  labels:\n    \
                            app.kubernetes.io/name: a\n    app.kubernetes.io/managed-by: Helm\n    \
                            helm.sh/chart: a-1\n---\napiVersion: apps/v1\nkind: Deployment\n\
                            metadata: {name: a}\n";

    #[test]
    fn all_documents_parse_and_none_is_lost() {
        let definitions = definitions(&root().join("charts/datamigration")).unwrap();
        let expected = [
            "CustomResourceDefinition",
            "CustomResourceDefinition",
            "Namespace",
            "ServiceAccount",
            "Deployment",
        ];
        let [crds, operator, install] = files("# title\n", &definitions, RENDERED);
        for ((name, manifest), expected) in
            [(crds, &expected[..2]), (operator, &expected[2..]), (install, &expected)]
        {
            assert!(manifest.starts_with("# title\n"), "{name}");
            let found: Vec<Value> = manifest
                .split("\n---\n")
                .map(|document| serde_saphyr::from_str(document).unwrap())
                .collect();
            let found: Vec<&str> = found.iter().map(|one| one["kind"].as_str().unwrap()).collect();
            assert_eq!(found, expected, "{name}");
            assert_eq!(kinds(&manifest), expected, "{name}");
        }
    }

    #[test]
    fn no_object_says_that_helm_owns_it() {
        let [_, _, (_, manifest)] = files("", &[], RENDERED);
        assert!(!manifest.contains("Helm") && !manifest.contains("helm.sh"), "{manifest}");
        assert!(manifest.contains("app.kubernetes.io/name: a"));
    }
}
