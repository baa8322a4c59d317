//! The API server, and what the watches hold of it. Writes go through here: their answers are kept
//! until the watches show them.

use dm_api::DataMigration;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cache::latest::Latest;
use crate::cache::{Cache, slim};
use crate::identified::Unidentified;

/// The API server, and what the watches hold of it.
#[derive(Clone, Copy)]
pub struct Cluster<'a> {
    pub client: &'a Client,
    /// What the watches hold.
    pub cache: &'a Cache,
    /// The namespace of all that is read and written.
    pub namespace: &'a str,
}

/// Why objects could not be read.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum ReadError {
    /// The API server did not answer, or with an error.
    Api(#[from] kube::Error),
    /// An object came without its identity.
    Unidentified(#[from] Unidentified),
}

/// A kind that the cache holds and the operator writes.
pub trait Kept:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + DeserializeOwned
    + std::fmt::Debug
    + 'static
{
    /// Where the cache holds it.
    fn of(cache: &Cache) -> &Latest<Self>;

    /// Leaves out what the cache does not hold.
    fn slim(&mut self);
}

impl Kept for DataMigration {
    fn of(cache: &Cache) -> &Latest<Self> {
        &cache.migrations
    }

    fn slim(&mut self) {
        slim::migration(self);
    }
}

impl Kept for Job {
    fn of(cache: &Cache) -> &Latest<Self> {
        &cache.jobs
    }

    fn slim(&mut self) {
        slim::job(self);
    }
}

impl Kept for Pod {
    fn of(cache: &Cache) -> &Latest<Self> {
        &cache.pods
    }

    fn slim(&mut self) {
        slim::pod(self);
    }
}

impl Cluster<'_> {
    /// Returns the API of a kind.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), self.namespace)
    }

    /// Patches an object, and returns what it is then. Patches name the version that they rest on:
    /// a stale object is a conflict.
    pub async fn patch<K: Kept>(&self, object: &K, patch: &Value) -> Result<K, kube::Error> {
        let patch = Patch::Merge(patch);
        let patched =
            self.api::<K>().patch(&object.name_any(), &PatchParams::default(), &patch).await;
        match &patched {
            Ok(new) => self.note(object.meta().resource_version.as_deref(), new.clone()),
            Err(_) => K::of(self.cache).forget(object),
        }
        patched
    }

    /// Keeps the answer to a write of an object that had the version `over`.
    pub fn note<K: Kept>(&self, over: Option<&str>, mut written: K) {
        written.slim();
        K::of(self.cache).note(over, written);
    }
}
