//! The immutable copy of a program's files that a run works on.

use std::collections::BTreeMap;

use dm_api::status::RunRecord;
use k8s_openapi::ByteString;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, KeyToPath};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::identified::{Identified, Migration};
use crate::objects::names;
use crate::objects::parts;
use crate::runnable::Files;

/// The ConfigMap with a run's files, under keys that do not depend on their names. It goes with the
/// run's Job.
pub fn build(
    migration: &Migration,
    record: &RunRecord,
    job: &Identified<Job>,
    files: &Files,
) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(names::files(&record.job)),
            namespace: migration.metadata.namespace.clone(),
            labels: Some(parts::labels(migration, record)),
            annotations: Some(parts::annotations(migration, record)),
            owner_references: Some(vec![parts::owner_job(job)]),
            ..ObjectMeta::default()
        },
        binary_data: Some(
            files
                .values()
                .enumerate()
                .map(|(index, bytes)| (key(index), ByteString(bytes.clone())))
                .collect::<BTreeMap<_, _>>(),
        ),
        immutable: Some(true),
        ..ConfigMap::default()
    }
}

/// How the keys become files again.
pub fn items(files: &Files) -> Vec<KeyToPath> {
    files
        .keys()
        .enumerate()
        .map(|(index, path)| KeyToPath {
            key: key(index),
            path: path.clone(),
            mode: None,
            ..KeyToPath::default()
        })
        .collect()
}

fn key(index: usize) -> String {
    format!("file-{index}")
}
