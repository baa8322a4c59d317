//! The layout of an image archive by the OCI Image Format Specification 1.1: blobs named by their
//! digests, one manifest for each platform, an index of them. It does not know what is in a layer.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::tarball::{Tree, gzip};
use dm_testbed::fingerprint::sha256;

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIGURATION_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What an image says of itself, and how its containers start.
#[derive(Clone, Debug)]
pub struct Description {
    /// Repository without a tag, as it is written in a pod.
    pub name: String,
    pub tag: String,
    /// Commit time as RFC 3339.
    pub created: String,
    pub user: &'static str,
    pub entrypoint: Vec<&'static str>,
    /// `org.opencontainers.image.…`, as labels and as annotations.
    pub labels: Vec<(&'static str, String)>,
}

/// The content of an image for one architecture.
#[derive(Clone, Debug)]
pub struct Platform {
    /// The architecture by its OCI name.
    pub architecture: &'static str,
    pub layer: Vec<u8>,
}

/// An image archive, and the digest by which a registry serves the image that is in it.
#[derive(Clone, Debug)]
pub struct Archive {
    pub tree: Tree,
    /// `sha256:…` of the image index.
    pub digest: String,
}

/// Makes the archive. `docker load` reads `manifest.json`, everything else `index.json`.
pub fn archive(description: &Description, platforms: &[Platform]) -> Result<Archive> {
    let mut tree = Tree::default();
    let labels = labels(description);
    let mut manifests = Vec::new();
    let mut for_docker = Vec::new();
    for platform in platforms {
        let diff_id = format!("sha256:{}", sha256(&platform.layer));
        let layer = blob(&mut tree, LAYER_TYPE, gzip(&platform.layer)?);
        let configuration = configuration(description, &labels, platform, &diff_id);
        let configuration = blob_of(&mut tree, CONFIGURATION_TYPE, &configuration);
        // An archive for Docker can name one image for a tag: the first platform's.
        if for_docker.is_empty() {
            for_docker.push(json!({
                "Config": place(&configuration),
                "RepoTags": [format!("{}:{}", description.name, description.tag)],
                "Layers": [place(&layer)],
            }));
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": configuration,
            "layers": [layer],
            "annotations": labels,
        });
        let mut manifest = blob_of(&mut tree, MANIFEST_TYPE, &manifest);
        manifest["platform"] = json!({"architecture": platform.architecture, "os": "linux"});
        manifests.push(manifest);
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": manifests,
        "annotations": labels,
    });
    let mut index = blob_of(&mut tree, INDEX_TYPE, &index);
    let digest = index["digest"].as_str().unwrap_or_default().to_owned();
    index["annotations"] = json!({
        "io.containerd.image.name": format!("{}:{}", whole_name(&description.name),
            description.tag),
        "org.opencontainers.image.ref.name": description.tag,
    });
    let outer = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [index]});
    tree.file("index.json", 0o644, outer.to_string());
    tree.file("oci-layout", 0o644, json!({"imageLayoutVersion": "1.0.0"}).to_string());
    tree.file("manifest.json", 0o644, Value::Array(for_docker).to_string());
    Ok(Archive { tree, digest })
}

/// A repository's name with the registry that Docker and the kubelet add to a short one.
pub fn whole_name(name: &str) -> String {
    match name.split_once('/') {
        None => format!("docker.io/library/{name}"),
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
    }
}

fn labels(description: &Description) -> Map<String, Value> {
    let name = |label: &str| format!("org.opencontainers.image.{label}");
    description
        .labels
        .iter()
        .map(|(label, value)| (name(label), Value::String(value.clone())))
        .collect()
}

