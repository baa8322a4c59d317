//! A DataMigration as a user writes it, and the ConfigMap with its files.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{TARGET, variable};

/// A migration and its files.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its name, and its ConfigMap's.
    pub name: String,
    pub object: Value,
    files: BTreeMap<String, String>,
}

impl Written {
    /// A Python script; a dry run unless it is `applied`.
    pub fn python(name: &str, program: &str) -> Self {
        Self::script(name, &variable("DM_IMAGE_PYTHON"), "main.py", program)
    }

    pub fn node(name: &str, program: &str) -> Self {
        Self::script(name, &variable("DM_IMAGE_NODE"), "main.mjs", program)
    }

    pub fn shell(name: &str, program: &str) -> Self {
        Self::script(name, &variable("DM_IMAGE_PYTHON"), "main.sh", program)
    }

    fn script(name: &str, image: &str, file: &str, program: &str) -> Self {
        let script = json!({"configMap": {"name": name}, "image": image});
        Self::with(name, json!({"script": script})).file(file, program)
    }

    /// A program in an image.
    pub fn container(name: &str, container: &Value) -> Self {
        Self::with(name, json!({"container": container}))
    }

    pub fn transform(name: &str, transform: &Value) -> Self {
        Self::with(name, json!({"transform": transform}))
    }

    fn with(name: &str, mut spec: Value) -> Self {
        spec["target"] = json!({"name": TARGET});
        // Most programs of these tests are about their pods.
        spec["expectNoRequests"] = json!(true);
        let object = json!({
            "apiVersion": "datamigration.dev/v1alpha1",
            "kind": "DataMigration",
            "metadata": {"name": name},
            "spec": spec,
        });
        Self { name: name.into(), object, files: BTreeMap::new() }
    }

    /// It writes: `dryRun: false`.
    pub fn applied(self) -> Self {
        self.set("dryRun", json!(false))
    }

    /// Sets a field of the spec, given by its path with dots.
    pub fn set(mut self, path: &str, value: Value) -> Self {
        let mut at = &mut self.object["spec"];
        for field in path.split('.') {
            at = &mut at[field];
        }
        *at = value;
        self
    }

    /// Adds a text file.
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.insert(name.into(), text.into());
        self
    }

    /// The ConfigMap with its files, if it has any.
    pub fn files(&self) -> Option<Value> {
        (!self.files.is_empty()).then(|| files_of(&self.name, &json!(self.files)))
    }
}

/// A ConfigMap with text files.
pub fn files_of(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}
