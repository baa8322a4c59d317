//! Immutable copies of the ConfigMaps that a program's volumes and variables refer to: what the
//! kubelet mounts is what was hashed, whatever happens to the originals. Pure.

use std::collections::BTreeMap;

use dm_api::status::RunRecord;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, ConfigMapKeySelector, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::identified::{Identified, Migration};
use crate::objects::digest::short_hash;
use crate::objects::{FILES_VOLUME, PROGRAM_CONTAINER, parts};
use crate::runnable::Runnable;

/// Builds the copies of a run, which go with its Job. Their names follow from the run and from
/// their content.
pub fn build(
    migration: &Migration,
    record: &RunRecord,
    job: &Identified<Job>,
    runnable: &Runnable,
) -> Vec<ConfigMap> {
    let found = runnable.config_maps.iter().filter_map(|(name, map)| Some((name, map.as_ref()?)));
    let copy = |(name, map): (&String, &ConfigMap)| ConfigMap {
        metadata: ObjectMeta {
            name: Some(name_of(&record.job, name, Some(map))),
            namespace: migration.metadata.namespace.clone(),
            labels: Some(parts::labels(migration, record)),
            annotations: Some(parts::annotations(migration, record)),
            owner_references: Some(vec![parts::owner_job(job)]),
            ..ObjectMeta::default()
        },
        data: map.data.clone(),
        binary_data: map.binary_data.clone(),
        immutable: Some(true),
    };
    found.map(copy).collect()
}

/// Points a pod's references at the copies. A ConfigMap that is optional and was absent stays
/// absent: its reference gets a name that nothing has.
pub fn refer_to_copies(pod: &mut PodSpec, job: &str, runnable: &Runnable) {
    let maps = &runnable.config_maps;
    for volume in pod.volumes.iter_mut().flatten().filter(|volume| volume.name != FILES_VOLUME) {
        if let Some(source) = &mut volume.config_map {
            let is_optional = source.optional == Some(true);
            rename(&mut source.name, is_optional, job, maps);
        }
    }
    let programs = pod.containers.iter_mut().filter(|one| one.name == PROGRAM_CONTAINER);
    for variable in programs.flat_map(|program| program.env.iter_mut().flatten()) {
        let from = variable.value_from.as_mut();
        if let Some(ConfigMapKeySelector { name, optional, .. }) =
            from.and_then(|from| from.config_map_key_ref.as_mut())
        {
            let is_optional = *optional == Some(true);
            rename(name, is_optional, job, maps);
        }
    }
}

fn rename(
    name: &mut String,
    is_optional: bool,
    job: &str,
    maps: &BTreeMap<String, Option<ConfigMap>>,
) {
    match maps.get(name) {
        Some(Some(map)) => *name = name_of(job, name, Some(map)),
        Some(None) if is_optional => *name = name_of(job, name, None),
        // The pod waits for it, and the migration for a new digest.
        Some(None) | None => {}
    }
}

fn name_of(job: &str, name: &str, map: Option<&ConfigMap>) -> String {
    // Serializing maps of strings and bytes cannot fail.
    let content = serde_json::json!([name, map.map(|map| (&map.data, &map.binary_data))]);
    format!("{job}-{}", short_hash(&content.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::objects::names;
    use crate::samples;
    use dm_api::status::RunKind;

    fn map(data: &Value) -> ConfigMap {
        serde_json::from_value(json!({"metadata": {"name": "rates"}, "data": data})).unwrap()
    }

    fn runnable(data: &Value) -> Runnable {
        let maps = [("rates".to_owned(), Some(map(data))), ("gone".to_owned(), None)];
        Runnable { config_maps: maps.into(), ..samples::runnable() }
    }

    fn record() -> RunRecord {
        samples::record(RunKind::Apply)
    }

    /// A pod with every kind of reference.
    fn pod() -> PodSpec {
        let key = |name: &str, optional: bool| {
            json!({"configMapKeyRef": {"name": name, "key": "k",
                "optional": optional}})
        };
        serde_json::from_value(json!({
            "volumes": [
                {"name": "a", "configMap": {"name": "rates", "items": [{"key": "k", "path": "p"}]}},
                {"name": "b", "configMap": {"name": "gone"}},
                {"name": "c", "configMap": {"name": "gone", "optional": true}},
                {"name": FILES_VOLUME, "configMap": {"name": "rates"}},
                {"name": "d", "emptyDir": {}},
            ],
            "containers": [
                {"name": "program", "env": [
                    {"name": "A", "valueFrom": key("rates", false)},
                    {"name": "B", "valueFrom": key("gone", true)},
                    {"name": "C", "value": "rates"},
                ]},
                {"name": "guard", "env": [{"name": "A", "valueFrom": key("rates", false)}]},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn a_copy_has_the_content_and_a_name_that_follows_from_it() {
        let migration = samples::migration(json!({}));
        let job = samples::job(json!({}));
        let copies = |data| build(&migration, &record(), &job, &runnable(&data));
        let [one] = copies(json!({"k": "v"})).try_into().unwrap();
        assert_eq!(one.immutable, Some(true));
        assert_eq!(one.data, map(&json!({"k": "v"})).data);
        let owner = one.metadata.owner_references.clone().unwrap().remove(0);
        assert_eq!((owner.kind.as_str(), owner.uid.as_str()), ("Job", "uid-j"));
        let name = one.metadata.name.clone().unwrap();
        assert!(name.starts_with("0001-cars-1-apply-"), "{name}");
        assert_eq!(copies(json!({"k": "v"})), [one], "the same content has the same name");
        let other = copies(json!({"k": "w"})).remove(0).metadata.name.unwrap();
        assert_ne!(other, name);
        let fits = names::job(&"x".repeat(63), u32::MAX, RunKind::RestorePreview).len() + 9;
        assert!(fits <= 253, "a ConfigMap's name has at most 253 characters");
    }

    #[test]
    fn every_reference_of_the_program_is_rewritten_and_nothing_else() {
        let runnable = runnable(&json!({"k": "v"}));
        let mut rewritten = pod();
        refer_to_copies(&mut rewritten, &record().job, &runnable);
        let copy = name_of(&record().job, "rates", runnable.config_maps["rates"].as_ref());
        let absent = name_of(&record().job, "gone", None);
        let mut expected = pod();
        let volumes = expected.volumes.as_mut().unwrap();
        volumes[0].config_map.as_mut().unwrap().name.clone_from(&copy);
        volumes[2].config_map.as_mut().unwrap().name.clone_from(&absent);
        let env = expected.containers[0].env.as_mut().unwrap();
        let mut refer = |index: usize, name: &str| {
            let from = env[index].value_from.as_mut().unwrap();
            from.config_map_key_ref.as_mut().unwrap().name = name.to_owned();
        };
        refer(0, &copy);
        refer(1, &absent);
        assert_eq!(rewritten, expected);
        assert_ne!(copy, absent);
    }
}
