//! The bill of materials of a release as CycloneDX 1.5: every crate that is linked into the
//! programs, by what cargo resolves for their targets, with the checksums of Cargo.lock, and the
//! libraries that are no crates. Crates that only run while the programs are built are listed as
//! excluded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::inputs::{Inputs, Library};
use super::programs::packages;
use super::release::Release;
use dm_testbed::command::{capture, command};

/// Packages and which of them each uses, for one or more targets.
#[derive(Default)]
struct Graph {
    /// Cargo's description by its id.
    packages: BTreeMap<String, Value>,
    /// Normal dependencies by id.
    uses: BTreeMap<String, BTreeSet<String>>,
}

/// Makes the bill of materials.
pub fn bill(root: &Path, release: &Release, inputs: &Inputs, targets: &[String]) -> Result<Value> {
    let mut graph = Graph::default();
    for target in targets {
        let metadata = capture(
            command("cargo", ["metadata", "--format-version", "1", "--locked"])
                .args(["--filter-platform", target])
                .current_dir(root),
            "asking cargo for the dependencies",
        )?;
        graph.add(&serde_json::from_str(&metadata).context("reading cargo's answer")?)?;
    }
    let lock = root.join("Cargo.lock");
    let lock = fs::read_to_string(&lock).with_context(|| format!("reading {}", lock.display()))?;
    graph.bill(release, inputs, &checksums(&lock))
}

impl Graph {
    fn add(&mut self, metadata: &Value) -> Result<()> {
        for package in list(&metadata["packages"])? {
            self.packages.insert(text(&package["id"])?, package.clone());
        }
        for node in list(&metadata["resolve"]["nodes"])? {
            let used = self.uses.entry(text(&node["id"])?).or_default();
            for dependency in list(&node["deps"])? {
                let kinds = list(&dependency["dep_kinds"])?;
                if kinds.iter().any(|kind| kind["kind"].is_null()) {
                    used.insert(text(&dependency["pkg"])?);
                }
            }
        }
        Ok(())
    }

    /// What the programs reach; macros run in the compiler, so nothing is linked through them.
    fn reached(&self, begin: &[String], through_macros: bool) -> BTreeSet<String> {
        let mut reached = BTreeSet::new();
        let mut open = begin.to_vec();
        while let Some(id) = open.pop() {
            let is_macro = self.packages.get(&id).is_some_and(is_macro);
            if (is_macro && !through_macros) || !reached.insert(id.clone()) {
                continue;
            }
            open.extend(self.uses.get(&id).into_iter().flatten().cloned());
        }
        reached
    }

    fn bill(
        &self,
        release: &Release,
        inputs: &Inputs,
        checksums: &BTreeMap<(String, String), String>,
    ) -> Result<Value> {
        let ours: Vec<String> = packages()
            .map(|name| {
                let found = self.packages.iter().find(|(_, package)| package["name"] == name);
                found.map(|(id, _)| id.clone()).with_context(|| format!("cargo lacks {name}"))
            })
            .collect::<Result<_>>()?;
        let linked = self.reached(&ours, false);
        let all = self.reached(&ours, true);
        let mut components = Vec::new();
        let mut dependencies = Vec::new();
        for id in &all {
            let package = self.packages.get(id).context("cargo names an unknown package")?;
            components.push(component(package, linked.contains(id), checksums)?);
            let used = self.uses.get(id).into_iter().flatten();
            let used = used.filter_map(|id| self.packages.get(id)).map(reference);
            let mut used: Vec<String> = used.collect::<Result<_>>()?;
            used.sort();
            dependencies.push(json!({"ref": reference(package)?, "dependsOn": used}));
        }
        components.extend(others(inputs));
        let by = |key: &'static str| move |value: &Value| value[key].as_str().map(str::to_owned);
        components.sort_by_key(by("bom-ref"));
        dependencies.sort_by_key(by("ref"));
        let roots = ours.iter().filter_map(|id| self.packages.get(id)).map(reference);
        let mut roots: Vec<String> = roots.collect::<Result<_>>()?;
        roots.sort();
        dependencies.insert(0, json!({"ref": "datamigration", "dependsOn": roots}));
        Ok(json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": {
                "timestamp": release.created,
                "component": {
                    "type": "application",
                    "bom-ref": "datamigration",
                    "name": "datamigration",
                    "version": release.version,
                    "licenses": [{"expression": "Apache-2.0"}],
                },
                "properties": [{"name": "datamigration.dev:commit", "value": release.commit}],
            },
            "components": components,
            "dependencies": dependencies,
        }))
    }
}

fn component(
    package: &Value,
    is_linked: bool,
    checksums: &BTreeMap<(String, String), String>,
) -> Result<Value> {
    let (name, version) = (text(&package["name"])?, text(&package["version"])?);
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(package)?,
        "name": name,
        "version": version,
        "scope": if is_linked { "required" } else { "excluded" },
    });
    if package["source"].is_string() {
        component["purl"] = json!(format!("pkg:cargo/{name}@{}", version.replace('+', "%2B")));
    }
    if let Some(license) = package["license"].as_str() {
        // A slash is an old spelling of OR (The Cargo Book, "The license and license-file fields").
        component["licenses"] = json!([{"expression": license.replace('/', " OR ")}]);
    }
    if let Some(checksum) = checksums.get(&(name, version)) {
        component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    if let Some(url) = package["repository"].as_str() {
        component["externalReferences"] = json!([{"type": "vcs", "url": url}]);
    }
    Ok(component)
}

