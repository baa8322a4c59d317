//! Contents of the ConfigMaps that migrations name, by their version. The watch of ConfigMaps holds
//! no contents: most are other programs'. What was read once is as good as another read while its
//! version is the same.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use parking_lot::Mutex;

use crate::limits;

/// Contents of ConfigMaps, by namespace and name.
#[derive(Default)]
pub struct Contents(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    maps: HashMap<(String, String), Arc<ConfigMap>>,
    bytes: usize,
}

impl Contents {
    /// Returns a ConfigMap of just this version, if it is held.
    pub fn get(&self, namespace: &str, name: &str, version: &str) -> Option<Arc<ConfigMap>> {
        let key = (namespace.to_owned(), name.to_owned());
        let found = self.0.lock().maps.get(&key).map(Arc::clone)?;
        (found.metadata.resource_version.as_deref() == Some(version)).then_some(found)
    }

    /// Keeps a ConfigMap that was read.
    pub fn keep(&self, namespace: &str, map: &Arc<ConfigMap>) {
        let bytes = bytes(map);
        let mut kept = self.0.lock();
        // Whoever is dropped is read again, which costs one request.
        if kept.bytes.saturating_add(bytes) > limits::CONTENTS_BYTES_MAX {
            *kept = Kept::default();
        }
        if bytes > limits::CONTENTS_BYTES_MAX {
            return;
        }
        let key = (namespace.to_owned(), map.name_any());
        let before = kept.maps.insert(key, Arc::clone(map));
        let before = before.map_or(0, |before| self::bytes(&before));
        kept.bytes = kept.bytes.saturating_add(bytes).saturating_sub(before);
    }
}

fn bytes(map: &ConfigMap) -> usize {
    let text = map.data.iter().flatten().map(|(key, text)| key.len() + text.len());
    let binary = map.binary_data.iter().flatten().map(|(key, bytes)| key.len() + bytes.0.len());
    text.chain(binary).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(name: &str, version: &str, size: usize) -> Arc<ConfigMap> {
        let map = json!({
            "metadata": {"name": name, "resourceVersion": version}, "data": {"k": "x".repeat(size)},
        });
        Arc::new(serde_json::from_value(map).unwrap())
    }

    #[test]
    fn only_the_version_that_was_read_is_found() {
        let contents = Contents::default();
        contents.keep("team", &map("files", "1", 10));
        assert_eq!(contents.get("team", "files", "1"), Some(map("files", "1", 10)));
        assert_eq!(contents.get("team", "files", "2"), None);
        assert_eq!(contents.get("other", "files", "1"), None);
        contents.keep("team", &map("files", "2", 10));
        assert_eq!(contents.get("team", "files", "1"), None);
    }

    #[test]
    fn contents_are_bounded_as_a_whole() {
        let contents = Contents::default();
        let size = limits::CONTENTS_BYTES_MAX / 3;
        for number in 0..20 {
            // The same one again takes no more room.
            contents.keep("team", &map("same", &number.to_string(), size));
        }
        contents.keep("team", &map("other", "1", size));
        assert!(contents.get("team", "same", "19").is_some());
        contents.keep("team", &map("third", "1", size));
        assert_eq!(contents.get("team", "same", "19"), None, "there is no room for three");
        assert!(contents.get("team", "third", "1").is_some());
    }
}
