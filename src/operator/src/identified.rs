//! Who an object is: its namespace, name and uid. Every object of a namespace that the API server
//! returns has all three, so they are parsed once, where it is read.

use std::ops::{Deref, DerefMut};

use dm_api::{DataMigration, MigrationTarget};
use kube::{Resource, ResourceExt as _};

/// An object with its namespace, name and uid. They are those it was read with, whatever else of it
/// is changed since.
#[derive(Clone, Debug, PartialEq)]
pub struct Identified<K> {
    object: K,
    namespace: String,
    name: String,
    uid: String,
}

/// A migration that was read.
pub type Migration = Identified<DataMigration>;

/// A target that was read.
pub type Target = Identified<MigrationTarget>;

/// An object that another one could be taken for.
#[derive(Debug, thiserror::Error)]
#[error("{kind} {name:?} was read without its namespace, its name or its uid")]
pub struct Unidentified {
    kind: String,
    name: String,
}

impl Unidentified {
    /// Returns the error of an object.
    pub fn of<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        Self { kind: K::kind(&()).into_owned(), name: object.name_any() }
    }
}

impl<K: Resource<DynamicType = ()>> Identified<K> {
    /// Parses an object that was read.
    pub fn parse(object: K) -> Result<Self, Unidentified> {
        let meta = object.meta();
        let identity = [&meta.namespace, &meta.name, &meta.uid]
            .map(|part| part.as_ref().filter(|part| !part.is_empty()).cloned());
        let [Some(namespace), Some(name), Some(uid)] = identity else {
            return Err(Unidentified::of(&object));
        };
        Ok(Self { object, namespace, name, uid })
    }
}

impl<K> Identified<K> {
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn uid(&self) -> &str {
        &self.uid
    }
}

impl<K> Deref for Identified<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.object
    }
}

impl<K> DerefMut for Identified<K> {
    fn deref_mut(&mut self) -> &mut K {
        &mut self.object
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::Job;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_object_is_who_it_is_or_nobody() {
        let parse = |metadata: Value| {
            let job: Job = serde_json::from_value(json!({"metadata": metadata})).unwrap();
            Identified::parse(job).map_err(|error| error.to_string())
        };
        let job = parse(json!({"namespace": "team", "name": "cars", "uid": "u"})).unwrap();
        assert_eq!((job.namespace(), job.name(), job.uid()), ("team", "cars", "u"));
        for metadata in [
            json!({"namespace": "team", "name": "cars"}),
            json!({"namespace": "team", "name": "cars", "uid": ""}),
            json!({"name": "cars", "uid": "u"}),
        ] {
            let expected = "Job \"cars\" was read without its namespace, its name or its uid";
            assert_eq!(parse(metadata).unwrap_err(), expected);
        }
        assert!(parse(json!({"namespace": "team", "uid": "u"})).is_err());
    }
}