/// What is linked in, or in the image, and is no crate.
fn others(inputs: &Inputs) -> Vec<Value> {
    let one = |kind: &str, name: &str, version: &str| {
        json!({
            "type": kind,
            "bom-ref": format!("{name}@{version}"),
            "name": name,
            "version": version,
            "scope": "required",
        })
    };
    let library = |kind: &str, library: &Library| {
        let mut component = one(kind, library.name, &library.version);
        if library.is_debians {
            let version = library.version.replace('+', "%2B");
            component["purl"] = json!(format!("pkg:deb/debian/{}@{version}", library.name));
        }
        component
    };
    let mut found =
        vec![one("library", "rust-std", &inputs.rustc), library("library", &inputs.libc)];
    found.extend(inputs.certificates.iter().map(|bundle| library("data", bundle)));
    found
}

fn is_macro(package: &Value) -> bool {
    let targets = package["targets"].as_array();
    targets.into_iter().flatten().any(|target| target["kind"][0] == "proc-macro")
}

/// A package's name in the bill. Cargo's own ids of local packages hold the checkout's folder.
fn reference(package: &Value) -> Result<String> {
    Ok(format!("{}@{}", text(&package["name"])?, text(&package["version"])?))
}

/// Checksums of a Cargo.lock by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let field = |part: &str, name: &str| {
        part.lines().find_map(|line| {
            let value = line.strip_prefix(name)?.strip_prefix(" = \"")?;
            value.strip_suffix('"').map(str::to_owned)
        })
    };
    lock.split("[[package]]")
        .filter_map(|part| {
            Some(((field(part, "name")?, field(part, "version")?), field(part, "checksum")?))
        })
        .collect()
}

fn list(value: &Value) -> Result<&Vec<Value>> {
    value.as_array().context("cargo's answer lacks a list")
}

fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).context("cargo's answer lacks a name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::tests::{release, root};

    fn inputs() -> Inputs {
        let debians = |name| Library { name, version: "1+2".to_owned(), is_debians: true };
        Inputs {
            rustc: "1.2.3".to_owned(),
            cc: "cc".to_owned(),
            libc: debians("libc6-dev"),
            certificates: Some(debians("ca-certificates")),
        }
    }

    #[test]
    fn the_bill_of_this_tree_is_complete() {
        let bill =
            bill(&root(), &release(), &inputs(), &["x86_64-unknown-linux-gnu".to_owned()]).unwrap();
        let components = bill["components"].as_array().unwrap();
        let find = |name: &str| components.iter().find(|one| one["name"] == name);
        for (name, scope) in [
            ("dm-guard", "required"),
            ("ring", "required"),
            ("tikv-jemalloc-sys", "required"),
            ("libc6-dev", "required"),
            ("serde_derive", "excluded"),
        ] {
            let found = find(name).unwrap_or_else(|| panic!("{name} is missing"));
            assert_eq!(found["scope"], scope, "{name}");
        }
        for absent in ["dm-tests", "dm-xtask", "rcgen", "windows-sys"] {
            assert!(find(absent).is_none(), "{absent} is not shipped");
        }
        let is_crate =
            |one: &&Value| one["purl"].as_str().is_some_and(|purl| purl.starts_with("pkg:cargo/"));
        for one in components.iter().filter(is_crate) {
            assert_eq!(one["hashes"][0]["content"].as_str().unwrap().len(), 64, "{one}");
            assert!(one["licenses"][0]["expression"].is_string(), "{one}");
        }
        let folder = root().display().to_string();
        assert!(!bill.to_string().contains(&folder), "no path of this machine");
    }

    #[test]
    fn every_reference_is_to_a_component_that_is_there_once() {
        let bill =
            bill(&root(), &release(), &inputs(), &["x86_64-unknown-linux-gnu".to_owned()]).unwrap();
        let name = |value: &Value| value.as_str().unwrap().to_owned();
        let components = bill["components"].as_array().unwrap();
        let known: BTreeSet<String> = components.iter().map(|one| name(&one["bom-ref"])).collect();
        assert_eq!(known.len(), components.len(), "no component twice");
        for dependency in bill["dependencies"].as_array().unwrap() {
            for used in dependency["dependsOn"].as_array().unwrap() {
                assert!(known.contains(&name(used)), "{used}");
            }
        }
    }

    #[test]
    fn checksums_are_read_from_a_lock_file() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"r\"\n\
                    checksum = \"ff\"\n\n[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n";
        let found = checksums(lock);
        assert_eq!(found.len(), 1);
        assert_eq!(found[&("a".to_owned(), "1.0.0".to_owned())], "ff");
    }
}
