//! Who may depend on whom: our own packages among each other, and what is kept out of some of them.
//! deny.toml says of kube and the AWS crates what holds for indirect dependencies too.

use std::collections::BTreeMap;
use std::fs;

use crate::root;

/// Packages by folder of src/, and those of ours that each may depend on. `tests` may see
/// everything.
const EDGES: &[(&str, &[&str])] = &[
    ("contract", &[]),
    ("dynamodb", &["contract"]),
    ("transform", &["dynamodb"]),
    ("engine", &["contract", "dynamodb"]),
    ("api", &[]),
    ("operator", &["contract", "transform", "api"]),
    ("guard", &["contract", "dynamodb", "transform", "engine", "runner"]),
    ("runner", &["contract", "dynamodb", "transform", "engine"]),
    ("entry", &["contract"]),
    ("report", &["contract"]),
    (
        "cli",
        &[
            "contract",
            "dynamodb",
            "transform",
            "engine",
            "api",
            "guard",
            "runner",
            "entry",
            "report",
        ],
    ),
    ("testbed", &[]),
    ("xtask", &["testbed"]),
];

/// Crates, by how their names begin, and the only packages that may name them.
const KEPT_APART: &[(&str, &[&str])] = &[
    ("kube", &["api", "operator", "cli"]),
    ("k8s-openapi", &["api", "operator", "cli"]),
    ("aws-", &["engine", "guard", "cli"]),
    ("object_store", &["engine"]),
    // No async, no network: what is pure stays so.
    ("tokio", &["engine", "operator", "guard", "runner", "cli"]),
    ("hyper", &["engine", "operator", "guard", "cli"]),
    ("clap", &["operator", "guard", "runner", "cli", "testbed", "xtask"]),
];

/// The dependencies that each package names, those of its tests apart.
fn packages() -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let folder = entry.unwrap();
        let manifest = fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
        found.insert(folder.file_name().into_string().unwrap(), dependencies(&manifest));
    }
    found
}

fn dependencies(manifest: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            inside = section.ends_with("dependencies") && !section.ends_with("dev-dependencies");
            assert!(
                !section.contains("dependencies."),
                "write a dependency on one line, so that it is seen here: {line}"
            );
        } else if inside && !line.starts_with('#') {
            let name: String = line.chars().take_while(|c| !" .=".contains(*c)).collect();
            found.extend((!name.is_empty()).then_some(name));
        }
    }
    found
}

#[test]
fn our_packages_depend_on_each_other_as_the_architecture_says() {
    for (package, dependencies) in packages() {
        let allowed = EDGES
            .iter()
            .find(|(name, _)| *name == package)
            .unwrap_or_else(|| panic!("src/{package} is new: say in EDGES what it may depend on"))
            .1;
        for ours in dependencies.iter().filter_map(|name| name.strip_prefix("dm-")) {
            assert!(allowed.contains(&ours), "dm-{package} must not depend on dm-{ours}");
        }
    }
}

#[test]
fn kubernetes_databases_and_async_stay_where_they_belong() {
    for (package, dependencies) in packages() {
        for (prefix, allowed) in KEPT_APART {
            if let Some(name) = dependencies.iter().find(|name| name.starts_with(prefix)) {
                assert!(
                    allowed.contains(&package.as_str()),
                    "dm-{package} must not depend on {name}"
                );
            }
        }
    }
}

#[test]
fn dependencies_are_read_from_a_manifest() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\n# why\na = \"1\"\nb.workspace = true\n\
                    [dev-dependencies]\nc = \"1\"\n[build-dependencies]\nd = { path = \"d\" }\n";
    assert_eq!(dependencies(manifest), ["a", "b", "d"]);
}