fn configuration(
    description: &Description,
    labels: &Map<String, Value>,
    platform: &Platform,
    diff_id: &str,
) -> Value {
    json!({
        "created": description.created,
        "architecture": platform.architecture,
        "os": "linux",
        "config": {
            "User": description.user,
            "Env": ["PATH=/usr/bin"],
            "Entrypoint": description.entrypoint,
            "WorkingDir": "/",
            "Labels": labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": description.created, "created_by": "cargo xtask dist"}],
    })
}

fn blob_of(tree: &mut Tree, media_type: &str, value: &Value) -> Value {
    blob(tree, media_type, value.to_string().into_bytes())
}

/// Adds a blob and returns its descriptor.
fn blob(tree: &mut Tree, media_type: &str, content: Vec<u8>) -> Value {
    let (digest, size) = (sha256(&content), content.len());
    tree.file(&format!("blobs/sha256/{digest}"), 0o644, content);
    json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size})
}

/// The path of a descriptor's blob.
fn place(descriptor: &Value) -> String {
    descriptor["digest"].as_str().unwrap_or_default().replace("sha256:", "blobs/sha256/")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;

    fn description() -> Description {
        Description {
            name: "datamigration".to_owned(),
            tag: "1.2.3".to_owned(),
            created: "2026-01-01T00:00:00Z".to_owned(),
            user: "65532",
            entrypoint: vec!["/usr/bin/x"],
            labels: vec![("version", "1.2.3".to_owned())],
        }
    }

    fn files(archive: &Archive) -> BTreeMap<String, Vec<u8>> {
        let packed = archive.tree.tar(0).unwrap();
        let mut reader = tar::Archive::new(packed.as_slice());
        let mut found = BTreeMap::new();
        for entry in reader.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            found.insert(path, content);
        }
        found
    }

    /// Checks a descriptor against its blob, and everything that the blob names.
    fn check(files: &BTreeMap<String, Vec<u8>>, descriptor: &Value, seen: &mut usize) {
        let content = &files[&place(descriptor)];
        *seen += 1;
        assert_eq!(descriptor["digest"], format!("sha256:{}", sha256(content)));
        assert_eq!(descriptor["size"], content.len());
        let media_type = descriptor["mediaType"].as_str().unwrap();
        if !media_type.ends_with("+json") {
            return;
        }
        let inner: Value = serde_json::from_slice(content).unwrap();
        for list in ["manifests", "layers"] {
            for next in inner[list].as_array().into_iter().flatten() {
                check(files, next, seen);
            }
        }
        if inner["config"]["digest"].is_string() {
            check(files, &inner["config"], seen);
        }
    }

    #[test]
    fn every_digest_is_that_of_its_blob_and_every_blob_is_named() {
        let platform = |architecture, layer: &str| Platform { architecture, layer: layer.into() };
        let archive =
            archive(&description(), &[platform("amd64", "one"), platform("arm64", "two")]).unwrap();
        let files = files(&archive);
        let outer: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let mut seen = 0;
        check(&files, &outer["manifests"][0], &mut seen);
        let blobs = files.keys().filter(|path| path.len() > "blobs/sha256/".len()).count();
        assert_eq!((seen, blobs), (7, 7), "an index, and manifest, configuration, layer of each");
        assert_eq!(outer["manifests"][0]["digest"], archive.digest);
    }

    #[test]
    fn a_container_starts_as_described_on_its_platform() {
        let platforms = [Platform { architecture: "amd64", layer: b"content".to_vec() }];
        let files = files(&archive(&description(), &platforms).unwrap());
        let docker: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(docker[0]["RepoTags"], json!(["datamigration:1.2.3"]));
        let path = docker[0]["Config"].as_str().unwrap();
        let found: Value = serde_json::from_slice(&files[path]).unwrap();
        assert_eq!(found["architecture"], "amd64");
        assert_eq!(found["config"]["User"], "65532");
        assert_eq!(found["config"]["Labels"]["org.opencontainers.image.version"], "1.2.3");
        let diff_id = format!("sha256:{}", sha256(b"content"));
        assert_eq!(found["rootfs"]["diff_ids"], json!([diff_id]));
    }

    #[test]
    fn short_names_get_their_registry() {
        for (name, expected) in [
            ("a", "docker.io/library/a"),
            ("a/b", "docker.io/a/b"),
            ("localhost/b", "localhost/b"),
            ("r.example/a/b", "r.example/a/b"),
            ("r:5000/b", "r:5000/b"),
        ] {
            assert_eq!(whole_name(name), expected);
        }
    }
}
